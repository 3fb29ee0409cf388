"""A cell: what its key covers, what its result is, and what it can't see."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyod.models.knn import KNN
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.draws import limited_rows
from fanogan_mtl.data.joint import learnable_rows, rows_digest
from fanogan_mtl.data.specs import DatasetSpec, parse_datasets, sources_of
from fanogan_mtl.data.splits import split_rows
from fanogan_mtl.extractors.persistence import load_extractor
from fanogan_mtl.sweep.cell import (
    Cell,
    Comparison,
    drop_kept_detectors,
    kept_detector,
    run_cell,
    split_of,
    train_detector,
    validation_stages,
)
from fanogan_mtl.sweep.parameters import comparison_parameters, pretraining_parameters
from fanogan_mtl.sweep.pretraining import (
    FeatureTask,
    Pretraining,
    compute_features,
    extractor_folder,
    read_features,
    run_pretraining,
)
from fanogan_mtl.sweep.result import CellResult

TIMES = {"fit_seconds", "score_seconds"}
DEEP = ["fanogan", "vae", "deep_svdd", "dagmm"]


def digits(path: Path, poisoned: bool = False) -> str:
    """Write a small set of three shapes; poisoned, all but the training images of class 0 is something else."""
    random = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 60), ("test", 20)):
        labels = np.repeat(np.arange(3), count)
        images = random.integers(0, 60, (len(labels), 28, 28))
        for label in range(3):
            images[labels == label, 8 * label : 8 * label + 10, 6:20] += 150
        if poisoned:
            other = (labels > 0) | (part == "test")
            images[other] = random.integers(0, 255, (other.sum(), 28, 28))
        arrays |= {f"x_{part}": images.astype(np.uint8), f"y_{part}": labels}
    np.savez(path, **arrays)
    return f"shapes=npz:{path}"


def cell_of(spec: str, data_dir: Path, detector: str, budgets: tuple[int, ...] = (1, 2)) -> Cell:
    (dataset,) = parse_datasets(spec)
    digest = load_dataset(dataset, data_dir).digest
    return Cell(Comparison(dataset, digest, detector, comparison_parameters(detector, {}), budgets), "0", 3)


def without_times(result: CellResult) -> dict[int, dict[str, float]]:
    return {
        budget: {name: value for name, value in values.items() if name not in TIMES}
        for budget, values in result.metrics.items()
    }


@pytest.mark.parametrize("detector", [*DEEP, "pca", "knn", "iforest"])
def test_the_training_sees_no_test_image_and_no_other_class(tmp_path: Path, detector: str) -> None:
    clean = cell_of(digits(tmp_path / "clean.npz"), tmp_path, detector)
    poisoned = cell_of(digits(tmp_path / "poisoned.npz", poisoned=True), tmp_path, detector)
    assert clean.comparison.data_digest != poisoned.comparison.data_digest
    fitted = [train_detector(cell, 2, tmp_path) for cell in (clean, poisoned)]
    np.testing.assert_array_equal(fitted[0].decision_scores_, fitted[1].decision_scores_)
    assert fitted[0].threshold_ == fitted[1].threshold_
    if detector in DEEP:
        states = [each.network_.state_dict() for each in fitted]
        assert all((states[0][name] == states[1][name]).all() for name in states[0])


@pytest.mark.parametrize("detector", DEEP)
def test_a_smaller_budget_on_the_way_is_a_training_of_its_own(tmp_path: Path, detector: str) -> None:
    spec = digits(tmp_path / "shapes.npz")
    both = run_cell(cell_of(spec, tmp_path, detector, (2, 4)), tmp_path)
    alone = run_cell(cell_of(spec, tmp_path, detector, (2,)), tmp_path)
    np.testing.assert_array_equal(both.scores[0], alone.scores[0])
    assert without_times(both)[2] == without_times(alone)[2]
    assert not np.array_equal(both.scores[0], both.scores[1])


def test_a_detector_without_epochs_has_the_same_value_at_every_budget(tmp_path: Path) -> None:
    result = run_cell(cell_of(digits(tmp_path / "shapes.npz"), tmp_path, "knn", (2, 4)), tmp_path)
    assert result.metrics[2] == result.metrics[4]
    np.testing.assert_array_equal(result.scores[0], result.scores[1])


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    for detector in ("pca", "knn"):
        result = run_cell(cell_of(digits(tmp_path / "shapes.npz"), tmp_path, detector), tmp_path)
        result.save(tmp_path / "cell.npz")
        loaded = CellResult.load(tmp_path / "cell.npz")
        assert loaded.metrics == result.metrics
        np.testing.assert_array_equal(loaded.scores, result.scores)
        np.testing.assert_array_equal(loaded.rows, result.rows)
        assert (loaded.examples is None) == (detector == "knn")


def test_f_anogan_records_both_modes_and_both_terms(tmp_path: Path) -> None:
    metrics = run_cell(cell_of(digits(tmp_path / "shapes.npz"), tmp_path, "fanogan"), tmp_path).metrics[2]
    assert metrics.keys() >= {"auroc", "auroc_calibrated", "auroc_image", "auroc_feature", "validation_auroc"}


def test_what_is_kept_is_the_best_budget_by_validation(tmp_path: Path) -> None:
    cell, keep = cell_of(digits(tmp_path / "shapes.npz"), tmp_path, "vae", (1, 3)), tmp_path / "models"
    metrics = run_cell(cell, tmp_path, keep=keep).metrics
    best = max((1, 3), key=lambda budget: (metrics[budget]["validation_auroc"], -budget))
    assert [path.name for path in keep.iterdir()] == [kept_detector(keep, cell, best).name]
    drop_kept_detectors(keep, cell)
    assert list(keep.iterdir()) == []


def test_data_that_changed_since_the_plan_is_refused(tmp_path: Path) -> None:
    cell = cell_of(digits(tmp_path / "shapes.npz"), tmp_path, "pca")
    stale = replace(cell, comparison=replace(cell.comparison, data_digest="0" * 64))
    with pytest.raises(RuntimeError, match="changed while the sweep ran"):
        run_cell(stale, tmp_path)


def test_the_key_covers_what_the_result_depends_on_and_nothing_else() -> None:
    comparison = Comparison(DatasetSpec("a", ("npz:a",)), "digest", "vae", '{"beta": 1.0}', (20,), None)
    cell = Cell(comparison, "0", 0)
    elsewhere = replace(comparison, dataset=DatasetSpec("b", ("npz:b",)))
    assert Cell(elsewhere, "0", 0).key == cell.key
    others = [
        replace(comparison, data_digest="other"),
        replace(comparison, detector="dagmm"),
        replace(comparison, parameters='{"beta": 2.0}'),
        replace(comparison, budgets=(20, 50)),
        replace(comparison, limit=100),
    ]
    keys = {Cell(each, "0", 0).key for each in others} | {Cell(comparison, "1", 0).key, Cell(comparison, "0", 1).key}
    assert len(keys | {cell.key}) == 8
    assert len({each.key for each in others} | {comparison.key}) == 6


def vectors(path: Path) -> str:
    """Write two clouds in ten features of very different scale; ADBench's form."""
    random = np.random.default_rng(0)
    scales = 10.0 ** np.arange(-4, 6)
    rows = np.concatenate([random.normal(0, 1, (300, 10)), random.normal(0.8, 1.5, (40, 10))]) * scales
    np.savez(path, X=rows, y=np.repeat([0, 1], [300, 40]))
    return f"clouds=adbench:{path}"


def test_vectors_are_standardised_and_scored_as_pyods_detector_by_hand(tmp_path: Path) -> None:
    cell = replace(cell_of(vectors(tmp_path / "clouds.npz"), tmp_path, "knn"), normal_class="normal")
    result = run_cell(cell, tmp_path)
    with np.load(tmp_path / "clouds.npz") as file:
        features, anomaly = file["X"], file["y"] == 1
    seen, tested = train_test_split(
        np.arange(340), test_size=0.3, shuffle=True, stratify=anomaly, random_state=cell.seed + 1
    )
    (spec,) = parse_datasets(f"clouds=adbench:{tmp_path / 'clouds.npz'}")
    normal = split_rows(load_dataset(spec, tmp_path), "normal", cell.seed).train
    assert set(normal) < set(seen[~anomaly[seen]])
    scaler = StandardScaler().fit(features[normal])
    by_hand = KNN().fit(scaler.transform(features[normal])).decision_function(scaler.transform(features[tested]))
    assert sorted(result.rows) == sorted(tested)
    assert result.metrics[2]["auroc"] == pytest.approx(roc_auc_score(anomaly[tested], by_hand), abs=1e-3)
    assert result.examples is None
    deep = replace(cell_of(f"clouds=adbench:{tmp_path / 'clouds.npz'}", tmp_path, "vae"), normal_class="normal")
    assert run_cell(deep, tmp_path).examples is None


def test_a_cell_refuses_an_extractor_that_has_learned_from_its_test(tmp_path: Path) -> None:
    (spec,) = parse_datasets(digits(tmp_path / "clean.npz"))
    dataset = load_dataset(spec, tmp_path)
    rows = learnable_rows(dataset, [dataset], seed=3)
    pretraining = Pretraining("pca", '{"n_components": 5}', spec, (spec,), rows_digest(dataset, rows), seed=3)
    key = run_pretraining(pretraining, tmp_path)
    compute_features(FeatureTask(key, spec, dataset.digest, None), tmp_path)
    comparison = cell_of(digits(tmp_path / "clean.npz"), tmp_path, "knn").comparison
    cell = Cell(replace(comparison, extractor="pca", learned="x", protocol="paper"), "0", 3, key)
    run_cell(cell, tmp_path)
    learned = extractor_folder(tmp_path, key) / "learned_from.npy"
    np.save(learned, np.append(np.load(learned), dataset.test.hashes))
    with pytest.raises(RuntimeError, match=r"has learned from images that shapes/0 pca\+knn seed 3 is tested on"):
        run_cell(cell, tmp_path)


def test_features_of_a_pool_are_its_members_own(tmp_path: Path) -> None:
    first, second = digits(tmp_path / "a.npz"), digits(tmp_path / "b.npz", poisoned=True).replace("shapes", "others")
    (pool,) = parse_datasets(f"{first}+{second}")
    dataset = load_dataset(pool, tmp_path)
    rows = learnable_rows(dataset, [dataset], seed=0)
    pretraining = Pretraining("pca", '{"n_components": 5}', pool, (pool,), rows_digest(dataset, rows), seed=0)
    key = run_pretraining(pretraining, tmp_path)
    for source in sources_of(pool):
        compute_features(FeatureTask(key, source, load_dataset(source, tmp_path).digest, 30), tmp_path)
    wanted = np.random.default_rng(0).permutation(limited_rows(dataset, 30))
    pixels = np.concatenate([dataset.train.pixels, dataset.test.pixels])[wanted]
    expected = load_extractor(extractor_folder(tmp_path, key)).transform(pixels)
    np.testing.assert_array_equal(read_features(key, pool, dataset, wanted, 30, tmp_path), expected)


def test_an_extractors_own_number_of_epochs_is_among_what_it_depends_on() -> None:
    own = json.loads(pretraining_parameters("resnet18", {}))
    assert (own["epochs"], own["batch_size"]) == (5, 32)
    assert json.loads(pretraining_parameters("resnet18", {"epochs": 2}))["epochs"] == 2
    assert "random_state" not in own


def uneven_shapes(path: Path) -> str:
    """Write a set whose class 2 is rare, and looks like class 0, which class 1 doesn't."""
    random = np.random.default_rng(0)
    arrays = {}
    for part, sizes in (("train", (60, 40, 1)), ("test", (20, 15, 2))):
        labels = np.repeat(np.arange(3), sizes)
        images = random.integers(0, 100, (len(labels), 28, 28))
        images[labels == 1, 8:18, 6:20] += 150
        arrays |= {f"x_{part}": images.astype(np.uint8), f"y_{part}": labels}
    np.savez(path, **arrays)
    return f"uneven=npz:{path}"


def test_classes_of_unlike_sizes_count_the_same_in_every_metric(tmp_path: Path) -> None:
    result = run_cell(cell_of(uneven_shapes(tmp_path / "uneven.npz"), tmp_path, "knn"), tmp_path)
    assert result.counts == {0: 26, 1: 15, 2: 2}
    scores, labels = result.scores[-1], result.labels
    pairs = [
        roc_auc_score(labels[pair] > 0, scores[pair]) for other in (1, 2) for pair in [np.isin(labels, (0, other))]
    ]
    assert result.metrics[2]["auroc"] == pytest.approx(np.mean(pairs), abs=1e-12)
    assert result.metrics[2]["auroc"] < roc_auc_score(labels > 0, scores) - 0.1
    assert np.bincount(labels, result.weights) == pytest.approx([43 / 3] * 3)
    result.save(tmp_path / "cell.npz")
    np.testing.assert_array_equal(CellResult.load(tmp_path / "cell.npz").weights, result.weights)


def test_who_chooses_weighs_classes_as_the_cell_does(tmp_path: Path) -> None:
    cell = cell_of(uneven_shapes(tmp_path / "uneven.npz"), tmp_path, "vae")
    chosen = dict(validation_stages(cell, tmp_path))
    metrics = run_cell(cell, tmp_path).metrics
    assert chosen == {budget: values["validation_auroc"] for budget, values in metrics.items()}
    split, rows_of = split_of(cell, tmp_path)
    scores = train_detector(cell, 2, tmp_path).decision_function(rows_of(split.validation))
    assert metrics[2]["validation_auroc"] != roc_auc_score(split.validation.anomaly, scores)


def test_vectors_are_not_weighed(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(0, 3, (120, 5))
    vectors[100:110] += 9
    np.savez(tmp_path / "toy.npz", X=vectors, y=np.repeat([0, 1], [100, 20]))
    cell = replace(cell_of(f"toy=adbench:{tmp_path / 'toy.npz'}", tmp_path, "knn"), normal_class="normal")
    result = run_cell(cell, tmp_path)
    assert result.counts == {0: 30, 1: 6}
    assert result.weights is None
    found = result.scores[-1] > result.metrics[2]["threshold"]
    assert result.metrics[2]["precision"] == pytest.approx(result.anomaly[found].mean())
