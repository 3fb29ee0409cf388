"""ImageNet's weights, from a file or from torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from quick_extractors import LABELS, images_for, quick, weights_like_imagenet
from safetensors.torch import save_file

from fanogan_mtl.errors import UserError
from fanogan_mtl.extractors import training
from fanogan_mtl.extractors.imagenet import imagenet_weights

State = dict[str, torch.Tensor]


def saved(state: object, path: Path) -> str:
    torch.save(state, path)
    return str(path)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"layer2.0.bn1.weight": None, "fc.bias": None}, "'layer2.0.bn1.weight' is missing"),
        (
            {"layer1.0.conv1.weight": torch.zeros(64, 64, 1, 1)},
            r"'layer1.0.conv1.weight' has shape \(64, 64, 1, 1\), not \(64, 64, 3, 3\)",
        ),
        ({"fc.weight": torch.zeros(10, 512)}, r"'fc.weight' has shape \(10, 512\), not \(1000, 512\)"),
        ({"layer5.weight": torch.zeros(1)}, "it has no 'layer5.weight'"),
        ({"conv1.weight": None, "layer5.weight": torch.zeros(1)}, "'conv1.weight' is missing"),
    ],
    ids=["missing", "shape", "other classes", "unknown", "two"],
)
def test_first_key_that_does_not_fit_is_named(change: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    state = {key: value for key, value in {**weights_like_imagenet(), **change}.items() if value is not None}
    path = saved(state, tmp_path / "other.pth")
    with pytest.raises(UserError, match=f"^the weights of {path} don't fit resnet18: {complaint}$"):
        imagenet_weights("resnet18", path)


@pytest.mark.parametrize(
    ("file_name", "content", "complaint"),
    [
        ("absent.pth", None, "can't be read"),
        ("text.pth", b"no weights", "can't be read"),
        ("text.safetensors", b"no weights", "can't be read"),
        ("list.pth", [1, 2], "hold no state dict"),
        ("nested.pth", {"state_dict": {"conv1.weight": torch.zeros(1)}}, "hold no state dict"),
        ("code.pth", {"conv1.weight": Path("/")}, "can't be read"),  # a pickle that calls a function
    ],
)
def test_file_without_a_state_dict_is_one_line_that_says_what_is_wanted(
    file_name: str, content: Any, complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / file_name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        saved(content, path)
    with pytest.raises(UserError) as caught:
        imagenet_weights("resnet18", str(path))
    said = str(caught.value)
    assert f"weights {str(path)!r} {complaint}" in said
    assert "give weights=PATH with a state dict of resnet18, as a .pth or .safetensors file" in said
    assert "\n" not in said


def test_safetensors_file_works_as_the_pth_does(weights_file: Path, tmp_path: Path) -> None:
    save_file(weights_like_imagenet(), tmp_path / "resnet18.safetensors")
    images = images_for("resnet18_frozen")
    features = [
        quick("resnet18_frozen", path).fit(images).transform(images)
        for path in (weights_file, tmp_path / "resnet18.safetensors")
    ]
    np.testing.assert_array_equal(features[0], features[1])


def test_weights_of_half_precision_become_float32(tmp_path: Path) -> None:
    halves = {
        key: value.half() if value.is_floating_point() else value for key, value in weights_like_imagenet().items()
    }
    state = imagenet_weights("resnet18", saved(halves, tmp_path / "half.pth"))
    assert state["conv1.weight"].dtype == torch.float32
    assert state["bn1.num_batches_tracked"].dtype == torch.int64


def test_file_from_before_batches_were_counted_fits(weights_file: Path, tmp_path: Path) -> None:
    old = {key: value for key, value in weights_like_imagenet().items() if "num_batches" not in key}
    path = saved(old, tmp_path / "old.pth")
    images = images_for("resnet18_frozen")
    features = [quick("resnet18_frozen", Path(each)).fit(images).transform(images) for each in (path, weights_file)]
    np.testing.assert_array_equal(features[0], features[1])


@pytest.mark.parametrize("name", ["resnet18_frozen", "resnet18_imagenet"])
def test_offline_without_a_file_is_one_line_that_says_what_to_do(
    name: str, weights_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise URLError("[Errno -3] Temporary failure in\nname resolution")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", offline)
    with pytest.raises(UserError) as caught:
        quick(name, weights_file, weights=None).fit(images_for(name), LABELS)
    said = str(caught.value)
    assert said.startswith("ImageNet's weights of resnet18 can't be downloaded (")
    assert "Temporary failure in name resolution" in said
    assert said.endswith("give weights=PATH with a state dict of resnet18, as a .pth or .safetensors file")
    assert "\n" not in said
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_home_is_expanded(weights_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(weights_file.parent))
    assert set(imagenet_weights("resnet18", "~/resnet18.pth")) == set(weights_like_imagenet())


@pytest.mark.parametrize(
    ("name", "network", "prefix", "first"),
    [
        ("resnet18_imagenet", "resnet18", "", "conv1.weight"),
        ("efficientnet_lite0_finetuned", "efficientnet_lite0", "1.", "conv_stem.weight"),
    ],
)
def test_imagenet_network_starts_from_the_file_with_the_first_convolution_summed_over_rgb(
    name: str, network: str, prefix: str, first: str, weights_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "train", lambda *args: ([], 1))
    extractor = quick(name, weights_file).fit(images_for(name), LABELS)
    expected = weights_like_imagenet(network)
    red, green, blue = expected.pop(first).unbind(dim=1)
    found = {key.removeprefix(prefix): value for key, value in extractor.network_.backbone.state_dict().items()}
    torch.testing.assert_close(found.pop(first)[:, 0], red + green + blue)
    assert set(found) == set(expected) - {"fc.weight", "fc.bias"}
    for key, value in found.items():
        assert torch.equal(value, expected[key]), key
    assert extractor.network_.head.out_features == 3
