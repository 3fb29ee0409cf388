"""The contract of every feature extractor."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints
from sklearn.utils.validation import check_is_fitted

from fanogan_mtl.data.hashing import content_hashes
from fanogan_mtl.data.joint import JointSampler, stratified_split
from fanogan_mtl.extractors.graphs.feature_graph import FeatureGraph
from fanogan_mtl.extractors.graphs.tracing import export_graph
from fanogan_mtl.extractors.input_spec import InputSpec
from fanogan_mtl.extractors.modules import Network, PreparedPixels, Projection, to_tensor
from fanogan_mtl.seeds import derived_seed

BATCH_IMAGES = 64  # networks round differently in batches of other sizes, so every batch has this many images
MOST_FOR_COMPONENTS = 20_000  # images that principal components are learned from

POSITIVE = Interval(Integral, 1, None, closed="left")


@dataclass(frozen=True)
class Sample:
    """What an extractor learns from: images, their classes and domains as positions from 0, and the two parts.

    Attributes
    ----------
    images : array of shape (n, height, width[, 3]), uint8
    labels, domains : int64 arrays of shape (n,)
    domain_names : tuple of str
        In the order of their positions.
    training, validation : int64 arrays
        Positions; no image is in both.
    """

    images: PreparedPixels
    labels: NDArray[np.int64]
    domains: NDArray[np.int64]
    domain_names: tuple[str, ...]
    training: NDArray[np.int64]
    validation: NDArray[np.int64]

    def sampler(self, batch_size: int, seed: int) -> JointSampler:
        """Make the sampler of the training part; it counts within `training`."""
        return JointSampler(self.labels[self.training], self.domains[self.training], batch_size, seed)


class Extractor(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Base of the extractors: a scikit-learn transformer from images to features.

    A subclass stores its parameters in `__init__`, says in `_constraints` what they may be, and implements `_build` and
    `_learn`. Everything learned lives in `network_`, buffers included, so that its state dict is the whole extractor.

    Attributes
    ----------
    n_features_out_ : int
    classes_ : array
        The different values of `y`.
    history_ : list of dict
        For those that train: what was measured, one entry per epoch (see `training.train`).
    best_epoch_ : int
        The epoch whose weights were taken, by validation; 0 for those that don't train.
    graph_ : FeatureGraph or None
        Makes the features instead of `network_`, for those that run as a graph.
    """

    _constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [POSITIVE, None],
        "random_state": [Interval(Integral, 0, None, closed="left")],
        "device": [StrOptions({"auto", "cpu", "cuda"})],
    }
    uses_labels: ClassVar[bool] = True
    """Whether the labels of the classes decide anything that is learned."""
    runs_as_graph: ClassVar[bool] = True
    """Whether features are made by ONNX Runtime where the device is the processor; see `feature_graph`."""
    version: ClassVar[int] = 2
    """Raised when the same images and parameters would give other features."""

    n_components: int | None = None
    """So many principal components of the features instead of the features; for those that have the parameter."""
    grid: int = 1
    """Squares a side that features are apart for: (channels, grid, grid) an image, unless `n_components` is set."""
    random_state: int
    device: str

    @cached_property
    def network_(self) -> Network:
        """The network; of a saved extractor it is built when it is first needed, as the graph makes the features."""
        state = self.__dict__.pop("state_", None)
        if state is None:
            raise AttributeError(f"{type(self).__name__} is not fitted")
        network = self._seeded_build(len(self.classes_))
        if "projection.components" in state:
            n_components, n_features = state["projection.components"].shape
            network.projection = Projection(n_features, n_components)
        network.load_state_dict(state)
        return network.to(self._device()).eval()

    @property
    def input_spec(self) -> InputSpec:
        """The images that it takes."""
        return InputSpec()

    @abstractmethod
    def _build(self, n_classes: int) -> Network:
        """Make the untrained network (its random state is seeded by the caller)."""

    @abstractmethod
    def _learn(self, sample: Sample, checkpoints: Path | None) -> None:
        """Train `network_`."""

    @property
    def learns(self) -> bool:
        """Whether images decide anything in it; otherwise it is the same for all data, classes and seeds."""
        return True

    @property
    def seen_shape(self) -> tuple[int, ...]:
        """Shape of one image as the network sees it."""
        return self.input_spec.shape

    @property
    def common_scale(self) -> bool:
        """Whether the features keep their scale to each other, as principal components do; see `Hybrid`."""
        return self.n_components is not None

    @property
    def positions(self) -> int:
        """Squares a side that the features are apart for; 1 where components have mixed them."""
        return self.grid if self.n_components is None else 1

    def settled_parameters(self) -> dict[str, Any]:
        """The parameters; where None stands for the architecture's own number, that number."""
        parameters: dict[str, Any] = self.get_params(deep=False)
        return parameters

    def check_parameters(self) -> None:
        """Raise `ValueError` that names the first parameter that is out of range."""
        validate_parameter_constraints(self._constraints, self.get_params(deep=False), type(self).__name__)

    def fit(
        self, X: ArrayLike, y: ArrayLike | None = None, domain: ArrayLike | None = None, checkpoints: Path | None = None
    ) -> Self:
        """Learn from images of all domains at once.

        Parameters
        ----------
        X : array of shape (n, height, width[, 3]), uint8, as `input_spec` says
        y : array of shape (n,), optional
            Classes. Needed by those that learn from labels; the others ignore it.
        domain : array of shape (n,), optional
            Domain of each image, by name or number; per class the smaller domains are resampled up to the largest.
        checkpoints : Path, optional
            Folder in which a training keeps its state: after an interruption the same call goes on from there.

        Raises
        ------
        ValueError
            For other images, labels of another length, or parameters out of range.
        """
        self.check_parameters()
        images = self._images(X)
        sample = self._sample(images, y, domain)
        self.history_: list[dict[str, float]] = []
        self.best_epoch_ = 0
        self.graph_: FeatureGraph | None = None
        self.network_ = self._seeded_build(len(self.classes_))
        self._learn(sample, checkpoints)
        self.network_.eval()
        if self.n_components is not None:
            chosen = sample.training[sample.sampler(1, self.random_state).rows()[:MOST_FOR_COMPONENTS]]
            features = self._in_batches(images[chosen])
            projection = Projection(features.shape[1], self.n_components)
            projection.learn(features)
            self.network_.projection = projection.to(self._device())
        if self.runs_as_graph and self._device().type == "cpu":
            self.graph_ = export_graph(self.network_, self.seen_shape)
        self.n_features_out_ = self._in_batches(images[:1]).shape[1]
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Features of images, shape (n, n_features_out_), float32; the same bits alone and in any batch."""
        check_is_fitted(self, "n_features_out_")
        return self._in_batches(self._images(X))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Classes of images, shape (n,), by the classifier that was trained on the features."""
        check_is_fitted(self, "network_")
        if not self.classifies:
            raise ValueError(f"{type(self).__name__} has no classifier")
        outputs = self._in_batches(self._images(X), classify=True)
        return np.asarray(self.classes_[outputs.argmax(axis=1)])

    @property
    def classifies(self) -> bool:
        """Whether there is a classifier, whose accuracy can be measured."""
        return False

    def _images(self, X: ArrayLike) -> PreparedPixels:
        return self.input_spec.checked(X, type(self).__name__)

    def _sample(self, images: PreparedPixels, y: ArrayLike | None, domain: ArrayLike | None) -> Sample:
        number = len(images)
        if not number:
            raise ValueError(f"{type(self).__name__} learns from images: fit needs at least one")
        if y is None and self.uses_labels:
            raise ValueError(f"{type(self).__name__} learns from labels: fit needs y")
        classes = np.zeros(number, np.int64) if y is None else np.asarray(y)
        domains = np.zeros(number, np.int64) if domain is None else np.asarray(domain)
        for name, values in (("y", classes), ("domain", domains)):
            if values.shape != (number,):
                raise ValueError(f"{name} has shape {values.shape} for {number} images")
        self.classes_, labels = np.unique(classes, return_inverse=True)
        if not self.uses_labels:
            labels = np.zeros(number, np.int64)
        names, domains = np.unique(domains, return_inverse=True)
        parts = stratified_split(content_hashes(images), labels, domains, self.random_state)
        return Sample(images, labels, domains, tuple(map(str, names)), *parts)

    def _in_batches(self, images: PreparedPixels, classify: bool = False) -> NDArray[np.float32]:
        """Apply the network in batches of `BATCH_IMAGES`, the last one padded."""
        if self.graph_ is not None and len(images) and not classify:
            return self.graph_(images)
        self.network_.eval()  # a deep copy of a traced network is in training mode again
        network = self.network_ if classify else self.network_.features
        results = []
        with torch.inference_mode():
            for start in range(0, len(images), BATCH_IMAGES):
                batch = images[start : start + BATCH_IMAGES]
                missing = BATCH_IMAGES - len(batch)
                padded = np.pad(batch, ((0, missing), *[(0, 0)] * (batch.ndim - 1))) if missing else batch
                results.append(network(to_tensor(padded).to(self._device()))[: len(batch)].float().cpu().numpy())
        if not results:
            return np.zeros((0, self.n_features_out_), np.float32)
        return np.ascontiguousarray(np.concatenate(results))

    def _seeded_build(self, n_classes: int) -> Network:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derived_seed(self.random_state, "weights"))
            return self._build(n_classes).to(self._device())

    def _device(self) -> torch.device:
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(self.device)
