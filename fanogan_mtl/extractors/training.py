"""Trains an extractor's network with Lightning: batches mix all domains, and the best epoch is chosen on validation
data.

A training that was killed goes on from its last finished epoch to the same weights: batches are a function of seed and
epoch, what an objective draws is one of seed, epoch and batch, nothing else is drawn, and the optimiser, its schedule,
early stopping and the history lie in the checkpoint.
"""

from __future__ import annotations

import json
import logging
import math
import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fanogan_mtl.data.joint import JointSampler
from fanogan_mtl.extractors.base import BATCH_IMAGES, Sample
from fanogan_mtl.extractors.modules import Network, Objective, to_tensor
from fanogan_mtl.seeds import derived_seed

HISTORY = "history.json"
Batch = tuple[Tensor, Tensor, Tensor]  # images (n, c, h, w) uint8, labels (n,), domains (n,)


@dataclass(frozen=True)
class Settings:
    """How long and how fast: Adam with a one-cycle schedule (Smith and Topin 2018) over all epochs.

    Attributes
    ----------
    epochs : int
        At most.
    patience : int or None
        Epochs without a better validation mean after which training stops.
    learning_rate : float
        The schedule's highest.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    patience: int | None
    seed: int
    device: torch.device


def train(
    network: Network, objective: Objective, sample: Sample, settings: Settings, checkpoints: Path | None
) -> tuple[list[dict[str, float]], int]:
    """Train a network in place, to the epoch that was best on the validation part.

    Parameters
    ----------
    checkpoints : Path, optional
        Folder for the state after every epoch; if it has one, training goes on from there. Its `history.json` can be
        read while the training runs.

    Returns
    -------
    history : list of dict
        For each epoch `loss` and the objective's mean as `<name>_train` and `<name>_validation`, and for every domain
        as `<name>_train_<domain>` and `<name>_validation_<domain>`. The values of the training part are measured while
        it trains.
    best_epoch : int
        From 1.

    Raises
    ------
    ValueError
        If what is measured is no longer finite.
    """
    if checkpoints is None:
        with TemporaryDirectory() as folder:
            return train(network, objective, sample, settings, Path(folder))
    checkpoints.mkdir(parents=True, exist_ok=True)
    sampler = sample.sampler(settings.batch_size, settings.seed)
    module = _Training(network, objective, settings, len(sampler), sample.domain_names)
    monitor = f"{objective.name}_validation"
    own: dict[str, Any] = {"dirpath": checkpoints, "enable_version_counter": False, "save_top_k": 1}
    best = ModelCheckpoint(monitor=monitor, mode=objective.mode, filename="best", **own)
    last = ModelCheckpoint(monitor=None, filename="last", every_n_epochs=1, **own)
    stopping = _Stopping(monitor=monitor, mode=objective.mode, patience=settings.patience or settings.epochs)
    with _quiet():
        trainer = lightning.Trainer(
            max_epochs=settings.epochs,
            accelerator="gpu" if settings.device.type == "cuda" else "cpu",
            devices=1,
            precision="bf16-mixed" if settings.device.type == "cuda" else "32-true",
            callbacks=[best, last, stopping, _HistoryFile(checkpoints)],
            plugins=[_WholeFiles()],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=checkpoints,
        )
        saved = checkpoints / "last.ckpt"
        trainer.fit(
            module,
            _loader(sample, sample.training, sampler),
            _loader(sample, sample.validation, _InOrder(len(sample.validation))),
            ckpt_path=saved if saved.exists() else None,
            weights_only=True,
        )
    state = torch.load(best.best_model_path, map_location="cpu", weights_only=True)["state_dict"]
    network.load_state_dict({key.removeprefix("network."): value for key, value in state.items()})
    network.to(settings.device)
    values = [epoch[monitor] for epoch in module.history]
    return module.history, 1 + int(np.argmax(values) if objective.mode == "max" else np.argmin(values))


class _Training(lightning.LightningModule):
    """The network's steps, its optimiser, and what is measured."""

    def __init__(
        self,
        network: Network,
        objective: Objective,
        settings: Settings,
        steps_an_epoch: int,
        domain_names: tuple[str, ...],
    ) -> None:
        super().__init__()
        self.domain_names = domain_names
        self.network = network
        self.objective = objective
        self.settings = settings
        self.steps = steps_an_epoch * settings.epochs
        self.history: list[dict[str, float]] = []
        self._measured: dict[str, dict[int, list[Tensor]]] = {}

    def on_train_epoch_start(self) -> None:
        self._measured = {part: defaultdict(list) for part in ("train", "validation")}
        self._losses: list[Tensor] = []

    def training_step(self, batch: Batch, number: int) -> Tensor:
        loss = self._measure("train", batch, f"epoch {self.current_epoch} batch {number}")
        self._losses.append(loss.detach())
        return loss

    def validation_step(self, batch: Batch, number: int) -> None:
        self._measure("validation", batch, f"validation batch {number}")  # the same in every epoch: they are compared

    def on_validation_epoch_end(self) -> None:
        entry = {"loss": float(torch.stack(self._losses).mean())}
        for part, by_domain in self._measured.items():
            name = f"{self.objective.name}_{part}"
            entry[name] = float(torch.cat([value for values in by_domain.values() for value in values]).mean())
            if len(by_domain) > 1:
                means = {domain: float(torch.cat(values).mean()) for domain, values in sorted(by_domain.items())}
                entry |= {f"{name}_{self.domain_names[domain]}": mean for domain, mean in means.items()}
        self.history.append(entry)
        if not all(map(math.isfinite, entry.values())):
            raise ValueError(f"training diverged in epoch {len(self.history)}: choose a lower learning_rate")
        name = f"{self.objective.name}_validation"
        self.log(name, entry[name])

    def configure_optimizers(self) -> Any:
        settings = self.settings
        optimizer = torch.optim.Adam(
            self.network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = checkpoint["history"]

    def _measure(self, part: str, batch: Batch, stream: str) -> Tensor:
        images, labels, domains = batch
        if self.objective.views is not None:
            random = torch.Generator().manual_seed(derived_seed(self.settings.seed, f"views {stream}"))
            images = self.objective.views(images, random)
        loss, values = self.objective.evaluate(self.network, images, labels)
        values = values.detach().float()
        for domain in set(domains.tolist()):
            self._measured[part][domain].append(values[domains == domain])
        return loss


class _Stopping(EarlyStopping):
    """Early stopping that is not undone where a training was killed between its last epoch and its end."""

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        trainer.should_stop = self.wait_count >= self.patience


class _WholeFiles(TorchCheckpointIO):
    """Checkpoints that are there whole or not at all; Lightning copies its own from the temporary folder."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        temporary = Path(path).with_suffix(".part")
        torch.save(checkpoint, temporary)
        temporary.replace(path)


class _HistoryFile(Callback):
    """Writes what was measured so far into a file, for whoever watches."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        temporary = self.folder / f".{HISTORY}"
        temporary.write_text(json.dumps({"epochs": trainer.max_epochs, "history": module.history}))
        temporary.replace(self.folder / HISTORY)


class _Images(Dataset[Batch]):
    """Whole batches by their positions."""

    def __init__(self, sample: Sample, rows: NDArray[np.int64]) -> None:
        self.sample, self.rows = sample, rows

    def __getitem__(self, positions: NDArray[np.int64]) -> Batch:
        rows = self.rows[positions]
        labels, domains = (torch.from_numpy(values[rows]) for values in (self.sample.labels, self.sample.domains))
        return to_tensor(self.sample.images[rows]), labels, domains


class _InOrder:
    """Batches of all positions in order."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __iter__(self) -> Any:
        return iter(np.split(np.arange(self.number), range(BATCH_IMAGES, self.number, BATCH_IMAGES)))

    def __len__(self) -> int:
        return -(-self.number // BATCH_IMAGES)


def _loader(sample: Sample, rows: NDArray[np.int64], batches: JointSampler | _InOrder) -> DataLoader[Any]:
    own_stream = torch.Generator().manual_seed(0)  # without one the loader draws from the global stream
    return DataLoader(_Images(sample, rows), batch_size=None, sampler=batches, generator=own_stream)


class _quiet(warnings.catch_warnings):
    """While active, Lightning says nothing of its tips, devices and workers."""

    def __enter__(self) -> Any:
        entered = super().__enter__()
        warnings.simplefilter("ignore")
        for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning", "lightning_fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)
        return entered
