"""Figures of feature extractors: how they learn, and what they make of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import isqrt

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray

from fanogan_mtl.figures.images import GAP, ROW, Sheet, image_axes, png, sheet
from fanogan_mtl.figures.style import CLASS_COLOURS, SYMBOLS, layout, line_style

MAPS = {512: (1, 2, 16), 2048: (2, 4, 16)}  # features -> rows and columns of maps, and a map's side
FEATURE = 3  # px of a feature's side there, at least


@dataclass(frozen=True)
class AccuracyLine:
    """Accuracy in percent of one part of the images at each epoch."""

    name: str
    epochs: list[int]
    accuracy: list[float]


@dataclass(frozen=True)
class AccuracyByEpochs:
    """Accuracies in percent: lines over epochs, and those of the tests, measured once at the epoch that was chosen."""

    lines: list[AccuracyLine]
    final: dict[str, float]
    best_epoch: int


@dataclass(frozen=True)
class ProjectionData:
    """Features on their first two principal components.

    Attributes
    ----------
    points : (n, 2), float64, in the features' unit
    labels, domains : (n,) positions in `classes` and in `domain_names`
    classes, domain_names : some may have no point
    variance : share of the features' variance in percent that each of the two components has
    """

    points: NDArray[np.float64]
    labels: NDArray[np.int64]
    domains: NDArray[np.int64]
    classes: list[str]
    domain_names: list[str]
    variance: tuple[float, float]


@dataclass(frozen=True)
class PcaCurves:
    """What is kept with the first 1, 2, ... k components.

    Attributes
    ----------
    components : (k,) int64, from 1
    explained : (k,) float64, cumulative share of the variance in percent
    residual : (k,) float64, mean squared reconstruction error in squared units of what is reconstructed
    """

    components: NDArray[np.int64]
    explained: NDArray[np.float64]
    residual: NDArray[np.float64]


def accuracy_by_epochs_data(
    curves: Mapping[str, Mapping[int, float]], final: Mapping[str, float], best_epoch: int
) -> AccuracyByEpochs:
    """Lines and tests of one training.

    Parameters
    ----------
    curves : name (as `train` or `validation mnist`) -> epoch -> accuracy in [0, 1]
    final : name (as `test mnist`) -> accuracy in [0, 1], measured once at `best_epoch`
    best_epoch : the epoch that was chosen
    """
    lines = []
    for name, by_epoch in curves.items():
        epochs = sorted(by_epoch)
        lines.append(AccuracyLine(name, epochs, [100 * by_epoch[epoch] for epoch in epochs]))
    return AccuracyByEpochs(lines, {name: 100 * accuracy for name, accuracy in final.items()}, best_epoch)


def accuracy_by_epochs_figure(data: AccuracyByEpochs, title: str) -> go.Figure:
    """Accuracy against epochs; a test is one marker in the style of its validation line."""
    epochs = sorted({epoch for line in data.lines for epoch in line.epochs} | {data.best_epoch})
    ticks = {"dtick": 1} if epochs[-1] - epochs[0] <= 10 else {}  # else Plotly chooses whole numbers itself
    figure = go.Figure(layout=layout(title, {"title": "epoch", **ticks}, {"title": "accuracy (%)"}, height=480))
    for position, line in enumerate(data.lines):
        style = line_style(position)
        figure.add_scatter(
            x=line.epochs,
            y=line.accuracy,
            name=escape(line.name),
            mode="lines+markers",
            hovertemplate="epoch %{x}: %{y:.1f} %",
            line=style["line"],
            marker=style["marker"] | {"size": 5},
        )
    names = [line.name for line in data.lines]
    names += [name for name in map(_validation_of, data.final) if name not in names]
    for name, accuracy in data.final.items():
        marker = line_style(names.index(_validation_of(name)))["marker"]
        figure.add_scatter(
            x=[data.best_epoch],
            y=[accuracy],
            name=f"{escape(name)}: {accuracy:.1f} %",
            mode="markers",
            hovertemplate="epoch %{x}: %{y:.1f} %",
            marker=marker | {"symbol": f"{marker['symbol']}-open", "size": 13, "line": {"width": 2}},
        )
    late = 2 * data.best_epoch > epochs[0] + epochs[-1]
    line_x = {"x0": data.best_epoch, "x1": data.best_epoch}
    figure.update_layout(
        shapes=[{
            "type": "line", "layer": "below", "line": {"dash": "dash", "color": "#000000", "width": 1}, **line_x,
            "yref": "paper", "y0": 0, "y1": 1,
        }],
        annotations=[{
            "text": f"chosen: epoch {data.best_epoch}", "x": data.best_epoch, "xanchor": "right" if late else "left",
            "xshift": -3 if late else 3, "yref": "paper", "y": 0, "yanchor": "bottom", "showarrow": False,
        }],
    )  # fmt: skip
    return figure


def feature_maps_data(features: NDArray[np.float32], labels: Sequence[str]) -> Sheet:
    """Lay each image's features as square maps, one row per image.

    512 features are two maps of 16 x 16 side by side, 2048 are two rows of four; any other number is laid into the
    smallest square that holds it, and the rest is white.

    Parameters
    ----------
    features : (n, d), float32; an image's least is black and its greatest white
    labels : of the n images, as their classes
    """
    count = features.shape[1]
    rows, columns, side = MAPS.get(count, (1, 1, isqrt(count - 1) + 1))
    least, greatest = features.min(axis=1, keepdims=True), features.max(axis=1, keepdims=True)
    share = (features - least) / np.where(greatest > least, greatest - least, 1)
    grey = np.full((len(features), rows * columns * side**2), 255, dtype=np.uint8)
    grey[:, :count] = np.round(255 * share)
    maps = grey.reshape(-1, rows, columns, side, side)
    cells = np.stack([sheet(each, [], []).pixels for each in maps])
    if rows > 1:
        cells = np.pad(cells, ((0, 0), (GAP, GAP), (0, 0)), constant_values=255)  # an image's rows stay together
    return sheet(cells[:, None], list(labels), [])


def feature_maps_figure(data: Sheet, title: str) -> go.Figure:
    """Features as grey values, one row per image."""
    x, y = image_axes(data)
    x |= {"title": "black: an image's least feature<br>white: its greatest", "side": "bottom"}
    height = max(FEATURE * len(data.pixels), ROW * len(data.rows))
    figure = go.Figure(layout=layout(title, x, y, height=140 + height))
    figure.add_image(source=png(data.pixels), hoverinfo="skip")
    return figure


def _first_axes(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """First two principal axes (d, 2) of rows (n, d), the greater first."""
    from scipy.linalg import eigh

    wide = centred.shape[1] > len(centred)  # then rows by rows are fewer products: of maps, d is thirty thousand
    products = centred @ centred.T if wide else centred.T @ centred
    count = len(products)
    found: NDArray[np.float64] = eigh(products, subset_by_index=[max(count - 2, 0), count - 1])[1][:, ::-1]
    if not wide:
        return found
    axes = np.zeros((centred.shape[1], 2))
    axes[:, : found.shape[1]] = centred.T @ found
    return np.asarray(axes / np.maximum(np.linalg.norm(axes, axis=0), np.finfo(float).tiny))


def projection_data(
    features: NDArray[np.floating],
    labels: NDArray[np.int64],
    domains: NDArray[np.int64],
    classes: Sequence[str],
    domain_names: Sequence[str],
    most: int = 2000,
) -> ProjectionData:
    """Project features on their first two principal components, found on all rows.

    Parameters
    ----------
    features : (n, d), d of at least 2
    labels, domains : (n,) positions in `classes` and in `domain_names`
    most : points that are kept, evenly spaced over the rows
    """
    centred = np.asarray(features, dtype=np.float64) - np.mean(features, axis=0, dtype=np.float64)
    axes = _first_axes(centred)
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])  # else either sign would do
    points = centred @ axes
    variance, total = points.var(axis=0), centred.var(axis=0).sum()
    first, second = (100 * variance / total).tolist() if total > 0 else (0.0, 0.0)
    rows = np.linspace(0, len(points) - 1, min(len(points), most)).round().astype(np.int64)
    return ProjectionData(
        points[rows], labels[rows], domains[rows], list(classes), list(domain_names), variance=(first, second)
    )


def projection_figure(data: ProjectionData, title: str) -> go.Figure:
    """Features on two axes, one colour per class and one symbol per domain; a click on a class hides it everywhere."""
    x, y = (
        {"title": f"{which} component ({share:.1f} % of variance)"}
        for which, share in zip(("first", "second"), data.variance, strict=True)
    )
    figure = go.Figure(layout=layout(title, x, y, height=580))
    keys = {"x": [None], "y": [None], "mode": "markers"}  # entries of the legends alone
    for label, name in enumerate(data.classes):
        group = {"legendgroup": f"class {label}"}
        colour = CLASS_COLOURS[label % len(CLASS_COLOURS)]
        opened = "-open" if label // len(CLASS_COLOURS) % 2 else ""
        for domain, domain_name in enumerate(data.domain_names):
            shown = data.points[(data.labels == label) & (data.domains == domain)].astype(np.float32)
            if len(shown):
                figure.add_scatter(
                    x=shown[:, 0],
                    y=shown[:, 1],
                    mode="markers",
                    marker={"color": colour, "symbol": _symbol(domain) + opened, "size": 6, "opacity": 0.7},
                    hovertext=escape(f"{name}, {domain_name}"),
                    hoverinfo="text",
                    showlegend=False,
                    **group,
                )
        if (data.labels == label).any():
            figure.add_scatter(
                **keys, **group, name=escape(name), marker={"color": colour, "symbol": f"circle{opened}"}
            )
    if len(data.domain_names) > 1:
        for domain, domain_name in enumerate(data.domain_names):
            marker = {"color": "#000000", "symbol": f"{_symbol(domain)}-open"}
            figure.add_scatter(**keys, name=escape(domain_name), legend="legend2", marker=marker)
    above = {"yref": "paper", "y": 1, "yanchor": "bottom", "x": 0, "itemclick": False, "itemdoubleclick": False}
    figure.update_layout(
        legend_tracegroupgap=0,
        legend2={"orientation": "h", **above},
        margin_t=figure.layout.margin.t + (16 if len(data.domain_names) > 1 else 0),
    )
    return figure


def pca_curves_data(explained_variance_ratio: ArrayLike, residual: ArrayLike) -> PcaCurves:
    """Curves over the number of components.

    Parameters
    ----------
    explained_variance_ratio : (k,) share in [0, 1] of the variance that each component has
    residual : (k,) mean squared reconstruction error with the first 1, 2, ... k components
    """
    explained = 100 * np.cumsum(np.asarray(explained_variance_ratio, dtype=np.float64))
    return PcaCurves(np.arange(1, len(explained) + 1), explained, np.asarray(residual, dtype=np.float64))


def pca_curves_figure(data: PcaCurves, title: str) -> go.Figure:
    """Explained variance on the left axis and reconstruction error on the right one, against components."""
    figure = go.Figure(
        layout=layout(
            title,
            {"title": "components"},
            {"title": "cumulative explained variance (%)", "range": [0, 102]},
            height=460,
        )
    )
    left, right = line_style(0), line_style(1)
    mode = "lines+markers" if len(data.components) <= 20 else "lines"
    for axis, name, values, style, shown in (
        ("y", "explained variance (left)", data.explained, left, "%{y:.1f} %"),
        ("y2", "reconstruction error (right)", data.residual, right, "%{y:.3g}"),
    ):
        figure.add_scatter(
            x=data.components,
            y=values.astype(np.float32),
            yaxis=axis,
            name=name,
            mode=mode,
            hovertemplate=f"%{{x}} components: {shown}",
            **style,
        )
    figure.update_layout(
        margin_r=75,
        yaxis={"title_font_color": left["line"]["color"]},
        yaxis2=figure.layout.yaxis.to_plotly_json()
        | {
            "title": {"text": "mean squared reconstruction error", "font": {"color": right["line"]["color"]}},
            "overlaying": "y",
            "side": "right",
            "showgrid": False,
            "tickmode": "auto",  # else at the left axis's ticks, whatever numbers these are
            "exponentformat": "power",
            "range": [0, 1.02 * float(data.residual.max(initial=0)) or 1],
        },
    )
    return figure


def _symbol(position: int) -> str:
    return SYMBOLS[position % len(SYMBOLS)]


def _validation_of(test: str) -> str:
    """Name the line that a test belongs to: `validation mnist` for `test mnist`."""
    return test.replace("test", "validation", 1)
