"""What the entry points share: options with the same meaning everywhere, and one line for a mistake."""

import sys
import traceback
from collections.abc import Callable
from functools import reduce
from io import TextIOWrapper
from typing import Any

import click

from fanogan_mtl.errors import UserError, one_line, without_password

SPELLING = {"token_normalize_func": lambda name: name.replace("_", "-")}  # --data_dir, as in MLproject, is --data-dir
DATASET = click.option(
    "--dataset", default="sample", show_default=True,
    help="Data sets: sample, paper, mnist, svhn, usps, folder:PATH, NAME=npz:PATH, adbench:PATH, pools a+b, lists a,b; "
    "after folder: and npz: settings such as folder:PATH?image_size=64&colour=rgb.",
)  # fmt: skip
DATA_DIR = click.option(
    "--data-dir", default="auto", show_default=True, help="Folder of prepared data; auto is the user's cache."
)
CLASSES = click.option("--classes", default="all", show_default=True, help="Classes to take as normal, as 0,3,8.")
SEEDS = click.option("--seeds", default="0", show_default=True, help="Seeds, as 0,1,2.")
LIMIT = click.option(
    "--limit", default="none", show_default=True, help="At most so many training and so many test images a class."
)
DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
WORKERS = click.option("--workers", default="auto", show_default=True, help="Worker processes; auto is one a core.")
SCHEDULER = click.option(
    "--scheduler", default="none", show_default=True,
    help="Address of a Dask cluster that runs the cells, as tcp://HOST:8786; none is worker processes here.",
)  # fmt: skip
EXTRACTOR_PARAMS = click.option(
    "--extractor-params", default="none", show_default=True,
    help='Parameters as JSON, as {"resnet18": {"n_components": 32}}.',
)  # fmt: skip
EXTRACTOR_EPOCHS = click.option(
    "--extractor-epochs", default="default", show_default=True,
    help="Epochs of training at most; default is each extractor's own.",
)  # fmt: skip
WEIGHTS = click.option(
    "--weights", default="default", show_default=True,
    help="File with ImageNet weights (a state dict of torchvision's resnet18); default downloads them.",
)  # fmt: skip


def benchmark_options(detectors: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options of every entry that trains detectors; `detectors` are the default ones."""
    options = [
        click.option("--detectors", default=detectors, show_default=True, help="Detectors; also pyod:ClassName."),
        click.option(
            "--detector-params", default="none", show_default=True,
            help='Parameters as JSON, as {"fanogan": {"latent_dim": 32}, "vae": "tuned"}; tuned for all; study:NAME.',
        ),
        click.option("--epochs", default="20,50", show_default=True, help="Epoch budgets."),
        click.option("--batch-size", default="default", show_default=True, help="For detectors that take it."),
        click.option("--latent-dim", default="default", show_default=True, help="For detectors that take it."),
        click.option("--kappa", default="default", show_default=True, help="f-AnoGAN's weight of the feature term."),
        CLASSES,
        SEEDS,
        LIMIT,
        click.option(
            "--log-models", default="best", show_default=True,
            help="Models to keep: none, best (of each data set, by validation AUROC) or all.",
        ),
        click.option("--dry-run", default="false", show_default=True, help="true: print the plan, train nothing."),
        click.option(
            "--retry", default="false", show_default=True,
            help="true: train again the cells that failed, and those whose result is gone from MLflow's artifacts.",
        ),
        DATA_DIR,
        DEVICE,
        WORKERS,
        SCHEDULER,
    ]  # fmt: skip
    return lambda function: reduce(lambda decorated, option: option(decorated), reversed(options), function)


def run(command: click.Command) -> None:
    """Run a command: a person's mistake becomes one line and exit status 2, Ctrl-C says how to go on."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a letter ends no run
    try:
        status: Any = command.main(standalone_mode=False)
    except click.ClickException as error:
        _fail(error.format_message(), 2)
    except UserError as error:
        _fail(str(error), 2)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted; what is finished is recorded: start the same command again to go on", 130)
    except Exception as error:
        from_mlflow = _from_mlflow(error) if "mlflow" in sys.modules else ""
        if not from_mlflow:
            click.echo(without_password(traceback.format_exc()), err=True)
            sys.exit(1)
        _fail(f"{from_mlflow} ({one_line(error)}); nothing trained is lost: start the same command again", 1)
    else:
        sys.exit(status or 0)


def _from_mlflow(error: Exception) -> str:
    """Say whether it is MLflow that failed or refused."""
    from fanogan_mtl.tracking.outbox import is_away, is_refusal

    if is_away(error):
        return "MLflow or its store failed"
    return "MLflow refuses what this run sends" if is_refusal(error) else ""


def _fail(message: str, status: int) -> None:
    click.echo(f"Error: {without_password(message)}", err=True)
    sys.exit(status)
