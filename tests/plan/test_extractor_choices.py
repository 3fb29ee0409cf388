"""What a plan asks of an extractor, whatever it is."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from fanogan_mtl.data.specs import parse_datasets
from fanogan_mtl.errors import UserError
from fanogan_mtl.extractors.base import Extractor, Sample
from fanogan_mtl.extractors.modules import Network
from fanogan_mtl.extractors.registry import REGISTRY, ExtractorKind
from fanogan_mtl.plan.extractors import Pretrainings, parse_extractors
from fanogan_mtl.plan.hybrid import make_hybrid_plan
from fanogan_mtl.plan.options import HybridOptions


class Flat(Extractor):
    """Pixels as they are: no parameter but those that every extractor has."""

    uses_labels = False

    def __init__(self, random_state: int = 0, device: str = "auto") -> None:
        self.random_state = random_state
        self.device = device

    def _build(self, n_classes: int) -> Network:
        return Network(nn.Flatten(), nn.Identity())

    def _learn(self, sample: Sample, checkpoints: Path | None) -> None: ...


def small_set(folder: Path) -> str:
    images, labels = np.random.default_rng(0).integers(0, 256, (120, 28, 28), dtype=np.uint8), np.arange(120) % 3
    np.savez_compressed(
        folder / "s.npz", x_train=images[:90], y_train=labels[:90], x_test=images[90:], y_test=labels[90:]
    )
    return f"npz:{folder / 's.npz'}"


def test_an_extractor_without_components_keeps_no_common_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("fanogan_mtl.extractors.flat")
    module.Flat = Flat  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(REGISTRY, "flat", ExtractorKind("flat:Flat", "pixels", sees="nothing"))
    data_dir = str(tmp_path / "data")
    options = HybridOptions(dataset=small_set(tmp_path), extractors="flat,pca", detectors="knn", data_dir=data_dir)
    flat, pca = make_hybrid_plan(options).plan.comparisons
    assert (flat.comparison.common_scale, pca.comparison.common_scale) == (False, True)
    assert flat.seen.startswith("Protocol label-free: the extractor flat had seen nothing of s: ")


def test_weights_are_those_of_the_extractors_own_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_resnet50 = ExtractorKind("frozen:ResNet18Frozen", "another", weights_of="resnet50")
    monkeypatch.setitem(REGISTRY, "resnet18_frozen", of_resnet50)
    torch.save(resnet18().state_dict(), tmp_path / "w.pth")
    (spec,) = parse_datasets(small_set(tmp_path))
    (choice,) = parse_extractors("resnet18_frozen", "none", "default", str(tmp_path / "w.pth"), tmp_path)
    with pytest.raises(UserError, match=r"the weights of .*w\.pth don't fit resnet50: 'layer1\.0\.conv1\.weight'"):
        Pretrainings([spec], None, tmp_path).make(choice, spec, 0)
