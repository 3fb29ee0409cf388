"""What the deep detectors share: PyOD's contract, nested epoch budgets, preprocessing, scores repeatable to the bit."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pyod.models.base import BaseDetector
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from fanogan_mtl.detectors.checks import POSITIVE, Each, refuse_non_finite
from fanogan_mtl.seeds import derived_seed

SCORING_ROWS = 16  # networks round differently in batches of other sizes, so every batch scored has this many rows


class Preprocessing(nn.Module):
    """Scaling that is learned from the training rows and travels with the weights.

    Parameters
    ----------
    kind : {"standard", "minmax", "gcn", "none"}
        `standard`: zero mean and unit variance, one mean and one deviation over all values of the training rows.
        `minmax`: the training rows' range becomes [0, 1].
        `gcn`: global contrast normalisation as in Deep SVDD (each row less its mean, divided by its mean absolute
        value), then the training rows' range becomes [0, 1].
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.register_buffer("shift", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))

    def learn(self, rows: Tensor) -> None:
        """Learn shift and scale from the training rows, shape (n, d)."""
        rows = self._contrast(rows).double()  # the squares of large float32 values overflow
        if self.kind == "standard":
            self.shift, scale = rows.mean(), rows.std(correction=0)
        elif self.kind in {"minmax", "gcn"}:
            self.shift, scale = rows.min(), rows.max() - rows.min()
        else:
            return
        rounding = torch.finfo(torch.float32).eps * rows.abs().max()
        self.shift = self.shift.float()
        self.scale = torch.where(scale > rounding, scale, 1.0).float()  # constant rows stay finite

    def forward(self, rows: Tensor) -> Tensor:
        """Scale rows of shape (n, d)."""
        return (self._contrast(rows) - self.shift) / self.scale

    def inverse(self, rows: Tensor) -> Tensor:
        """Undo the scaling (a row's own contrast stays normalised)."""
        return rows * self.scale + self.shift

    def _contrast(self, rows: Tensor) -> Tensor:
        if self.kind != "gcn":
            return rows
        rows = rows - rows.mean(dim=1, keepdim=True)
        return rows / rows.abs().mean(dim=1, keepdim=True).clamp_min(1e-8)


class DeepDetector(BaseDetector):  # type: ignore[misc]
    """Base of the deep detectors: everything except the network and its training.

    A subclass stores its parameters in `__init__`, extends `_constraints`, and implements `_build`, `_train` and
    `_score`. Everything learned lives in `network_`, buffers included, so that its state dict is the whole detector.

    Attributes
    ----------
    network_ : torch.nn.Module
        Weights and learned statistics; its child `preprocessing` (a `Preprocessing`) scales the input.
    epochs_ : int
        Epochs that the present state was trained for.
    n_features_in_ : int
    decision_scores_, threshold_, labels_
        As in PyOD: scores of the training rows, their `1 - contamination` quantile, and which rows lie above it.
    """

    _constraints: ClassVar[dict[str, list[Any] | Each]] = {
        "epochs": [POSITIVE],
        "batch_size": [POSITIVE],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "preprocessing": [StrOptions({"standard", "minmax", "gcn", "none"})],
        "device": [StrOptions({"auto", "cpu", "cuda"})],
        "random_state": [Interval(Integral, 0, None, closed="left")],
        "contamination": [Interval(Real, 0, 0.5, closed="right")],
    }

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    preprocessing: str
    device: str
    random_state: int
    contamination: float

    @abstractmethod
    def _build(self, n_features: int) -> nn.Module:
        """Make the untrained network for rows of that width (its random state is seeded by the caller)."""

    @abstractmethod
    def _train(self, rows: Tensor, budgets: Sequence[int]) -> Iterator[int]:
        """Train `network_` on preprocessed rows (n, d); yield each budget (ascending) once the network is at it."""

    @abstractmethod
    def _score(self, rows: Tensor) -> Tensor:
        """Anomaly scores (n,) of preprocessed rows (n, d), the higher the more abnormal."""

    def check_parameters(self) -> None:
        """Raise `ValueError` that names the first parameter that is out of range."""
        values, name = self.get_params(deep=False), type(self).__name__
        lists = {key: each for key, each in self._constraints.items() if isinstance(each, Each)}
        validate_parameter_constraints(
            {key: constraint for key, constraint in self._constraints.items() if key not in lists}, values, name
        )
        for key, each in lists.items():
            if not each.is_satisfied_by(values[key]):
                raise ValueError(f"The {key!r} parameter of {name} must be {each}. Got {values[key]!r} instead.")

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Train for `epochs` epochs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), any real dtype, at least 2 rows
        y : ignored

        Raises
        ------
        ValueError
            For a parameter out of range, NaN or infinity, fewer than two rows, no feature, or a training that diverged.
        """
        for _ in self.fit_staged(X, [self.epochs]):
            pass
        return self

    def fit_staged(self, X: ArrayLike, budgets: Iterable[int]) -> Iterator[int]:
        """Train once to the largest budget, and stop at each on the way.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        budgets : epochs to stop at

        Yields
        ------
        int
            Each budget, ascending. While the caller holds it, the detector is, bit for bit, what `fit` with
            `epochs=budget` gives.
        """
        self.check_parameters()
        stops = sorted(set(budgets))
        if not stops or not all(isinstance(stop, Integral) and stop >= 1 for stop in stops):
            raise ValueError(f"budgets must be one or more positive whole numbers of epochs. Got {stops} instead.")
        rows = self._rows(X, reset=True, ensure_min_samples=2)
        self._set_n_classes(None)
        self.network_ = self._seeded_build()
        scaling = self._scaling()
        scaling.learn(rows)
        for budget in self._train(scaling(rows), stops):
            self.network_.eval()
            self.epochs_ = budget
            self.decision_scores_ = self._in_batches(rows, self._score_raw)
            if not np.isfinite(self.decision_scores_).all():
                raise ValueError(f"{type(self).__name__} diverged within {budget} epochs: lower learning_rate")
            self._process_decision_scores()
            yield budget

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Anomaly scores of rows, shape (n_samples,); the same bits alone and in any batch.

        Raises
        ------
        ValueError
            For NaN, infinity or another width than in `fit`.
        """
        scores = self._in_batches(self._validated(X), self._score_raw)
        if not np.isfinite(scores).all():
            row = int(np.flatnonzero(~np.isfinite(scores))[0])
            raise ValueError(f"X has values in row {row} that are too large to be scored in float32")
        return scores

    def predict_proba(self, X: ArrayLike, method: str = "linear", return_confidence: bool = False) -> Any:
        """As PyOD's, which takes arrays only."""
        return super().predict_proba(np.asarray(X), method, return_confidence)

    def parameter_count(self, n_features: int) -> int:
        """Count the weights that training changes, for rows of that width."""
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            network = self._build(n_features)
        return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)

    def _score_raw(self, rows: Tensor) -> Tensor:
        return self._score(self._scaling()(rows))

    def _reconstruct(self, X: ArrayLike, function: Callable[[Tensor], Tensor]) -> NDArray[np.float64]:
        """Apply a function that reconstructs preprocessed rows; the result is in the units of X."""
        scaling = self._scaling()
        return self._in_batches(self._validated(X), lambda rows: scaling.inverse(function(scaling(rows))))

    def _scaling(self) -> Preprocessing:
        scaling = self.network_.preprocessing
        assert isinstance(scaling, Preprocessing)
        return scaling

    def _validated(self, X: ArrayLike) -> Tensor:
        check_is_fitted(self, "network_")
        return self._rows(X, reset=False)

    def _rows(self, X: ArrayLike, **checks: Any) -> Tensor:
        with np.errstate(over="ignore"):  # what overflows is refused below
            rows = validate_data(self, X, dtype=np.float32, order="C", ensure_all_finite=False, **checks)
        refuse_non_finite(rows, "infinity or a value too large for float32")
        return torch.tensor(rows).to(self._device())

    def _in_batches(self, rows: Tensor, function: Callable[[Tensor], Tensor]) -> NDArray[np.float64]:
        """Apply a function of rows in padded batches of `SCORING_ROWS`, or twice as many.

        PyTorch's AVX-512 kernels take 32 values at a time and round the rest otherwise: of 16 rows of odd width a rest
        remains, and a row's last bits would go by its place.
        """
        together = SCORING_ROWS * (1 + rows.shape[1] % 2)
        padded = torch.cat([rows, rows.new_zeros(-len(rows) % together, rows.shape[1])])
        with torch.no_grad():
            results = torch.cat([function(batch) for batch in torch.split(padded, together)])
        return results[: len(rows)].cpu().numpy().astype(np.float64)

    def _seeded_build(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derived_seed(self.random_state, "weights"))
            return self._build(self.n_features_in_).to(self._device())

    def _device(self) -> torch.device:
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(self.device)


def generator(seed: int, purpose: str) -> torch.Generator:
    """Make a CPU random generator for one purpose (noise is drawn on the CPU, so that a GPU sees the same)."""
    return torch.Generator().manual_seed(derived_seed(seed, purpose))


def shuffled_batches(n_rows: int, batch_size: int, order: torch.Generator) -> list[Tensor]:
    """Row numbers of one epoch's batches; a last batch of one row has no batch statistics and joins the one before."""
    batches = list(torch.split(torch.randperm(n_rows, generator=order), batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
