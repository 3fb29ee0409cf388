"""Plotly figures. For each, one function makes plain data of arrays and one makes the figure of that data."""

from fanogan_mtl.figures.images import (
    class_counts_data,
    class_counts_figure,
    reconstruction_data,
    reconstruction_figure,
    sample_sheet_data,
    sample_sheet_figure,
)
from fanogan_mtl.figures.scores import (
    auroc_by_class_data,
    auroc_by_class_figure,
    auroc_by_epochs_data,
    auroc_by_epochs_figure,
    roc_by_class_data,
    roc_by_class_figure,
    score_histogram_data,
    score_histogram_figure,
)

__all__ = [
    "auroc_by_class_data",
    "auroc_by_class_figure",
    "auroc_by_epochs_data",
    "auroc_by_epochs_figure",
    "class_counts_data",
    "class_counts_figure",
    "reconstruction_data",
    "reconstruction_figure",
    "roc_by_class_data",
    "roc_by_class_figure",
    "sample_sheet_data",
    "sample_sheet_figure",
    "score_histogram_data",
    "score_histogram_figure",
]
