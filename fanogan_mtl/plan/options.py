"""Every option of every entry, written once: its default, as text, and what it means.

The commands, `MLproject` and `docs/parameters.md` are made of these classes: after a change here, run
`python -m entrypoints.project --write`. Nothing heavy is imported, as `--help` is made of them, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from fanogan_mtl.data.sources.registry import GROUPS, PATHS, SETS


def option(default: str, help: str, changes_numbers: bool = True) -> Any:
    """Declare an option.

    Parameters
    ----------
    default : str
        Never empty, as MLflow does not pass on an empty parameter.
    help : str
        What it means, in one sentence or two, as `--help` and `docs/parameters.md` show it.
    changes_numbers : bool
        False for an option that says how something is run, not what; the report leaves it out of the commands that
        repeat a sweep.
    """
    return field(default=default, metadata={"help": help, "changes_numbers": changes_numbers})


def shown_again(options: type[Any]) -> dict[str, str]:
    """Options that change a number, with their defaults: a command that repeats a sweep must name these."""
    return {each.name: str(each.default) for each in fields(options) if each.metadata["changes_numbers"]}


# A class's fields follow those of its bases, the last base first. What `--help` doesn't need is not made, as it would
# take most of its time: comparison, text and a frozen state, and a constructor of what is a part of others' alone.


@dataclass(init=False, eq=False, repr=False)
class DataDirOptions:
    """Where prepared data is."""

    data_dir: str = option("auto", "Folder of prepared data; auto is the user's cache.", changes_numbers=False)


@dataclass(init=False, eq=False, repr=False)
class WhereOptions(DataDirOptions):
    """Where tasks run and data is."""

    device: str = option("auto", "auto, cpu or cuda.")
    workers: str = option("auto", "Worker processes; auto is one per core.", changes_numbers=False)
    scheduler: str = option(
        "none", "Address of a Dask cluster that runs the cells, as tcp://HOST:8786; none is worker processes here."
    )


@dataclass(init=False, eq=False, repr=False)
class DatasetOptions:
    """Which data."""

    dataset: str = option(
        "sample",
        f"Data sets: {', '.join([*GROUPS, *SETS, *PATHS])}, under a name as NAME=npz:PATH, pools a+b, lists a,b; after "
        "a path of images settings such as ?image_size=64&colour=rgb.",
    )


@dataclass(init=False, eq=False, repr=False)
class DrawOptions:
    """Which draws of the data."""

    seeds: str = option("0", "Seeds, as 0,1,2.")
    limit: str = option("none", "At most so many training and so many test images of each class.")


@dataclass(init=False, eq=False, repr=False)
class DetectorOptions:
    """Which detectors, and how they are trained."""

    detectors: str = option("fanogan,vae,deep_svdd,dagmm,pca,knn,iforest", "Detectors; also pyod:ClassName.")
    detector_params: str = option(
        "none", 'Parameters as JSON, as {"fanogan": {"latent_dim": 32}, "vae": "tuned"}; tuned for all; study:NAME.'
    )
    epochs: str = option("20,50", "Epoch budgets: how long networks are trained, each scored after each.")
    batch_size: str = option("default", "Rows of one training step, for detectors that take it.")
    latent_dim: str = option("default", "Dimensions of the latent space, for detectors that take it.")
    kappa: str = option("default", "f-AnoGAN's weight of the feature term.")
    classes: str = option("all", "Classes to take as normal, as 0,3,8.")


@dataclass(init=False, eq=False, repr=False)
class SweepOptions:
    """What a sweep keeps, and whether it only shows its plan."""

    log_models: str = option(
        "best", "Models to keep: none, best (of each data set, by validation AUROC) or all.", changes_numbers=False
    )
    dry_run: str = option("false", "true: print the plan, train nothing.", changes_numbers=False)
    retry: str = option(
        "false",
        "true: train again the cells that failed, and those whose result is gone from MLflow's artifacts.",
        changes_numbers=False,
    )


@dataclass(init=False, eq=False, repr=False)
class ExtractorOptions:
    """Which extractors, and how they are trained."""

    extractors: str = option("resnet18,lenet5,pca", "Extractors to train.")
    extractor_params: str = option("none", 'Parameters as JSON, as {"resnet18": {"n_components": 32}}.')
    extractor_epochs: str = option("default", "Epochs of training at most; default is each extractor's own.")
    weights: str = option(
        "default",
        "File with ImageNet weights (a state dict of torchvision's network of that name); default downloads them.",
    )


@dataclass(eq=False, repr=False)
class BenchmarkOptions(WhereOptions, SweepOptions, DrawOptions, DetectorOptions, DatasetOptions):
    """The entry `benchmark`: detectors on pixels."""


@dataclass(eq=False, repr=False)
class HybridOptions(BenchmarkOptions, ExtractorOptions):
    """The entry `hybrid`: detectors on extractors' features."""

    detectors: str = option("fanogan,knn,pca,mahalanobis", "Detectors; also pyod:ClassName.")
    extractors: str = option(
        "resnet18,contrastive,efficientnet_lite0",
        "Extractors; also logged ones, as runs:/ID/NAME or models:/NAME/VERSION.",
    )
    protocol: str = option(
        "paper",
        "What the extractor may see: paper (all classes; label-free, if it takes no label), label-free, unseen-class, "
        "unseen-domain, normal-only, or several.",
    )


@dataclass(eq=False, repr=False)
class TuneOptions(BenchmarkOptions, ExtractorOptions):
    """The entry `tune`: a search for a detector's setting."""

    detectors: str = option("fanogan", "The detector to tune; also pyod:ClassName.")
    extractors: str = option("none", "An extractor, to tune the detector on its features.")
    trials: str = option("20", "Settings to try, those of earlier starts included.")
    timeout: str = option("none", "Seconds after which no trial is begun.")
    storage: str = option(
        "auto", "A database's URL, as postgresql://HOST/NAME; auto is a file in the data folder.", changes_numbers=False
    )
    study_name: str = option(
        "auto", "Name of Optuna's study; auto is made of detector, data and objective: the same command goes on."
    )
    search_space: str = option(
        "default",
        'What to search as JSON, as {"latent_dim": {"low": 8, "high": 128, "log": true}, "batch_size": [16, 32]}; '
        'of the extractor {"extractor__layer": ["blocks.4", "blocks.10"]}.',
    )


@dataclass(eq=False, repr=False)
class StudyOptions(BenchmarkOptions):
    """The entry `main`: the whole study."""

    extractors: str = option(
        "resnet18,lenet5,pca,contrastive,efficientnet_lite0", "Extractors; detectors are put on each one's features."
    )
    output: str = option("report", "Folder for report.html, results.csv and results.parquet.")


@dataclass(eq=False, repr=False)
class PretrainOptions(WhereOptions, DrawOptions, ExtractorOptions, DatasetOptions):
    """The entry `pretrain`: extractors alone."""

    hold_out_class: str = option("none", "A class of which nothing is learned.")
    hold_out_domain: str = option("none", "A domain of which nothing is learned.")


@dataclass(eq=False, repr=False)
class PreprocessOptions(DataDirOptions, DatasetOptions):
    """The entry `preprocess`: data, prepared and shown."""


@dataclass(eq=False, repr=False)
class ReportOptions(DataDirOptions):
    """The entry `report`: recorded comparisons as one page."""

    runs: str = option("all", "Ids of sweeps' runs, separated by commas; all takes every comparison of the experiment.")
    output: str = option("report", "Folder for report.html, results.csv and results.parquet.")


@dataclass(eq=False, repr=False)
class RegisterOptions(WhereOptions):
    """The entry `register`: a recorded setting becomes a registered model."""

    run: str = option(
        "none", "Id of a sweep's run (its best setting by validation AUROC is registered), a comparison's or a cell's."
    )
    name: str = option("anomaly-detector", "Name of the registered model.")
    alias: str = option("champion", "Alias of the new version.")
    false_alarm_rate: str = option(
        "auto",
        "Share of normal images that may be flagged, as 0.01; of several the first is what is_anomaly means, and all "
        "are reported. auto is 0.1, or the lowest rate that can be promised.",
    )


@dataclass(eq=False, repr=False)
class ScoreOptions:
    """The entry `score`: images become a table of scores."""

    model: str = option("none", "Address of the model, as models:/NAME/VERSION.")
    input: str = option("none", "Folder whose images are scored, or a text file with one path per line.")
    output: str = option("scores.csv", "Table to write: .csv or .parquet.")
    heads: str = option("all", "Heads that score, separated by commas.")
    false_alarm_rate: str = option(
        "model", "Share of normal images that is_anomaly may be true of, as 0.01; model is that of its registration."
    )
    fdr: str = option(
        "none",
        "Instead, the share of normal images among those that is_anomaly is true of, as 0.1 (Benjamini-Hochberg).",
    )
    maps: str = option("none", "Folder for anomaly maps: a TIFF of 32-bit floats for each image and head.")


@dataclass(eq=False, repr=False)
class ExportOptions:
    """The entry `export`: a model becomes an ONNX file."""

    model: str = option("none", "Address of the model, as models:/NAME/VERSION.")
    output: str = option("model.onnx", "File to write: .onnx.")
    heads: str = option("all", "Heads that it has, separated by commas.")
    input: str = option(
        "none",
        "Folder of images, or a text file with one path per line, on which the file is held against the model; the "
        "model's own example always is.",
    )


@dataclass(eq=False, repr=False)
class MonitorOptions:
    """The entry `monitor`: new images are held against a model's held-out ones."""

    model: str = option("none", "Address of the model, as models:/NAME/VERSION.")
    input: str = option(
        "none",
        "Folder of new images, most of them presumably normal, a text file with one path per line, or a table that "
        "score wrote.",
    )
    heads: str = option("all", "Heads whose class the images are, separated by commas.")
    error_rate: str = option(
        "0.01", "Probability of an alarm, of all heads together, where nothing has changed; above 0, below 1."
    )
    output: str = option("monitor.html", "Page to write: .html.")


@dataclass(eq=False, repr=False)
class DemoOptions:
    """The entry `demo`: a page to try a model."""

    model: str = option("none", "Address of the model, as models:/NAME/VERSION.")
    host: str = option("127.0.0.1", "0.0.0.0 shows the page to the whole network.")
    port: str = option("7860", "Port of the page.")


@dataclass(eq=False, repr=False)
class CacheOptions(DataDirOptions):
    """The entry `cache`: what lies in the data folder."""

    prune: str = option("none", "What to remove: none, unused (for some days), all, or one kind, as features.")
    days: str = option("30", "With unused: after so many days.")
