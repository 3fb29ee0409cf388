"""Extractors on disk; that they give the same bits in another process is in `test_features`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from quick_extractors import LABELS, images_for, quick, weights_like_imagenet
from sklearn.exceptions import NotFittedError

from fanogan_mtl.errors import UserError
from fanogan_mtl.extractors import make_extractor
from fanogan_mtl.extractors.base import Extractor
from fanogan_mtl.extractors.persistence import load_extractor, read_description, save_extractor


def test_everything_that_fit_learned_comes_back(weights_file: Path, tmp_path: Path) -> None:
    images = images_for("lenet5")
    extractor = quick("lenet5", weights_file, epochs=2, n_components=3, weight_decay=0.25).fit(images, LABELS)
    save_extractor(extractor, tmp_path)
    loaded = load_extractor(tmp_path, "cpu")
    assert loaded.get_params() == extractor.get_params()
    for attribute in ("history_", "best_epoch_", "n_features_out_"):
        assert getattr(loaded, attribute) == getattr(extractor, attribute)
    np.testing.assert_array_equal(loaded.classes_, extractor.classes_)
    np.testing.assert_array_equal(loaded.transform(images), extractor.transform(images))
    np.testing.assert_array_equal(loaded.predict(images), extractor.predict(images))
    assert loaded.predict(images).dtype.kind == "U"
    state = extractor.network_.state_dict()
    for key, value in loaded.network_.state_dict().items():
        assert torch.equal(value, state[key])
    assert not loaded.network_.training


def test_a_loaded_network_is_built_when_it_is_first_needed(weights_file: Path, tmp_path: Path) -> None:
    images = images_for("lenet5")
    save_extractor(quick("lenet5", weights_file).fit(images, LABELS), tmp_path)
    loaded = load_extractor(tmp_path, "cpu")
    features = loaded.transform(images)
    assert "network_" not in vars(loaded)
    loaded.predict(images)
    assert "network_" in vars(loaded)
    loaded.graph_ = None
    np.testing.assert_allclose(loaded.transform(images), features, rtol=1e-4, atol=1e-5)


def test_device_is_chosen_where_it_is_loaded(
    weights_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor = quick("pca", weights_file).fit(images_for("pca"))
    save_extractor(extractor.set_params(device="cuda"), tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device in ("cpu", "auto"):
        loaded = load_extractor(tmp_path, device)
        assert loaded.device == device
        assert loaded.transform(images_for("pca")).shape == (36, 5)


def test_features_of_an_extractor_saved_by_an_earlier_version_are_its_graph_s_on_any_device(
    weights_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = images_for("lenet5")
    extractor = quick("lenet5", weights_file).fit(images, LABELS)
    save_extractor(extractor, tmp_path)
    monkeypatch.setattr(Extractor, "_device", lambda _: torch.device("cuda"))
    assert load_extractor(tmp_path).graph_ is None
    for version in (None, extractor.version - 1):
        description = json.loads((tmp_path / "extractor.json").read_text())
        (tmp_path / "extractor.json").write_text(json.dumps({**description, "version": version}))
        np.testing.assert_array_equal(load_extractor(tmp_path).transform(images), extractor.transform(images))


def test_imagenet_s_file_is_not_needed_again(tmp_path: Path) -> None:
    file, folder = tmp_path / "resnet18.pth", tmp_path / "saved"
    torch.save(weights_like_imagenet(), file)
    folder.mkdir()
    images = images_for("resnet18_frozen")
    extractor = quick("resnet18_frozen", file).fit(images)
    save_extractor(extractor, folder)
    file.unlink()
    np.testing.assert_array_equal(load_extractor(folder, "cpu").transform(images), extractor.transform(images))


def test_facts_are_kept_beside_it_and_nothing_is_a_pickle(weights_file: Path, tmp_path: Path) -> None:
    extractor = quick("lenet5", weights_file).fit(images_for("lenet5"), LABELS)
    save_extractor(extractor, tmp_path, {"domains": ["a", "b"], "n_images": 36})
    description = read_description(tmp_path)
    assert (description["domains"], description["n_images"]) == (["a", "b"], 36)
    assert (description["extractor"], description["classes"]) == ("lenet5", ["a", "b", "c"])
    written = ["extractor.json", "features.onnx", "weights.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == written


def test_parameters_that_are_numpy_numbers_are_saved_as_numbers(tmp_path: Path) -> None:
    extractor = make_extractor("pca", n_components=np.int64(2), random_state=np.int32(7), device="cpu")
    save_extractor(extractor.fit(images_for("pca")), tmp_path)
    assert load_extractor(tmp_path, "cpu").get_params() == {"n_components": 2, "random_state": 7, "device": "cpu"}


def test_loading_leaves_the_global_random_state_alone(weights_file: Path, tmp_path: Path) -> None:
    save_extractor(quick("lenet5", weights_file).fit(images_for("lenet5"), LABELS), tmp_path)
    before = torch.get_rng_state()
    load_extractor(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_unfitted_extractor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        save_extractor(make_extractor("pca"), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (None, r"holds no saved extractor \(extractor.json is missing\)"),
        ({"format": 2}, "extractor.json has format 2, this version reads 1"),
        ({"format": 1, "extractor": "os:system", "params": {}}, "unknown extractor 'os:system'"),
    ],
)
def test_folder_that_is_no_saved_extractor_is_one_clear_line(
    description: dict[str, object] | None, message: str, tmp_path: Path
) -> None:
    if description is not None:
        (tmp_path / "extractor.json").write_text(json.dumps(description))
    with pytest.raises(UserError, match=message) as caught:
        load_extractor(tmp_path)
    assert "\n" not in str(caught.value)
