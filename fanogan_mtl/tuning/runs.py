"""A study in MLflow: a run for each trial, made of what Optuna stores, and the best setting for whoever asks for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from fanogan_mtl.errors import UserError
from fanogan_mtl.plan.words import FindStudy
from fanogan_mtl.tracking import names, records
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.records import Record, Value
from fanogan_mtl.tuning.study import NAME, failed, finished, study_id, why_failed

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

BEST = "best_setting"
"""Tag of a study's run: JSON of the detector and the parameters that did best."""


def study_tags(study: Study) -> dict[str, str]:
    """Tags by which a study's runs are found."""
    return {"study_name": study.study_name, "study_id": study_id(study)}


def take_over(tracking: Tracking, run_id: str, study: Study) -> None:
    """Bring MLflow in line with a study that goes on in a new run: every trial is there once, under that run.

    Parameters
    ----------
    run_id : str
        The new run.
    """
    known = study_tags(study)["study_id"]
    for run in records.find_runs(tracking, "sweep", study_id=known):
        if run.info.status == "RUNNING" and run.info.run_id != run_id:  # of a process that died
            records.finish(tracking, run.info.run_id, "KILLED")
    recorded = set()
    for run in records.find_runs(tracking, "trial", study_id=known):
        number = int(run.data.tags["trial"])
        if run.info.status in ("FINISHED", "FAILED") and number not in recorded:
            recorded.add(number)
            records.move(tracking, run.info.run_id, run_id)
        else:
            records.discard(tracking, run.info.run_id)
    for trial in [*finished(study), *failed(study)]:
        if trial.number not in recorded:
            record_trial(tracking, run_id, study, trial)


def record_trial(tracking: Tracking, run_id: str, study: Study, trial: FrozenTrial) -> None:
    """Write the run of a trial that has ended, and only then call it so."""
    stored = trial.user_attrs
    name = f"trial {trial.number}" + (" (default)" if stored.get("is_default") else "")
    state = {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed")
    tags = {"level": "trial", **study_tags(study), "trial": str(trial.number), "state": state, "sweeps": run_id}
    if failure := why_failed(trial):
        tags |= {"failure": failure, "mlflow.note.content": f"**{names.shortened(failure, 5000)}**"}
    values = [Value("validation_auroc", value, budget) for budget, value in trial.intermediate_values.items()]
    for budget, by_class in stored.get("by_class", {}).items():
        values += [Value(f"validation_auroc_class_{each}", value, int(budget)) for each, value in by_class.items()]
    if "seconds" in stored:
        values.append(Value("seconds", stored["seconds"], max(trial.intermediate_values)))
    parameters = {"trial": trial.number, **stored.get("parameters", {})}
    trial_run = records.create_run(tracking, run_id, name, tags)
    records.write(tracking, trial_run, Record(parameters, values, time=records.now()))
    records.finish(tracking, trial_run, "FAILED" if failure else "FINISHED")


def record_best(
    tracking: Tracking, run_id: str, detector: str, parameters: Mapping[str, Any], values: Mapping[str, float]
) -> None:
    """Note in a study's run which setting did best, and what it reached."""
    tags = names.pieces(BEST, json.dumps({"detector": detector, "parameters": parameters}, sort_keys=True))
    metrics = [Value(name, value, 0) for name, value in values.items()]
    records.write(tracking, run_id, Record(values=metrics, tags=tags, time=records.now()))


def study_finder(tracking: Tracking | None) -> FindStudy | None:
    """What looks up the best setting of a study, by its name, among the experiment's runs."""
    return partial(_best_setting, tracking) if tracking else None


def _best_setting(tracking: Tracking, name: str) -> tuple[str, Mapping[str, Any]]:
    runs = records.find_runs(tracking, "sweep", study_name=name) if NAME.fullmatch(name) else []
    best = [names.joined(run.data.tags, BEST) for run in runs if BEST in run.data.tags]
    if not best:
        raise UserError(f"study {name!r} has no best setting in this experiment: run it to its end with the entry tune")
    newest = json.loads(best[-1])
    return newest["detector"], newest["parameters"]
