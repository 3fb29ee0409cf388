"""The outcome of a search: its best setting beside the default, on validation data and on the test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fanogan_mtl.evaluation.statistics import percent
from fanogan_mtl.plan.plan import PlannedComparison
from fanogan_mtl.plan.words import STUDY
from fanogan_mtl.recording.results import ComparisonResult
from fanogan_mtl.tuning.study import (
    best_budget,
    default_trial,
    value_of,
)
from fanogan_mtl.tuning.tuning import Tuning

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial


def compared(
    tuning: Tuning, study: Study, best: FrozenTrial, results: Mapping[str, ComparisonResult]
) -> tuple[list[list[str]], str]:
    """Make the table of the default and the best setting (its head first), and one sentence on it."""
    datasets = [each.dataset.name for each in tuning.plan.comparisons]
    head = ["setting", *tuning.space, "validation AUROC"]
    head += ["test AUROC"] if len(datasets) == 1 else [f"test {name}" for name in datasets]
    rows = [head]
    base = default_trial(study)
    for name, trial in (("default", base), (f"trial {best.number}", best)):
        if trial is None:
            continue
        parameters = trial.user_attrs["parameters"]
        row = [name, *(_short(parameters.get(each)) for each in tuning.space), percent(value_of(trial))]
        rows.append([*row, *_tested(tuning, trial, results)])
    if base is None:
        return rows, "The default setting failed, so nothing can be said of an improvement over it."
    if value_of(best) <= value_of(base):
        return rows, "No setting is better than the default on validation data: it was not improved."
    values = f"from {percent(value_of(base))} to {percent(value_of(best))}"
    return rows, f"Trial {best.number} improved validation AUROC over the default {values}; no choice saw the test."


def judged(tuning: Tuning, study: Study, best: FrozenTrial) -> tuple[PlannedComparison, ...]:
    """Give the comparisons to be tested: the default's, unless it failed, and the best's, unless it is the default."""
    tuned = tuning.comparisons(best.user_attrs["parameters"], f"{STUDY}{study.study_name}")
    default = tuning.plan.comparisons if default_trial(study) else ()
    known = {each.comparison.key for each in default}
    return (*default, *(each for each in tuned if each.comparison.key not in known))


def _tested(tuning: Tuning, trial: FrozenTrial, results: Mapping[str, ComparisonResult]) -> list[str]:
    """Test AUROC on each data set at the budget that validation chose, in percent; `-` where cells failed."""
    keys = [each.comparison.key for each in tuning.comparisons(trial.user_attrs["parameters"], "")]
    return [percent(results[key].auroc[best_budget(trial)]) if key in results else "-" for key in keys]


def metrics_reached(
    tuning: Tuning, study: Study, best: FrozenTrial, results: Mapping[str, ComparisonResult]
) -> dict[str, float]:
    """Metrics of the search's run."""
    reached = {}
    for name, trial in (("default", default_trial(study)), ("best", best)):
        if trial is None:
            continue
        reached[f"validation_auroc_{name}"] = value_of(trial)
        keys = [each.comparison.key for each in tuning.comparisons(trial.user_attrs["parameters"], "")]
        tested = [results[key].auroc[best_budget(trial)] for key in keys if key in results]
        if len(tested) == len(keys):
            reached[f"auroc_{name}"] = sum(tested) / len(tested)
    return reached


def _short(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:.3g}" if isinstance(value, float) else "-" if value is None else str(value)
