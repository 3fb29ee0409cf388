"""Plotly figures. For each of them, one function turns arrays into plain data, and another draws the figure from it."""

from fanogan_mtl.figures.alarms import alarm_curves_data, alarm_curves_figure
from fanogan_mtl.figures.auroc import (
    auroc_bars_data,
    auroc_by_class_figure,
    auroc_by_epochs_data,
    auroc_by_epochs_figure,
    auroc_map_figure,
    protocols_figure,
)
from fanogan_mtl.figures.extractors import (
    accuracy_by_epochs_data,
    accuracy_by_epochs_figure,
    feature_maps_data,
    feature_maps_figure,
    pca_curves_data,
    pca_curves_figure,
    projection_data,
    projection_figure,
)
from fanogan_mtl.figures.images import (
    class_counts_data,
    class_counts_figure,
    joint_batch_data,
    joint_batch_figure,
    reconstruction_data,
    reconstruction_figure,
    sample_sheet_data,
    sample_sheet_figure,
)
from fanogan_mtl.figures.roc import (
    roc_by_class_data,
    roc_by_class_figure,
    roc_with_and_without_data,
    roc_with_and_without_figure,
)
from fanogan_mtl.figures.scores import (
    score_histogram_data,
    score_histogram_figure,
)
from fanogan_mtl.figures.statistics import (
    critical_difference_data,
    critical_difference_figure,
    pareto_data,
    pareto_figure,
)
from fanogan_mtl.figures.unmade import drawn
from fanogan_mtl.figures.where import maps_data, maps_figure
