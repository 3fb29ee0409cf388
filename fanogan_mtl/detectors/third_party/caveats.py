"""Known faults of third-party detectors, measured by `python -m bench.detectors_survey` on PyOD 3.6.7."""

from __future__ import annotations

TRANSDUCTIVE = "transductive"
UNRELIABLE = "unreliable"
UNEXAMINED = "unexamined"
NOT_REPEATABLE = "not repeatable"
BY_MEASUREMENT = "depends on company"  # as transductive, but found in the cells of a comparison

UNSERVABLE = (TRANSDUCTIVE, NOT_REPEATABLE, BY_MEASUREMENT)
"""Marks of detectors whose score of a new row says nothing by itself."""

# fmt: off
EXAMINED = frozenset(
    [
        "ABOD", "AE1SVM", "ALAD", "AnoGAN", "AutoEncoder", "CBLOF", "CD", "COF", "COPOD", "DIF", "DeepSVDD",
        "ECOD", "GMM", "HBOS", "HDBSCAN", "IForest", "INNE", "KDE", "KNN", "KPCA", "LMDD",
        "LOCI", "LODA", "LOF", "LSCP", "LUNAR", "MAD", "MCD", "MO_GAAL", "OCSVM", "PCA", "QMCD", "RGraph",
        "ROD", "SOD", "SOS", "SO_GAAL", "SUOD", "Sampling", "VAE",
    ]
)
# fmt: on
"""PyOD's classes that were examined."""

BY_COMPANY = {
    "CD": "it takes the last feature for a target and regresses the rows scored together on it",
    "COF": "it looks for a row's neighbours among the rows scored together",
    "LMDD": "it measures how much the spread of the rows scored together shrinks without a row",
    "LOCI": "it counts a row's neighbours among the rows scored together",
    "RGraph": "it walks over a graph of the training rows and ten of the rows scored together",
    "ROD": "it turns the rows scored together around their own median",
    "SOD": "it looks for a row's neighbours among the rows scored together",
    "SOS": "it compares the affinities of the rows scored together",
    "SUOD": "PyOD's COPOD, one of those it joins, counts the rows scored together",
}
"""PyOD class -> how a row's score depends on the rows it is scored with."""

ON_EASY_DATA = {
    "ALAD": "its default training tells too little apart: AUROC 6 to 36 % on scikit-learn's digits",
    "HDBSCAN": "a row gets its training neighbours' scores however far they are, and one cluster is taken for noise "
    "whole: AUROC 44 % on one normal cloud with far outliers",
    "MO_GAAL": "its artificial anomalies lie between 0 and 1: AUROC 20 to 31 % for far outliers of standardised rows",
    "RGraph": "far rows explain the near ones better than the reverse: AUROC 0 % on one normal cloud with far outliers",
    "SO_GAAL": "its artificial anomalies lie between 0 and 1: AUROC 12 to 22 % for far outliers of standardised rows",
}
"""PyOD class -> why it fails where every sound detector has an AUROC near 100 %."""


def pyod_caveats(name: str) -> dict[str, str]:
    """Known faults of a class of PyOD: mark -> one sentence; see `registry.caveats`."""
    found = {}
    if name in BY_COMPANY:
        found[TRANSDUCTIVE] = f"pyod:{name} scores a row by the rows that it is scored with: {BY_COMPANY[name]}."
    if name in ON_EASY_DATA:
        found[UNRELIABLE] = f"pyod:{name} fails on easy data: {ON_EASY_DATA[name]}."
    if name not in EXAMINED:
        found[UNEXAMINED] = (
            f"pyod:{name} has not been examined: whether its scores repeat, depend on the rows scored together and are "
            "the right way up is not known."
        )
    return found
