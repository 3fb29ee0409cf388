"""Metrics of one scored test, under scikit-learn's names. An anomaly is the positive class.

To add one, write its entry in `METRICS`. Metrics are computed of what a cell has stored, so when the same command is
started again, a new one appears for cells that are done already, without a training: on the runs of cells and
comparisons and on the model of the best, and in the report if it is to have a table there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from fanogan_mtl.evaluation.checks import checked, checked_weights
from fanogan_mtl.evaluation.conformal import conformal_threshold, kept_rate, lowest_rate

ASKED = 0.1  # the false-alarm rate of the threshold that precision, recall and their like are at
_ROUNDING = 1e-9  # of sums of weights: far less than a row is of any test


@dataclass(frozen=True)
class MetricInput:
    """What metrics are computed of.

    Attributes
    ----------
    anomaly : bool array of shape (n,)
    scores : float array of shape (n,)
    threshold_training : float
        The detector's own, a quantile of its training scores.
    weights : float array of shape (n,) or None
        How much each row counts; None where all count the same.
    normal_scores : float array of shape (m,) or None
        Of the held-out normal rows of the validation; None where they were not kept, as by earlier versions.
    """

    anomaly: NDArray[np.bool_]
    scores: NDArray[np.float64]
    threshold_training: float
    weights: NDArray[np.float64] | None
    normal_scores: NDArray[np.float64] | None = None

    @cached_property
    def threshold(self) -> float:
        """The conformal one of one false alarm in ten, or of the lowest rate that can be promised, if greater."""
        if self.normal_scores is None:
            return self.threshold_training
        return conformal_threshold(self.normal_scores, kept_rate(len(self.normal_scores), ASKED))

    @cached_property
    def found(self) -> NDArray[np.bool_]:
        """Rows (n,) that score above the threshold (not at it), as in PyOD."""
        return self.scores > self.threshold

    def share_above(self, threshold: float, anomalies: bool) -> float:
        """Weighted share of the anomalies, or of the normal rows, above a threshold."""
        rows = self.anomaly if anomalies else ~self.anomaly
        return float(recall_score(rows, self.scores > threshold, sample_weight=self.weights))

    def share_at(self, rate: float, anomalies: bool) -> float | None:
        """The same above the conformal threshold for a false-alarm rate; None where it can't be promised."""
        if self.normal_scores is None or lowest_rate(len(self.normal_scores)) > rate:
            return None
        return self.share_above(conformal_threshold(self.normal_scores, rate), anomalies)

    @cached_property
    def rates(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """False-positive and true-positive rate at every cut between scores."""
        fpr, tpr, _ = roc_curve(self.anomaly, self.scores, sample_weight=self.weights, drop_intermediate=False)
        return fpr, tpr

    def greatest_recall(self, most: float) -> float:
        """The greatest recall with at most that share of false positives; nothing is interpolated."""
        fpr, tpr = self.rates
        return float(tpr[fpr <= most + _ROUNDING].max())


@dataclass(frozen=True)
class Metric:
    """One figure of a scored test.

    Attributes
    ----------
    label : str
        What people call it, as a table's caption.
    meaning : str
        One sentence, with formula or source, for the docs.
    of : callable or None
        Computes it; None for what is measured while a cell runs, and stored.
    may_be_absent : bool
        Whether `of` may give None, where the test doesn't say.
    unit : {"share", "score", "seconds"}
        A share is in [0, 1], and shown in percent. Scores of two detectors have no common unit, so what is in units of
        scores is not averaged. Seconds are averaged, but their deviation says nothing.
    higher_is_better : bool or None
        None where neither is.
    in_view, in_report : bool
        Whether it is a column of the view that a sweep leaves in MLflow, and a table of the report, where it must be a
        share that is never absent, the higher the better; leave both off unless people choose by it.
    """

    label: str
    meaning: str
    of: Callable[[MetricInput], float | None] | None = None
    may_be_absent: bool = False
    unit: Literal["share", "score", "seconds"] = "share"
    higher_is_better: bool | None = True
    in_view: bool = False
    in_report: bool = False


METRICS: dict[str, Metric] = {
    "auroc": Metric(
        "AUROC",
        "Area under the ROC curve: the share of pairs of an anomaly and a normal row that are ranked right, ties half "
        "(scikit-learn's `roc_auc_score`).",
        lambda test: float(roc_auc_score(test.anomaly, test.scores, sample_weight=test.weights)),
        in_view=True,
        in_report=True,
    ),
    "auprc": Metric(
        "Average precision",
        "Area under the precision-recall curve as scikit-learn's `average_precision_score` sums it.",
        lambda test: float(average_precision_score(test.anomaly, test.scores, sample_weight=test.weights)),
        in_view=True,
    ),
    "precision": Metric(
        "Precision",
        "The share of anomalies among the rows above the threshold; 0 where there is none.",
        lambda test: float(precision_score(test.anomaly, test.found, sample_weight=test.weights, zero_division=0)),
        in_report=True,
    ),
    "recall": Metric(
        "Recall",
        "The share of anomalies above the threshold.",
        lambda test: test.share_above(test.threshold, anomalies=True),
        in_report=True,
    ),
    "f1": Metric(
        "F1",
        "Harmonic mean of precision and recall.",
        lambda test: float(f1_score(test.anomaly, test.found, sample_weight=test.weights)),
    ),
    "balanced_accuracy": Metric(
        "Balanced accuracy",
        "Mean of the recall and of the share of normal rows at or below the threshold.",
        lambda test: float(balanced_accuracy_score(test.anomaly, test.found, sample_weight=test.weights)),
    ),
    "false_alarm_rate": Metric(
        "False alarms",
        "The share of normal rows above the threshold; 0.1 is asked for, see [thresholds](thresholds.md).",
        lambda test: test.share_above(test.threshold, anomalies=False),
        higher_is_better=False,
    ),
    "false_alarm_rate_promised": Metric(
        "False alarms promised",
        "What the threshold promises: 0.1, or 1 / (n + 1) where n held-out normal rows can't promise that.",
        lambda test: None if test.normal_scores is None else kept_rate(len(test.normal_scores), ASKED),
        may_be_absent=True,
        higher_is_better=None,
    ),
    **{
        name: Metric(
            f"{label} at {100 * rate:.0f} % asked",
            f"The share of {of} above the conformal threshold for {100 * rate:.0f} % false alarms; "
            "absent where the held-out normal rows can't promise that.",
            partial(MetricInput.share_at, rate=rate, anomalies=anomalies),
            may_be_absent=True,
            higher_is_better=anomalies,
        )
        for rate in (0.01, 0.05)
        for name, label, of, anomalies in (
            (f"false_alarm_rate_asked_{100 * rate:.0f}", "False alarms", "normal rows", False),
            (f"recall_asked_{100 * rate:.0f}", "Recall", "anomalies", True),
        )
    },
    "false_alarm_rate_training": Metric(
        "False alarms, training threshold",
        "The share of normal rows above `threshold_training`, where 0.1 is meant.",
        lambda test: test.share_above(test.threshold_training, anomalies=False),
        higher_is_better=False,
    ),
    "fpr_at_95_tpr": Metric(
        "False alarms at 95 % recall",
        "The least false-positive rate at which at least 95 % of the anomalies are found.",
        lambda test: float(test.rates[0][test.rates[1] >= 0.95 - _ROUNDING].min()),
        higher_is_better=False,
    ),
    "recall_at_1_fpr": Metric(
        "Recall at 1 % false alarms",
        "The greatest recall with at most 1 % false positives; nothing is interpolated.",
        lambda test: test.greatest_recall(0.01),
    ),
    "recall_at_5_fpr": Metric(
        "Recall at 5 % false alarms",
        "The greatest recall with at most 5 % false positives; nothing is interpolated.",
        lambda test: test.greatest_recall(0.05),
    ),
    "threshold": Metric(
        "Threshold",
        "The conformal one for 10 % false alarms, from the scores of the validation's normal rows.",
        lambda test: float(test.threshold),
        unit="score",
        higher_is_better=None,
    ),
    "threshold_training": Metric(
        "Training threshold",
        "The 0.9 quantile of the training scores (PyOD's `threshold_` with `contamination=0.1`).",
        lambda test: float(test.threshold_training),
        unit="score",
        higher_is_better=None,
    ),
    "validation_auroc": Metric("Validation AUROC", "AUROC on the validation part: what choices are made by."),
    "pixel_auroc": Metric(
        "Pixel AUROC",
        "AUROC of the pixels of anomaly maps against masks, over all test images that are normal or have a mask; "
        "`pixel_auroc_<class>` is that of one kind of anomaly. Only of data sets with masks and detectors with maps.",
    ),
    "pixel_auprc": Metric("Pixel average precision", "Average precision of the same pixels."),
    "pixel_aupro": Metric(
        "AUPRO",
        "Area under the per-region overlap up to 30 % false positives, divided by 0.3 (Bergmann et al. 2021): every "
        "connected region of the masks counts the same.",
    ),
    "pixel_aupro_05": Metric("AUPRO at 5 %", "The same up to 5 % false positives, divided by 0.05."),
    "pixel_f1": Metric("Best pixel F1", "The best F1 of the pixels that any threshold gives: chosen on the test."),
    "fit_seconds": Metric(
        "Training time", "Training time up to a budget.", unit="seconds", higher_is_better=False, in_view=True
    ),
    "score_seconds": Metric("Scoring time", "Time to score the test part.", unit="seconds", higher_is_better=False),
}
"""Name, as MLflow shows it, to metric."""


def detection_metrics(
    anomaly: ArrayLike,
    scores: ArrayLike,
    threshold: float,
    weights: ArrayLike | None = None,
    normal_scores: ArrayLike | None = None,
) -> dict[str, float]:
    """Compute every metric of one test.

    Parameters
    ----------
    anomaly : (n,) bool, both values present
    scores : (n,) real, finite; the higher the more abnormal
    threshold : finite
        The detector's own; rows that score above it (not at it) count as found, as in PyOD.
    weights : (n,), finite and above 0, optional
        How much each row counts (scikit-learn's `sample_weight`); all the same by default. See `class_weights`.
    normal_scores : (m,), finite, optional
        Of normal rows that neither training nor test has seen. With them the threshold is the conformal one for 10 %
        false alarms, see `conformal_threshold`, and the detector's own is beside it.

    Returns
    -------
    dict
        Name to value, of each entry of `METRICS` that is computed and that this test says something of.

    Raises
    ------
    ValueError
        For another shape, values that are not finite, one class only, or weights that are not above 0.

    Examples
    --------
    >>> metrics = detection_metrics([False, False, True, True], [0.1, 0.4, 0.3, 0.9], threshold=0.5)
    >>> metrics["auroc"], metrics["recall"]
    (0.75, 0.5)
    """
    anomaly, scores = checked(anomaly, scores)
    if not np.isfinite(threshold):
        raise ValueError(f"threshold must be finite, got {threshold}")
    held_out = None if normal_scores is None else np.asarray(normal_scores, np.float64)
    test = MetricInput(anomaly, scores, threshold, checked_weights(weights, len(scores)), held_out)
    return computed_metrics(test)


def computed_metrics(test: MetricInput, known: Mapping[str, float] = MappingProxyType({})) -> dict[str, float]:
    """Compute the metrics that are not known yet, of those that a test says something of."""
    values = {name: metric.of(test) for name, metric in METRICS.items() if metric.of and name not in known}
    return {name: value for name, value in values.items() if value is not None}


def auroc(anomaly: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Compute the AUROC alone; input and errors as in `detection_metrics`."""
    anomaly, scores = checked(anomaly, scores)
    return float(roc_auc_score(anomaly, scores, sample_weight=checked_weights(weights, len(scores))))
