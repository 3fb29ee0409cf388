"""What the extractors that train a network share: parameters, objectives, the training itself."""

from __future__ import annotations

from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval
from torch import Tensor
from torch.nn import functional

from fanogan_mtl.extractors.base import POSITIVE, Extractor, Sample
from fanogan_mtl.extractors.modules import Network, Objective


class NetworkExtractor(Extractor):
    """A network that learns to classify the images of all domains; its features are what its last layer takes.

    Parameters
    ----------
    epochs : int, optional
        At most so many; None is the architecture's own number.
    batch_size : int, optional
        Images; None is the architecture's own number (the study's).
    learning_rate, weight_decay : float
        Adam's; the learning rate is the highest of a one-cycle schedule.
    patience : int, optional
        Training stops after so many epochs without a better validation result; None goes on to the last.
    n_components : int, optional
        So many principal components of the features instead of the features.
    random_state : int
    device : {"auto", "cpu", "cuda"}
    """

    _constraints: ClassVar[dict[str, list[Any]]] = {
        **Extractor._constraints,
        "epochs": [POSITIVE, None],
        "batch_size": [Interval(Integral, 2, None, closed="left"), None],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "patience": [POSITIVE, None],
    }
    version: ClassVar[int] = 3
    own_epochs: ClassVar[int] = 20
    own_batch_size: ClassVar[int] = 64

    def __init__(
        self,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        patience: int | None = 5,
        n_components: int | None = None,
        random_state: int = 0,
        device: str = "auto",
    ) -> None:
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.patience = patience
        self.n_components = n_components
        self.random_state = random_state
        self.device = device

    def settled_parameters(self) -> dict[str, Any]:
        """The parameters; where None stands for the architecture's own number, that number."""
        own = {"epochs": self.epochs or self.own_epochs, "batch_size": self.batch_size or self.own_batch_size}
        return {**super().settled_parameters(), **own}

    @property
    def classifies(self) -> bool:
        """Whether there is a classifier, whose accuracy can be measured."""
        return self.uses_labels

    def _objective(self) -> Objective:
        """What is minimised: here the error of a classifier, or of a decoder where no label is used."""
        if self.uses_labels:
            return Objective(_cross_entropy, "accuracy", "max")
        return Objective(_reconstruction_error, "error", "min")

    def _epochs(self, n_batches: int) -> int:
        """At most so many epochs, of so many batches each."""
        epochs: int = self.settled_parameters()["epochs"]
        return epochs

    def _learn(self, sample: Sample, checkpoints: Path | None) -> None:
        from fanogan_mtl.extractors.training import Settings, train  # Lightning takes seconds to import

        if not len(sample.validation):
            raise ValueError(
                f"{len(sample.images)} images leave none to validate on: give five different ones of a class"
            )
        self.network_.normalisation.learn(sample.images[sample.training])
        settled = self.settled_parameters()
        settings = Settings(
            self._epochs(len(sample.sampler(settled["batch_size"], self.random_state))),
            settled["batch_size"],
            self.learning_rate,
            self.weight_decay,
            self.patience,
            self.random_state,
            self._device(),
        )
        self.history_, self.best_epoch_ = train(self.network_, self._objective(), sample, settings, checkpoints)


def _cross_entropy(network: Network, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Loss, and which images are classified rightly."""
    outputs = network(images)
    return functional.cross_entropy(outputs, labels), outputs.argmax(dim=1) == labels


def _reconstruction_error(network: Network, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean squared error of the normalised pixels, and each image's."""
    errors = (network(images) - network.normalisation(images)).square().flatten(1).mean(dim=1)
    return errors.mean(), errors
