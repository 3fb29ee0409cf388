"""Corrections of single PyOD detectors (3.6.7), as mixins; what can't be corrected is marked in `caveats`."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from fanogan_mtl.detectors.checked import CheckedDetector, seed_of
from fanogan_mtl.detectors.third_party.own_numbers import own_numbers

NEGLIGIBLE = 1e-12  # of the largest component's variance: float32 rows round to 1e-14 of it
EMPTY_BIN = 1e-12  # rows in an empty bin, PyOD's number
_BATCH_ROWS = 32  # matrix products round differently in batches of other sizes


class ScoredInFixedBatches(CheckedDetector):
    """Scores rows in batches of a fixed size: in PyOD, a row scored alone differs in the last bits (AE1SVM fails)."""

    _batch_rows: ClassVar[int | None] = _BATCH_ROWS


class ScoredAlone(CheckedDetector):
    """Scores each row with the same random numbers; PyOD draws new ones for each row in turn."""

    _batch_rows: ClassVar[int | None] = 1

    def _score_rows(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        with own_numbers(seed_of(self)):
            return super()._score_rows(X)


class StandardisesByItself(ScoredInFixedBatches):
    """PyOD divides a feature that is constant in training by 1e-8 or 1e-6: a new value outweighs all; here by 1."""

    _deviations: ClassVar[str] = "X_std"
    """PyOD's attribute with each feature's deviation."""

    preprocessing: bool

    def _fit_rows(self, X: NDArray[np.float64]) -> None:
        super()._fit_rows(X)
        if self.preprocessing:  # afterwards is early enough: in training these features are 0 whatever divides them
            getattr(self, self._deviations)[np.ptp(X, axis=0) == 0] = 1


class LearnsWithoutAnOddRow(StandardisesByItself):
    """AE1SVM: batch normalisation fails on a batch of one row, so such a last batch is scored but not learned from."""

    _deviations: ClassVar[str] = "std"

    batch_norm: bool
    batch_size: int

    def _fit_rows(self, X: NDArray[np.float64]) -> None:
        odd = self.batch_norm and len(X) % self.batch_size == 1
        super()._fit_rows(X[:-1] if odd else X)
        self.decision_scores_ = self._score_in_batches(X)
        self._process_decision_scores()


class LearnsFromWholeBatches(StandardisesByItself):
    """PyOD drops a last batch that is not full, so that it learns nothing from fewer rows than one batch."""

    batch_size: int

    def _fit_rows(self, X: NDArray[np.float64]) -> None:
        if len(X) < self.batch_size:
            raise ValueError(f"{type(self).__name__} needs at least batch_size={self.batch_size} rows, X has {len(X)}")
        super()._fit_rows(X)


class ScoredByMeanCode(LearnsFromWholeBatches):
    """VAE: PyOD decodes a code with fresh noise at each scoring; here its mean is decoded."""

    model: Any
    device: Any

    def evaluating_forward(self, batch_data: Any) -> NDArray[np.float64]:
        """Distance of each row to its reconstruction."""
        mean_code, _ = self.model.encode(batch_data.to(self.device))
        difference = batch_data.numpy() - self.model.decode(mean_code).cpu().numpy()
        distance: NDArray[np.float64] = np.linalg.norm(difference, axis=1)
        return distance


class ScoredWithoutDropout(ScoredInFixedBatches):
    """ALAD: PyOD leaves dropout on when it scores."""

    def get_outlier_scores(self, X_norm: NDArray[np.float64]) -> NDArray[np.float64]:
        """As PyOD's, with its networks in evaluation mode."""
        networks = [self.enc, self.dec, self.disc_xx]
        for network in networks:
            network.eval()
        scores: NDArray[np.float64] = super().get_outlier_scores(X_norm)
        for network in networks:
            network.train()
        return scores


class StandardisedByTrainingRows(ScoredInFixedBatches):
    """DIF: PyOD standardises each network's output over the rows scored together; here over the training rows."""

    net_lst: list[Any]
    device: Any
    batch_size: int

    def _fit_rows(self, X: NDArray[np.float64]) -> None:
        self._scalers: list[StandardScaler] = []
        super()._fit_rows(X)

    def _deep_representation(self, net: Any, X: NDArray[np.float64]) -> NDArray[np.float64]:
        import torch

        with torch.no_grad():
            batches = np.split(X.astype(np.float32), range(self.batch_size, len(X), self.batch_size))
            output = np.concatenate([net(torch.from_numpy(batch).to(self.device)).cpu().numpy() for batch in batches])
        if net not in self.net_lst:  # in `fit`, which makes one after the other
            self._scalers.append(StandardScaler().fit(output))
        place = self.net_lst.index(net) if net in self.net_lst else -1
        representation: NDArray[np.float64] = np.tanh(self._scalers[place].transform(output))
        return representation


class RightWayUp(CheckedDetector):
    """MO_GAAL and SO_GAAL: PyOD gives the probability that a row is real, here that it is not, as in the paper."""

    _batch_rows: ClassVar[int | None] = _BATCH_ROWS

    def _fit_rows(self, X: NDArray[np.float64]) -> None:
        super()._fit_rows(X)
        self.decision_scores_ = self._score_in_batches(X)
        self._process_decision_scores()

    def _score_rows(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 - super()._score_rows(X)


class FallingKernel(CheckedDetector):
    """QMCD: each feature is scaled to [0, 1], and a product over the features says how close two rows are.

    PyOD's kernel, that of the wrap-around discrepancy, falls up to half of a feature's width and then rises again,
    beyond all bounds outside of [0, 1]; and the score is this closeness or its opposite, by the skewness of the
    training scores. Here the kernel stays at its lowest, and the score is minus the logarithm of the mean closeness; a
    training row is held against the others.
    """

    def _fit_rows(self, X: NDArray[np.float64]) -> None:
        self._set_n_classes(None)
        self._scaler = MinMaxScaler().fit(X)
        self._fitted_data = self._scaler.transform(X)
        closeness = [np.delete(self._closeness(row), number) for number, row in enumerate(self._fitted_data)]
        self.decision_scores_ = -np.log(np.mean(closeness, axis=1))
        self._process_decision_scores()

    def _score_rows(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = -np.log([self._closeness(row).mean() for row in self._scaler.transform(X)])
        return scores

    def _closeness(self, row: NDArray[np.float64]) -> NDArray[np.float64]:
        """How close a row is to each training row: from 1 (the same) to (5 / 6) ** n_features."""
        distance = np.minimum(np.abs(self._fitted_data - row), 0.5)
        closeness: NDArray[np.float64] = np.prod(1 - distance * (1 - distance) / 1.5, axis=1)
        return closeness


class OwnBins(CheckedDetector):
    """LODA: PyOD looks a value up one bin too high, and gives one beyond all bins the density of the outermost.

    Here a value has its own bin's density, and beyond all bins that of an empty one. PyOD's sums round otherwise for
    one row than for many, and its bins are as narrow as that where no feature of a random cut varies in training; here
    a row's value is the same in any company, in training too.
    """

    def _fit_rows(self, X: NDArray[np.float64]) -> None:
        super()._fit_rows(X)
        self._empty = EMPTY_BIN / len(X)
        for cut, projection in enumerate(self.projections_):
            counts, self.limits_[cut] = np.histogram(_projected(X, projection), bins=len(self.histograms_[cut]))
            self.histograms_[cut] = (counts + EMPTY_BIN) / (counts + EMPTY_BIN).sum()
        self.decision_scores_ = self._score_rows(X)
        self._process_decision_scores()

    def _score_rows(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        scores = np.zeros(len(X))
        for projection, edges, densities in zip(self.projections_, self.limits_, self.histograms_, strict=True):
            values = _projected(X, projection)
            bins = np.searchsorted(edges[1:-1], values, side="right")
            beyond = (values < edges[0]) | (values > edges[-1])
            scores -= np.log(np.where(beyond, self._empty, densities[bins]))
        return scores / len(self.projections_)


def _projected(X: NDArray[np.float64], projection: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum each row by itself: a matrix product rounds by how many there are."""
    used = np.flatnonzero(projection)
    values: NDArray[np.float64] = (X.take(used, axis=1) * projection[used]).sum(axis=1)
    return values


class WithoutEmptyComponents(CheckedDetector):
    """PCA: PyOD divides by each component's variance, which is rounding where the rows have none.

    Here components with under `NEGLIGIBLE` of the largest one's variance are left out.
    """

    def _fit_rows(self, X: NDArray[np.float64]) -> None:
        super()._fit_rows(X)
        variance = self.detector_.explained_variance_
        kept = np.flatnonzero(variance > NEGLIGIBLE * variance[0])[-self.n_selected_components_ :]
        if not kept.size:
            raise ValueError("PCA: all rows are equal, no component has any variance")
        self.selected_components_, self.selected_w_components_ = self.components_[kept], self.w_components_[kept]
        self.decision_scores_ = self._score_rows(X)
        self._process_decision_scores()


MENDED: dict[str, type[CheckedDetector]] = {
    "AE1SVM": LearnsWithoutAnOddRow,
    "ALAD": ScoredWithoutDropout,
    "AutoEncoder": LearnsFromWholeBatches,
    "DIF": StandardisedByTrainingRows,
    "DeepSVDD": ScoredInFixedBatches,
    "LODA": OwnBins,
    "LSCP": ScoredAlone,
    "LUNAR": ScoredInFixedBatches,
    "MO_GAAL": RightWayUp,
    "PCA": WithoutEmptyComponents,
    "QMCD": FallingKernel,
    "SO_GAAL": RightWayUp,
    "VAE": ScoredByMeanCode,
}
"""PyOD class -> what it gets instead of `CheckedDetector`."""
