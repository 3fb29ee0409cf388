"""Records a search in MLflow: one run per trial, made of what Optuna stores; and looks up a search's best setting."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from fanogan_mtl.errors import UserError
from fanogan_mtl.plan.words import FindStudy
from fanogan_mtl.tracking import names, records, schema
from fanogan_mtl.tracking.connection import Tracking
from fanogan_mtl.tracking.records import Record, Value
from fanogan_mtl.tuning.study import NAME, failed, finished, study_id, why_failed

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial


def study_tags(study: Study) -> dict[str, str]:
    """Tags by which a search's runs are found."""
    return {schema.STUDY_NAME: study.study_name, schema.STUDY_ID: study_id(study)}


def take_over(tracking: Tracking, run_id: str, study: Study) -> None:
    """Bring MLflow in line with a search that goes on in a new run: every trial is there once, under that run.

    Parameters
    ----------
    run_id : str
        The new run.
    """
    known = study_id(study)
    for sweep in records.find_sweeps(tracking, study_id=known):
        if sweep.status == "RUNNING" and sweep.run_id != run_id:  # of a process that died
            records.finish(tracking, sweep.run_id, "KILLED")
    recorded = set()
    for run in records.find_trials(tracking, study_id=known):
        if run.status in schema.ENDED and run.number not in recorded:
            recorded.add(run.number)
            records.move(tracking, run.run_id, run_id)
        else:
            records.delete_run(tracking, run.run_id)
    for trial in [*finished(study), *failed(study)]:
        if trial.number not in recorded:
            record_trial(tracking, run_id, study, trial)


def record_trial(tracking: Tracking, run_id: str, study: Study, trial: FrozenTrial) -> None:
    """Write the run of a trial that has ended; its status is set last."""
    stored = trial.user_attrs
    name = f"trial {trial.number}" + (" (default)" if stored.get("is_default") else "")
    state = {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed")
    tags = {schema.LEVEL: "trial", schema.TRIAL: str(trial.number), schema.STATE: state, schema.SWEEPS: run_id}
    tags |= study_tags(study)
    if failure := why_failed(trial):
        tags |= {schema.FAILURE: failure, schema.NOTE: f"**{names.shortened(failure, 5000)}**"}
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
    """Write the best setting and the metrics it reached into a search's run."""
    tags = names.pieces(
        schema.BEST_SETTING, json.dumps({"detector": detector, "parameters": parameters}, sort_keys=True)
    )
    metrics = [Value(name, value, 0) for name, value in values.items()]
    records.write(tracking, run_id, Record(values=metrics, tags=tags, time=records.now()))


def study_finder(tracking: Tracking | None) -> FindStudy | None:
    """Make a function that finds a search by name among the experiment's runs, and gives its best setting."""
    return partial(_best_setting, tracking) if tracking else None


def _best_setting(tracking: Tracking, name: str) -> tuple[str, Mapping[str, Any]]:
    runs = records.find_sweeps(tracking, study_name=name) if NAME.fullmatch(name) else []
    best = [setting for run in runs if (setting := run.json(schema.BEST_SETTING))]
    if not best:
        raise UserError(f"study {name!r} has no best setting in this experiment: run it to its end with the entry tune")
    return best[-1]["detector"], best[-1]["parameters"]
