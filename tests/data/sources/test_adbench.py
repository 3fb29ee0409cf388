from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from traps import Trap

from fanogan_mtl.data.catalog import load_dataset, sample_sheets
from fanogan_mtl.data.dataset import Dataset, class_counts, copy_count
from fanogan_mtl.data.hashing import content_hashes
from fanogan_mtl.data.prepared import preparation_of
from fanogan_mtl.data.rows import pixel_rows
from fanogan_mtl.data.sources import adbench
from fanogan_mtl.data.specs import parse_datasets, parse_source
from fanogan_mtl.data.splits import one_vs_rest
from fanogan_mtl.errors import UserError

WriteNpz = Callable[..., Path]
X = np.random.default_rng(0).normal(0, 3, (120, 5))
Y = np.repeat([0, 1], [100, 20])


def with_value(value: float, row: int = 7, column: int = 3) -> np.ndarray:
    features = X.copy()
    features[row, column] = value
    return features


def load(text: str, data_dir: Path) -> Dataset:
    (spec,) = parse_datasets(text)
    return load_dataset(spec, data_dir)


@pytest.mark.parametrize("kind", [np.float64, np.float16, np.int8, np.uint64, bool])
def test_features_become_float32(adbench_file: WriteNpz, kind: type):
    features = (np.abs(X) * 2).astype(kind)
    vectors = adbench.load(adbench_file(X=features), Path()).vectors
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, features.astype(np.float32))


@pytest.mark.parametrize("kind", [np.int64, np.uint8, bool, float])
def test_labels_of_any_kind_are_zero_and_one(adbench_file: WriteNpz, kind: type):
    labels = adbench.load(adbench_file(y=Y.astype(kind)), Path()).labels
    assert labels.dtype == np.int64
    assert labels.tolist() == Y.tolist()


@pytest.mark.parametrize(
    "column",
    [np.full(120, 0.1), np.full(120, 0.1) + np.arange(120) * 1e-17, np.arange(120) * 1e7 + 2**31, X[:, 0] * 1e-30],
)
def test_columns_that_float32_holds_well_enough_are_taken(adbench_file: WriteNpz, column: np.ndarray):
    vectors = adbench.load(adbench_file(X=np.column_stack([X, column])), Path()).vectors
    np.testing.assert_array_equal(vectors[:, 5], column.astype(np.float32))


def test_equal_vectors_are_copies_whatever_the_sign_of_zero(adbench_file: WriteNpz):
    vectors = adbench.load(adbench_file(X=np.where(np.arange(120)[:, None] < 60, 0.0, -0.0) * X), Path()).vectors
    assert len(set(content_hashes(vectors).tolist())) == 1


@pytest.mark.parametrize(
    ("replaced", "complaint"),
    [
        ({"X": None}, "{} lacks X; adbench: needs X, y"),
        ({"y": None}, "{} lacks y; adbench: needs X, y"),
        ({"X": X[:, 0]}, "X in {} has shape (120,); vectors must be (n, features)"),
        ({"X": X.reshape(120, 5, 1)}, "X in {} has shape (120, 5, 1)"),
        ({"X": X[:, :0]}, "X in {} has shape (120, 0)"),
        ({"X": X.astype(complex)}, "X in {} is complex128; convert features to real numbers"),
        ({"X": X.astype(str)}, "X in {} is <U"),
        ({"X": with_value(np.nan)}, "X in {} has NaN at row 7, column 3 (counted from 0); fill the gaps"),
        ({"X": with_value(np.nan, 119, 4)}, "X in {} has NaN at row 119, column 4"),
        ({"X": with_value(-np.inf)}, "X in {} has infinity at row 7, column 3 (counted from 0); replace it"),
        (
            {"X": X + 2.0**31},
            "X in {} varies by 2.68 around 2.14748e+09 in column 0 (counted from 0), too little for float32 to tell",
        ),
        ({"X": np.arange(600).reshape(120, 5) + 2**40}, "X in {} varies by 173 around 1.09951e+12 in column 0"),
        ({"X": with_value(-1e39)}, "X in {} has -1e+39, more than float32 holds, at row 7, column 3"),
        ({"y": Y[:-1]}, "y in {} has shape (119,) for 120 rows of X; labels must be (120,)"),
        ({"y": Y[:, None]}, "y in {} has shape (120, 1) for 120 rows of X"),
        ({"y": Y.astype(str)}, "y in {} is <U"),
        (
            {"y": np.where(np.arange(120) == 5, 2, Y)},
            "y in {} has 2 at row 5 (counted from 0); labels must be 0 (normal)",
        ),
        ({"y": np.where(np.arange(120) == 5, -1, Y)}, "y in {} has -1 at row 5"),
        ({"y": np.where(np.arange(120) == 5, np.nan, Y)}, "y in {} has nan at row 5"),
        ({"y": np.where(np.arange(120) == 5, 0.5, Y)}, "y in {} has 0.5 at row 5"),
        ({"y": np.zeros(120, bool)}, "y in {} has one class only (0); labels must be 0 (normal) and 1 (anomaly)"),
        ({"y": np.ones(120)}, "y in {} has one class only (1)"),
        ({"X": X[91:], "y": Y[91:]}, "y in {} has 9 rows of 0 (normal); at least 10 are needed"),
        ({"X": X[:102], "y": Y[:102]}, "y in {} has 2 rows of 1 (anomaly); at least 3 are needed"),
        ({"X": X[:0], "y": Y[:0]}, "y in {} has 0 rows of 0 (normal)"),
    ],
)
def test_wrong_arrays_are_named_in_one_line(adbench_file: WriteNpz, replaced: dict[str, object], complaint: str):
    path = adbench_file("{0}.npz", **replaced)
    assert complaint.format(path) in one_line_error(path)


def test_the_fewest_rows_are_enough(adbench_file: WriteNpz, tmp_path: Path):
    path = adbench_file(X=X[90:103], y=Y[90:103])
    split = one_vs_rest(load(f"adbench:{path}", tmp_path), "normal", seed=0)
    assert [len(part.rows) for part in (split.train, split.validation, split.test)] == [6, 2, 4]


@pytest.mark.parametrize("name", ["X", "y"])
def test_python_objects_are_never_unpickled(adbench_file: WriteNpz, tmp_path: Path, name: str):
    path = adbench_file(**{name: np.array([Trap(tmp_path / "sprung")] * 120, dtype=object)})
    assert f"{name} in {path} holds Python objects, which are never loaded" in one_line_error(path)
    assert not (tmp_path / "sprung").exists()


def test_files_that_are_no_npz(adbench_file: WriteNpz, tmp_path: Path):
    (tmp_path / "text.npz").write_text("not a zip")
    cut = tmp_path / "cut.npz"
    cut.write_bytes(adbench_file().read_bytes()[:-100])
    absent = one_line_error(tmp_path / "absent.npz")
    assert f"can't open {tmp_path / 'absent.npz'} (No such file or directory); check the path after adbench:" in absent
    assert f"{tmp_path} is a folder; adbench: wants a file" in one_line_error(tmp_path)
    assert "text.npz is not an npz file" in one_line_error(tmp_path / "text.npz")
    assert str(cut) in one_line_error(cut)
    with pytest.raises(UserError, match="check the path after adbench:"):
        load(f"adbench:{tmp_path}/absent.npz", tmp_path)


def test_a_data_set_is_the_file_as_it_is(adbench_file: WriteNpz, tmp_path: Path):
    dataset = load(f"svhn=adbench:{adbench_file()}", tmp_path)  # no name makes it be prepared
    assert (dataset.name, dataset.domains, dataset.classes) == ("svhn", ("svhn",), ("normal", "anomaly"))
    assert not dataset.is_images
    assert not dataset.contaminated
    assert dataset.normal_classes == ("normal",)
    assert isinstance(dataset.train.pixels, np.memmap)
    assert not dataset.train.pixels.flags.writeable
    assert dataset.train.pixels.dtype == np.float32
    np.testing.assert_array_equal(dataset.train.pixels, X.astype(np.float32))
    np.testing.assert_array_equal(dataset.train.labels, Y)
    np.testing.assert_array_equal(dataset.train.hashes, content_hashes(X.astype(np.float32)))
    assert dataset.train.domains.tolist() == [0] * 120
    assert (dataset.test.pixels.shape, dataset.test.pixels.dtype) == ((0, 5), np.float32)
    assert class_counts(dataset) == {"train": {"normal": 100, "anomaly": 20}, "test": {"normal": 0, "anomaly": 0}}


def test_rows_of_a_split_are_the_files(adbench_file: WriteNpz, tmp_path: Path):
    split = one_vs_rest(load(f"adbench:{adbench_file()}", tmp_path), "normal", seed=0)
    np.testing.assert_array_equal(pixel_rows(split.test.pixels), X.astype(np.float32)[split.test.rows])


def test_vectors_have_neither_preparation_nor_sheet(adbench_file: WriteNpz, tmp_path: Path):
    text = f"usps=adbench:{adbench_file()}"
    assert preparation_of(parse_source(text)) is None
    assert sample_sheets(parse_datasets(text)[0], tmp_path) == ()


def test_images_say_what_can_be_normal(npz_file: WriteNpz, tmp_path: Path):
    y_train, y_test = np.array([10, 2, 4] * 20), np.array([3, 10] * 15)  # class 3 is in the test only
    dataset = load(f"npz:{npz_file('images.npz', y_train=y_train, y_test=y_test)}", tmp_path)
    assert dataset.is_images
    assert not dataset.contaminated
    assert dataset.normal_classes == ("2", "4", "10")


def test_the_digest_names_the_vectors_and_the_contamination(adbench_file: WriteNpz, tmp_path: Path):
    path = adbench_file("a.npz")
    digest = load(f"one=adbench:{path}", tmp_path).digest
    assert load(f"two=adbench:{path}", tmp_path / "elsewhere").digest == digest
    contaminated = load(f"one=adbench:{path}?contaminated", tmp_path)
    assert contaminated.contaminated
    assert contaminated.digest == load(f"adbench:{path}?contaminated", tmp_path / "elsewhere").digest
    other_vectors = load(f"adbench:{adbench_file('b.npz', X=with_value(1.0))}", tmp_path)
    other_labels = load(f"adbench:{adbench_file('c.npz', y=Y[::-1])}", tmp_path)
    other_both = load(f"adbench:{tmp_path / 'b.npz'}?contaminated", tmp_path)
    unique = load(f"adbench:{path}?unique", tmp_path)
    unique_contaminated = load(f"adbench:{path}?unique&contaminated", tmp_path)
    assert (unique.unique, unique.contaminated) == (True, False)
    assert unique_contaminated.digest == load(f"adbench:{path}?contaminated&unique", tmp_path).digest
    others = (contaminated, unique, unique_contaminated, other_vectors, other_labels, other_both)
    digests = {digest, *(each.digest for each in others)}
    assert len(digests) == 7
    assert all(len(each) == 64 for each in digests)


def test_the_second_load_reads_what_the_first_wrote(
    adbench_file: WriteNpz, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = adbench_file()
    first = load(f"adbench:{path}", tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(adbench, "load", None)
        again = load(f"adbench:{path}", tmp_path)
        contaminated = load(f"x=adbench:{path}?contaminated", tmp_path)  # the same vectors need no second copy
    assert again.digest == first.digest
    for part in ("train", "test"):
        for name, array in vars(getattr(first, part)).items():
            np.testing.assert_array_equal(array, getattr(getattr(again, part), name))
            np.testing.assert_array_equal(array, getattr(getattr(contaminated, part), name))
    assert len(list((tmp_path / "prepared").iterdir())) == 1
    adbench_file(X=with_value(1.0))
    assert load(f"adbench:{path}", tmp_path).digest != first.digest


@pytest.mark.parametrize(
    ("digit", "sizes"),
    [(0, [[2771, 146], [692, 36], [1485, 78]]), (8, [[2826, 148], [706, 37], [1513, 80]])],
)
def test_real_vectors_split_by_their_labels(real_data: Path, tmp_path: Path, digit: int, sizes: list[list[int]]):
    path = real_data / f"adbench/SVHN_{digit}.npz"
    if not path.exists():
        pytest.skip(f"the folder of FANOGAN_MTL_REAL_DATA has no adbench/{path.name}")
    with np.load(path, allow_pickle=False) as file:
        features, labels = file["X"], file["y"]
    dataset = load(f"adbench:{path}?contaminated", tmp_path)
    np.testing.assert_array_equal(dataset.train.pixels, features)
    split = one_vs_rest(dataset, "normal", seed=0)
    parts = (split.train, split.validation, split.test)
    assert [np.bincount(labels[part.rows]).tolist() for part in parts] == sizes  # no vector occurs twice
    for part in parts:
        np.testing.assert_array_equal(part.anomaly, labels[part.rows] == 1)


@pytest.mark.parametrize(("name", "copies"), [("23_mammography", 3335), ("6_cardio", 9), ("12_fault", 0)])
def test_copies_of_real_vectors_are_counted(real_data: Path, tmp_path: Path, name: str, copies: int):
    path = real_data / f"adbench/classical/{name}.npz"
    if not path.exists():
        pytest.skip(f"the folder of FANOGAN_MTL_REAL_DATA has no adbench/classical/{path.name}")
    usual, unique = (load(f"adbench:{path}?contaminated{more}", tmp_path) for more in ("", "&unique"))
    assert copy_count(usual) == copy_count(unique) == copies
    splits = [one_vs_rest(dataset, "normal", seed=0) for dataset in (usual, unique)]
    n_rows = [sum(len(part.rows) for part in (split.train, split.validation, split.test)) for split in splits]
    assert n_rows[0] == len(usual.train.labels)
    assert (n_rows[1] < n_rows[0]) == bool(copies)
    assert splits[1].test.rows.tolist() == splits[0].test.rows.tolist()


def one_line_error(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        adbench.load(path, Path())
    assert "\n" not in str(caught.value)
    return str(caught.value)
