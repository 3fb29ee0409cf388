"""The page of an extractor shows what it learned from, and nothing else."""

from pathlib import Path

import numpy as np
import pytest
from toy_folders import mixed_pictures, write

from fanogan_mtl import figures
from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.joint import learnable_rows, rows_digest
from fanogan_mtl.data.specs import parse_datasets
from fanogan_mtl.extractors.persistence import load_extractor
from fanogan_mtl.plan.extractors import sentence
from fanogan_mtl.report.charts.extractors import Trained
from fanogan_mtl.supply.extractor_page import write_extractor_page
from fanogan_mtl.sweep.pretraining import Pretraining, description_of, extractor_folder, learned_from, run_pretraining


def test_counts_are_of_the_images_that_were_learned_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (pool,) = parse_datasets("optdigits+handwritten")
    dataset = load_dataset(pool, tmp_path)
    rows = learnable_rows(dataset, [dataset], 0, limit=40, held_out_class="3")
    digest = rows_digest(dataset, rows)
    pretraining = Pretraining("pca", '{"n_components": 5}', pool, (pool,), digest, 0, limit=40, held_out_class="3")
    key = run_pretraining(pretraining, tmp_path)
    counted = []
    count = figures.class_counts_data

    def spied(labels: dict[str, np.ndarray], classes: tuple[str, ...]) -> object:
        counted.append(count(labels, classes))
        return counted[0]

    monkeypatch.setattr(figures, "class_counts_data", spied)
    extractor = load_extractor(extractor_folder(tmp_path, key))
    description = description_of(tmp_path, key)
    trained = Trained(str(pretraining), key, description, extractor, pool, dataset)
    (page,) = write_extractor_page(trained, tmp_path, tmp_path)
    (counts,) = [data.counts for data in counted]
    assert sum(counts["optdigits"]) + sum(counts["handwritten"]) == len(rows)
    assert {name: of_class[3] for name, of_class in counts.items()} == {
        "optdigits": 0, "handwritten": 0, "joint set": 0,
    }  # fmt: skip
    largest = np.maximum(counts["optdigits"], counts["handwritten"])
    np.testing.assert_array_equal(counts["joint set"], 2 * largest)
    assert "Principal components" in page.read_text()


def test_a_joint_batch_of_large_colour_images_is_shown_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {f"{part}/{name}": 10 for part in ("train", "test") for name in ("nut", "bolt")}
    (pool,) = parse_datasets(f"folder:{write(tmp_path / 'parts', mixed_pictures(counts))}?image_size=112&colour=rgb")
    dataset = load_dataset(pool, tmp_path)
    digest = rows_digest(dataset, learnable_rows(dataset, [dataset], 0))
    pretraining = Pretraining("pca", '{"n_components": 5}', pool, (pool,), digest, 0)
    key = run_pretraining(pretraining, tmp_path)
    shapes = []
    lay = figures.joint_batch_data
    monkeypatch.setattr(figures, "joint_batch_data", lambda *given: shapes.append(given[0].shape) or lay(*given))
    extractor = load_extractor(extractor_folder(tmp_path, key))
    trained = Trained(str(pretraining), key, description_of(tmp_path, key), extractor, pool, dataset)
    write_extractor_page(trained, tmp_path, tmp_path)
    assert [shape[1:] for shape in shapes] == [(56, 56, 3)]


def test_a_frozen_network_learned_from_nothing_and_its_page_says_nothing_of_it(tmp_path: Path) -> None:
    (pool,) = parse_datasets("optdigits")
    dataset = load_dataset(pool, tmp_path)
    digest = rows_digest(dataset, learnable_rows(dataset, [dataset], 0, limit=20))
    pretraining = Pretraining("efficientnet_lite0", '{"input_size": 48}', pool, (pool,), digest, 0, limit=20)
    key = run_pretraining(pretraining, tmp_path)
    assert len(learned_from(tmp_path, key)) == 0
    description = description_of(tmp_path, key)
    assert sentence(description) == (
        "The extractor efficientnet_lite0 learned nothing from these images: its weights are ImageNet's."
    )
    extractor = load_extractor(extractor_folder(tmp_path, key))
    (page,) = write_extractor_page(Trained("frozen", key, description, extractor, pool, dataset), tmp_path, tmp_path)
    assert "Images of each class" not in page.read_text()
    assert "Features as maps" in page.read_text()
