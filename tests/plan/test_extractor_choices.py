"""What a plan asks of an extractor, whatever it is."""

from __future__ import annotations

import sys
from dataclasses import replace
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


def hybrid(folder: Path, **options: str) -> HybridOptions:
    return HybridOptions(dataset=small_set(folder), detectors="knn", data_dir=str(folder / "data"), **options)


@pytest.mark.parametrize("protocol", ["paper", "label-free", "label-free,paper"])
def test_an_extractor_without_labels_is_label_free_once(
    protocol: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = make_hybrid_plan(hybrid(tmp_path, extractors="pca,lenet5", protocol=protocol)).plan
    labels = {each.comparison.label: each.comparison.protocol for each in plan.comparisons}
    assert labels == {"pca+knn": "label-free"} | ({} if protocol == "label-free" else {"lenet5+knn": "paper"})
    left_out = "label-free leaves out lenet5: it learns from labels" in capsys.readouterr().err
    assert left_out == ("label-free" in protocol)


def test_label_free_has_the_key_that_it_had_as_paper(tmp_path: Path) -> None:
    """What was recorded before the protocol had its name is found."""
    (planned,) = make_hybrid_plan(hybrid(tmp_path, extractors="pca")).plan.comparisons
    assert planned.comparison.protocol == "label-free"
    assert planned.comparison.key == replace(planned.comparison, protocol="paper").key
    assert planned.comparison.key != replace(planned.comparison, protocol="unseen-class").key


def test_normal_only_has_an_extractor_for_each_normal_class_from_its_images_alone(tmp_path: Path) -> None:
    planned = make_hybrid_plan(hybrid(tmp_path, extractors="pca,lenet5", protocol="normal-only", seeds="0,1"))
    (comparison,) = planned.plan.comparisons
    assert comparison.comparison.label == "pca+knn (normal-only)"
    assert comparison.seen.endswith(": the normal class alone, another extractor for each; never a tested image.")
    for cell in comparison.cells:
        pretraining = planned.pretrainings[cell.extractor_key or ""]
        assert (pretraining.only_class, pretraining.seed) == (cell.normal_class, cell.seed)
    assert len(planned.pretrainings) == len(comparison.cells) == 2 * len(comparison.dataset.classes)


def test_a_frozen_network_is_one_for_all_seeds_and_classes(tmp_path: Path) -> None:
    options = {"extractors": "efficientnet_lite0", "protocol": "label-free,normal-only", "seeds": "0,1"}
    assert len(make_hybrid_plan(hybrid(tmp_path, **options)).pretrainings) == 1
    components = '{"efficientnet_lite0": {"n_components": 4}}'
    assert len(make_hybrid_plan(hybrid(tmp_path, **options, extractor_params=components)).pretrainings) > 2


def test_label_free_of_extractors_that_take_labels_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^protocol label-free: lenet5 learns from labels; choose another, or extr"):
        make_hybrid_plan(hybrid(tmp_path, extractors="lenet5", protocol="label-free"))


def test_a_frozen_networks_weights_are_checked_before_any_training(tmp_path: Path) -> None:
    torch.save(resnet18().state_dict(), tmp_path / "w.pth")
    params = '{"frozen": {"network": "resnet34", "layer": "layer2"}}'
    options = hybrid(tmp_path, extractors="frozen", extractor_params=params, weights=str(tmp_path / "w.pth"))
    with pytest.raises(UserError, match=r"w\.pth don't fit resnet34: 'layer1\.2\.conv1\.weight' is missing"):
        make_hybrid_plan(options)
