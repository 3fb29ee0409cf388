"""One search as Optuna stores it (its "study"): opened by one process, repaired after a crash, asked for trials.

Optuna's storage has all there is to know of a trial; MLflow's runs are made of it. Of a trial Optuna stores in
`user_attrs`:

- `is_default`: that it tries the detector's setting as it was before the study;
- `parameters`: what it tries;
- `by_class`: budget to class to validation AUROC;
- `seconds`: how long it took, and `failure`: why it failed, in one line.

A trial that failed without a `failure` belonged to a process that died: another tries its parameters.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from fanogan_mtl.errors import UserError, one_line, without_password
from fanogan_mtl.seeds import derived_seed
from fanogan_mtl.tuning.space import SearchSpace

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.samplers import TPESampler
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
STARTUP_TRIALS = 3  # are never pruned: a median needs some


@contextmanager
def opened_study(name: str, storage: str, folder: Path, objective: Mapping[str, Any]) -> Iterator[Study]:
    """Open a study, made if need be, for this process alone, and repair what another left when it died.

    Parameters
    ----------
    name : str
    storage : str
        `auto`: a journal in the folder; or a database's URL.
    folder : Path
        For the journal, and the lock that keeps other processes out.
    objective : mapping of plain data
        All that the values of trials depend on, by option.

    Raises
    ------
    UserError
        If another process drives the study, the storage can't be used, or the study has another objective.
    """
    import optuna
    from optuna.pruners import MedianPruner

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _only_process(name, folder):
        try:
            opened = _journal(folder / f"{name}.journal") if storage == "auto" else _database(storage)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # parts of Optuna are experimental for years
                study = optuna.create_study(
                    storage=opened,
                    study_name=name,
                    direction="maximize",
                    load_if_exists=True,
                    pruner=MedianPruner(STARTUP_TRIALS),
                )
        except Exception as error:  # each kind of storage fails in ways of its own
            raise UserError(f"storage {without_password(storage)} can't be used ({one_line(error)})") from None
        _check_objective(study, objective)
        _revive(study)
        yield study


def enqueue_default(study: Study, setting: Mapping[str, Any], space: SearchSpace) -> None:
    """Make the first trial try the default setting, whether or not the search space holds it."""
    if not any("is_default" in trial.user_attrs for trial in study.get_trials(deepcopy=False)):
        known = {name: values.stored(setting[name]) for name, values in space.items() if _holds(values, setting, name)}
        study.enqueue_trial(known, user_attrs={"is_default": True})


def ask_trial(study: Study, setting: Mapping[str, Any], space: SearchSpace, seed: int) -> Trial:
    """Begin the next trial; its `parameters` say what it tries.

    Parameters
    ----------
    setting : mapping
        The default setting.
    seed : int
        Of the sampler. A trial draws by its place in the search: one that was cut short goes on as if it hadn't been,
        where trials run one at a time.
    """
    trial = study.ask()
    study.sampler = _sampler(seed, _place(study, trial.number))
    outside = [name for name, values in space.items() if not _holds(values, setting, name)]
    kept = outside if trial.user_attrs.get("is_default") else []
    parameters = {name: values.draw(trial, name) for name, values in space.items() if name not in kept}
    parameters |= {name: setting[name] for name in kept if name in setting}
    trial.set_user_attr("parameters", parameters)
    return trial


def _sampler(seed: int, place: int) -> TPESampler:
    from optuna.samplers import TPESampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # parts of Optuna are experimental for years
        seed = derived_seed(seed, f"sampler {place}") % 2**32
        return TPESampler(seed=seed, constant_liar=True, warn_independent_sampling=False)


def _place(study: Study, number: int) -> int:
    """How many trials were begun before this one, or before the one that it repeats; repetitions don't count."""
    instead_of = {trial.number: trial.user_attrs.get("instead_of") for trial in study.get_trials(deepcopy=False)}
    while (before := instead_of[number]) is not None:
        number = before
    return sum(each < number and repeated is None for each, repeated in instead_of.items())


def finished(study: Study) -> list[FrozenTrial]:
    """The trials that count: complete and pruned ones."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def failed(study: Study) -> list[FrozenTrial]:
    """The trials that failed by themselves."""
    from optuna.trial import TrialState

    return [trial for trial in study.get_trials(deepcopy=False, states=(TrialState.FAIL,)) if why_failed(trial)]


def why_failed(trial: FrozenTrial) -> str | None:
    """Why a trial failed by itself, in one line."""
    reason: str | None = trial.user_attrs.get("failure")
    return reason


def default_trial(study: Study) -> FrozenTrial | None:
    """The trial of the default setting, if it is complete."""
    return next((trial for trial in finished(study) if trial.user_attrs.get("is_default")), None)


def best_trial(study: Study) -> FrozenTrial | None:
    """The complete trial with the best value, the first on a tie."""
    complete = [trial for trial in finished(study) if trial.state.name == "COMPLETE"]
    return max(complete, key=value_of, default=None)


def value_of(trial: FrozenTrial) -> float:
    """Mean validation AUROC at the budget where it is best."""
    return max(trial.intermediate_values.values())


def best_budget(trial: FrozenTrial) -> int:
    """The budget where the mean validation AUROC is best, the smaller on a tie."""
    return max(sorted(trial.intermediate_values), key=trial.intermediate_values.__getitem__)


def study_id(study: Study) -> str:
    """What tells a study from another of the same name in another storage."""
    return str(study.user_attrs["id"])


def _holds(values: Any, setting: Mapping[str, Any], name: str) -> bool:
    return name in setting and values.holds(setting[name])


@contextmanager
def _only_process(name: str, folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another process drives study {name!r}: wait for it, or choose another study_name"
            ) from None
        yield


def _journal(path: Path) -> BaseStorage:
    """Open a journal of Optuna's after any crash: without a torn last line, which would lose trials, or a dead lock."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    for dead in path.parent.glob(f"{path.name}.lock*"):  # only one process drives a study, and it is this one
        dead.unlink(missing_ok=True)
    if path.exists():
        with path.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)
    return JournalStorage(JournalFileBackend(str(path)))


def _database(url: str) -> BaseStorage:
    from optuna.storages import RDBStorage

    os.environ.setdefault("PGCONNECT_TIMEOUT", "10")  # PostgreSQL's own patience is minutes
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return RDBStorage(url)


def _check_objective(study: Study, objective: Mapping[str, Any]) -> None:
    objective = json.loads(json.dumps(objective))
    known = study.user_attrs.get("objective")
    if known is None and not study.get_trials(deepcopy=False):
        study.set_user_attr("id", uuid4().hex)
        study.set_user_attr("objective", objective)
    elif known != objective:
        differing = [name for name in objective if (known or {}).get(name) != objective[name]]
        raise UserError(
            f"study {study.study_name!r} is there with another objective ({', '.join(differing)} differ):"
            " choose another study_name"
        )


def _revive(study: Study) -> None:
    """End the trials that a process left running when it died, each once another is there to try the same."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    replaced = {trial.user_attrs.get("instead_of") for trial in trials}
    for trial in trials:
        if trial.state != TrialState.RUNNING:
            continue
        if trial.number not in replaced:
            known = trial.system_attrs.get("fixed_params", trial.params)
            is_default = {"is_default": True} if trial.user_attrs.get("is_default") else {}
            study.enqueue_trial(known, user_attrs={"instead_of": trial.number, **is_default})
        study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
