"""Extractors get the images they want of a data set that is prepared otherwise."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from full_disk import files_of_at_most
from torchvision.models import resnet18
from toy_folders import mixed_pictures, write

from fanogan_mtl.data.catalog import extractor_images, load_dataset
from fanogan_mtl.data.draws import limited_rows
from fanogan_mtl.data.files import prepare_images
from fanogan_mtl.data.joint import learnable_rows, rows_digest
from fanogan_mtl.data.prepared import load_raw, preparation_of
from fanogan_mtl.data.specs import DatasetSpec, parse_datasets, parse_source
from fanogan_mtl.data.transforms import EnlargedPreparation, Preparation, extractor_preparation
from fanogan_mtl.errors import UserError
from fanogan_mtl.extractors.input_spec import InputSpec
from fanogan_mtl.extractors.persistence import load_extractor
from fanogan_mtl.sweep import pretraining as module
from fanogan_mtl.sweep.cell import Cell, Comparison, run_cell
from fanogan_mtl.sweep.parameters import comparison_parameters, pretraining_parameters
from fanogan_mtl.sweep.pretraining import (
    FeatureTask,
    Pretraining,
    compute_features,
    description_of,
    extractor_folder,
    feature_folder,
    images_of,
    read_features,
    run_pretraining,
)

COUNTS = {f"{part}/{name}": count for part, count in (("train", 16), ("test", 6)) for name in ("nut", "bolt", "cog")}
PREPARED = Preparation(20, "rgb", contrast=1.5)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> DatasetSpec:
    folder = write(tmp_path_factory.mktemp("folders") / "parts", mixed_pictures(COUNTS))
    (spec,) = parse_datasets(f"folder:{folder}?image_size=20&colour=rgb&contrast=1.5")
    return spec


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def trained(spec: DatasetSpec, data_dir: Path, extractor: str, **chosen: object) -> str:
    dataset = load_dataset(spec, data_dir)
    digest = rows_digest(dataset, learnable_rows(dataset, [dataset], 0))
    parameters = pretraining_parameters(extractor, chosen)
    return run_pretraining(Pretraining(extractor, parameters, spec, (spec,), digest, 0), data_dir, "cpu")


def test_size_and_colour_are_the_extractors_and_the_rest_the_data_sets() -> None:
    house = Preparation(64, "rgb", crop=0.9, contrast=1.5, sharpness=2.0)
    assert extractor_preparation(house, InputSpec()) == replace(house, image_size=28, colour="grey")
    assert extractor_preparation(house, InputSpec(224, "rgb", original=True)) == Preparation(224, "rgb")
    settings = {"crop": 0.9, "contrast": 1.5, "sharpness": 2.0}
    own = EnlargedPreparation(224, "rgb", **settings, own=house)
    assert extractor_preparation(house, InputSpec(224, "own")) == own
    grey = replace(house, colour="grey")
    assert extractor_preparation(grey, InputSpec(224, "own")) == replace(own, colour="grey_rgb", own=grey)


def test_images_are_the_data_sets_own_where_they_fit_and_made_of_the_raw_ones_elsewhere(
    spec: DatasetSpec, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = load_dataset(spec, data_dir)
    source = parse_source(spec.sources[0])
    assert preparation_of(source) == PREPARED
    raw = load_raw(source, data_dir)
    rows = np.array([3, 40, 47, 48, 65])
    for wanted in (InputSpec(), InputSpec(32, "rgb", original=True)):
        preparation = extractor_preparation(PREPARED, wanted)
        expected = [
            prepare_images(raw.train.images[rows[:3]], preparation),
            prepare_images(raw.test.images[rows[3:] - 48], preparation),
        ]
        np.testing.assert_array_equal(images_of(spec, dataset, rows, wanted, data_dir), np.concatenate(expected))
    own = extractor_images(spec, rows, InputSpec(20, "rgb"), data_dir)
    monkeypatch.setattr(module, "extractor_images", None)
    np.testing.assert_array_equal(images_of(spec, dataset, rows, InputSpec(20, "rgb"), data_dir), own)


def test_features_and_accuracy_are_of_what_the_extractor_wants(spec: DatasetSpec, data_dir: Path) -> None:
    key = trained(spec, data_dir, "lenet5", epochs=12, batch_size=8)
    dataset, source = load_dataset(spec, data_dir), parse_source(spec.sources[0])
    raw = load_raw(source, data_dir)
    extractor = load_extractor(extractor_folder(data_dir, key), "cpu")
    grey = replace(PREPARED, image_size=28, colour="grey")
    images = np.concatenate([prepare_images(part.images, grey) for part in (raw.train, raw.test)])
    compute_features(FeatureTask(key, spec, dataset.digest, None), data_dir, "cpu")
    rows = limited_rows(dataset, None)
    features = read_features(key, spec, dataset, rows, None, data_dir)
    np.testing.assert_array_equal(features, extractor.transform(images))
    right = extractor.predict(images[48:]) == np.array(dataset.classes)[dataset.test.labels]
    assert description_of(data_dir, key)["test_accuracy"] == {"parts": right.mean()}
    assert right.mean() > 0.5


def test_features_on_a_full_disk_are_one_line_and_no_file(spec: DatasetSpec, data_dir: Path) -> None:
    key = trained(spec, data_dir, "pca", n_components=20)
    task = FeatureTask(key, spec, load_dataset(spec, data_dir).digest, 5)
    with files_of_at_most(2_000), pytest.raises(UserError, match=r"can't write .*; free space or set data_dir"):
        compute_features(task, data_dir, "cpu")
    assert not feature_folder(data_dir, key, task.data_digest, 5).exists()
    compute_features(task, data_dir, "cpu")


def test_frozen_networks_get_the_original_files(spec: DatasetSpec, data_dir: Path, tmp_path: Path) -> None:
    torch.save(resnet18().state_dict(), tmp_path / "weights.pth")
    key = trained(spec, data_dir, "resnet18_frozen", input_size=32, weights=str(tmp_path / "weights.pth"))
    dataset = load_dataset(spec, data_dir)
    compute_features(FeatureTask(key, spec, dataset.digest, 4), data_dir, "cpu")
    rows = np.load(feature_folder(data_dir, key, dataset.digest, 4) / "rows.npy")
    assert len(rows) == 24
    raw = load_raw(parse_source(spec.sources[0]), data_dir)
    images = prepare_images(raw.train.images[rows[:12]], Preparation(32, "rgb"))
    extractor = load_extractor(extractor_folder(data_dir, key), "cpu")
    features = read_features(key, spec, dataset, rows[:12], 4, data_dir)
    np.testing.assert_array_equal(features, extractor.transform(images))


def test_cells_keep_examples_in_the_size_and_colour_of_the_data_set(spec: DatasetSpec, data_dir: Path) -> None:
    digest = load_dataset(spec, data_dir).digest
    comparison = Comparison(spec, digest, "vae", comparison_parameters("vae", {}), (1,))
    result = run_cell(Cell(comparison, "cog", 0), data_dir, "cpu")
    assert result.examples is not None
    assert result.examples.images.shape == result.examples.reconstructions.shape == (8, 20, 20, 3)
    dataset = load_dataset(spec, data_dir)
    pixels = np.concatenate([dataset.train.pixels, dataset.test.pixels])[result.rows]
    first = np.flatnonzero(~result.anomaly)[:4]
    np.testing.assert_array_equal(np.round(result.examples.images[:4] * 255), pixels[first])
