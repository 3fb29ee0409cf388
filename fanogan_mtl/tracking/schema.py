"""What a run in MLflow holds: the only module that spells the tags and parameters that are read back.

Every run has the tag `level`. An entry point's run is a *sweep* (of `benchmark`, `hybrid` or `tune`) or has the entry's
own name; under a sweep lie its *comparisons*, under each its *cells*; under the run that needed them lie *extractors*,
and under a search its *trials*. A class here is such a run as it is read; `records` finds and writes them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fanogan_mtl.tracking import names

if TYPE_CHECKING:
    from mlflow.entities import Run

# tags
LEVEL = "level"
PARENT, NOTE = "mlflow.parentRunId", "mlflow.note.content"
ENTRY = "entry"  # of a sweep: which entry point made it
SWEEPS = "sweeps"  # of a comparison: ids of the sweeps that have it, separated by commas
COMPARISON_KEY, CELL_KEY, EXTRACTOR_KEY = "comparison_key", "cell_key", "extractor_key"
FINISHED_CELLS = "finished_cells"  # of a comparison that is complete: keys of its cells
SPEC = "comparison"  # of a comparison: JSON of what is compared
MARKS, MARKS_EXPLAINED = "marks", "marks_explained"  # of a comparison: for people, and JSON, mark to sentence
FAILURE = "failure"  # of a cell or trial: what went wrong, in one line
MODEL_KEY, MODEL_URI, REGISTERED_MODEL = "model_key", "model_uri", "registered_model"
REPORT_KEY, PREPROCESS_KEY = "report_key", "preprocess_key"
STUDY_ID, STUDY_NAME, BEST_SETTING = "study_id", "study_name", "best_setting"  # of a search's sweep
TRIAL, STATE = "trial", "state"
JOURNAL = "journal"  # of an entry point's run: the journal whose lock says that its process lives

# parameters
NORMAL_CLASS, ANOMALOUS_CLASS, SEED = "normal_class", "anomalous_class", "seed"
EVERY_OTHER = "all"  # an anomalous class
SETTING, EXTRACTOR, N_FEATURES = "setting", "extractor", "n_features"

DONE, ENDED = "FINISHED", ("FINISHED", "FAILED")


@dataclass(frozen=True)
class ReadRun:
    """Any run as it was when it was read."""

    run: Run

    @property
    def run_id(self) -> str:
        """MLflow's id."""
        return str(self.run.info.run_id)

    @property
    def name(self) -> str:
        """What MLflow shows."""
        return str(self.run.info.run_name)

    @property
    def artifact_uri(self) -> str:
        """Where its files are."""
        return str(self.run.info.artifact_uri)

    @property
    def experiment_id(self) -> str:
        """The experiment that it lies in."""
        return str(self.run.info.experiment_id)

    @property
    def level(self) -> str:
        """What kind of run it is; `none` for a run that this project did not make."""
        return self.tag(LEVEL, "none")

    @property
    def status(self) -> str:
        """RUNNING, FINISHED, FAILED or KILLED."""
        return str(self.run.info.status)

    @property
    def ended(self) -> int:
        """When it ended, in milliseconds since 1970; 0 for a run that has not."""
        return int(self.run.info.end_time or 0)

    @property
    def failure(self) -> str:
        """What went wrong, in one line; empty where nothing did."""
        return self.tag(FAILURE)

    def tag(self, name: str, absent: str = "") -> str:
        """Give a tag."""
        return str(self.run.data.tags.get(name, absent))

    def json(self, name: str) -> Any:
        """Give what a tag, perhaps in pieces, holds as JSON; None where it is absent."""
        return json.loads(names.joined(self.run.data.tags, name, "null"))

    def parameter(self, name: str, absent: str = "") -> str:
        """Give a parameter."""
        return str(self.run.data.params.get(name, absent))

    def metric(self, name: str) -> float:
        """Give the newest value of a metric that is there."""
        return float(self.run.data.metrics[name])

    def has_metric(self, name: str) -> bool:
        """Tell whether the run has a metric."""
        return name in self.run.data.metrics


class SweepRun(ReadRun):
    """The run of `benchmark`, `hybrid` or `tune`."""

    @property
    def entry(self) -> str:
        """The entry's name: a tag; runs that earlier versions made have it only as the first word of their name."""
        return self.tag(ENTRY) or self.name.partition(" ")[0]

    @property
    def environment(self) -> dict[str, str]:
        """Commit, device, processor, cores, and `versions` in one line."""
        tags: dict[str, str] = self.run.data.tags
        versions = {name.removeprefix("version."): value for name, value in tags.items() if name.startswith("version.")}
        shown = {"commit": "git_state", "device": "device", "processor": "processor", "cores": "cores"}
        return {name: self.tag(tag) for name, tag in shown.items()} | {
            "versions": ", ".join(f"{name} {value}" for name, value in sorted(versions.items()))
        }


class ComparisonRun(ReadRun):
    """The run of a comparison, which several sweeps may share."""

    @property
    def key(self) -> str:
        """The comparison's key."""
        return self.tag(COMPARISON_KEY)

    @property
    def parent_id(self) -> str:
        """The sweep that began it."""
        return self.tag(PARENT)

    @property
    def sweeps(self) -> list[str]:
        """Ids of the sweeps that have it, the first first."""
        return [run_id for run_id in self.tag(SWEEPS).split(",") if run_id]

    @property
    def has_data(self) -> bool:
        """Whether its data set is attached, which is the last step of its beginning."""
        return bool(self.run.inputs and self.run.inputs.dataset_inputs)

    @property
    def setting(self) -> str:
        """Name of the detector's setting."""
        return self.parameter(SETTING)

    @property
    def marks(self) -> dict[str, str]:
        """Mark to sentence; none of one that an earlier version recorded."""
        return dict(self.json(MARKS_EXPLAINED) or {})

    @property
    def told_cells(self) -> frozenset[str]:
        """Keys of the cells that had finished when it was last complete; more may have since."""
        return frozenset(names.joined(self.run.data.tags, FINISHED_CELLS).split(",")) - {""}

    @property
    def finished_cells(self) -> frozenset[str]:
        """Keys of all finished cells, without a look at each; none while some are still to be trained."""
        return self.told_cells if self.status == DONE else frozenset()

    @property
    def is_complete(self) -> bool:
        """Whether its cells had all ended, well or not, when it was closed."""
        return self.status in ENDED


class CellRun(ReadRun):
    """The run of a cell."""

    @property
    def key(self) -> str:
        """The cell's key."""
        return self.tag(CELL_KEY)

    @property
    def parent_id(self) -> str:
        """The comparison's run that it lies under."""
        return self.tag(PARENT)

    @property
    def comparison_key(self) -> str:
        """Key of the comparison that it is a cell of."""
        return self.tag(COMPARISON_KEY)

    @property
    def extractor_key(self) -> str | None:
        """Which trained extractor made its features; None on pixels."""
        return self.tag(EXTRACTOR_KEY) or None

    @property
    def draw(self) -> tuple[str, str | None, int]:
        """The class that is normal, the only one that is anomalous (None for all others), and the seed."""
        anomalous = self.parameter(ANOMALOUS_CLASS)
        return self.parameter(NORMAL_CLASS), None if anomalous == EVERY_OTHER else anomalous, int(self.parameter(SEED))


class ExtractorRun(ReadRun):
    """The run of a trained extractor."""

    @property
    def key(self) -> str:
        """The extractor's key."""
        return self.tag(EXTRACTOR_KEY)

    @property
    def extractor(self) -> str:
        """Its name in the registry."""
        return self.parameter(EXTRACTOR)

    @property
    def n_features(self) -> int | None:
        """How many features it makes of an image; None if its recording was cut short."""
        text = self.parameter(N_FEATURES)
        return int(text) if text else None


class TrialRun(ReadRun):
    """The run of one trial of a search."""

    @property
    def number(self) -> int:
        """Optuna's number of it."""
        return int(self.tag(TRIAL))


def cell_parameters(normal_class: str, anomalous_class: str | None, seed: int) -> dict[str, object]:
    """Parameters from which `CellRun.draw` is read."""
    return {NORMAL_CLASS: normal_class, ANOMALOUS_CLASS: anomalous_class or EVERY_OTHER, SEED: seed}
