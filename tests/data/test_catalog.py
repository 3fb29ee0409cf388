from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fanogan_mtl.data import cache, prepared
from fanogan_mtl.data.catalog import load_dataset, sample_sheets
from fanogan_mtl.data.dataset import Dataset, class_counts
from fanogan_mtl.data.hashing import content_hashes
from fanogan_mtl.data.prepared import load_raw, preparation_of
from fanogan_mtl.data.specs import DatasetSpec, parse_datasets, parse_source
from fanogan_mtl.data.transforms import Preparation, prepare
from fanogan_mtl.errors import UserError

WriteNpz = Callable[..., Path]

LOAD = """
import sys
from pathlib import Path
from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.specs import parse_datasets
print("ready", flush=True)
print(*(load_dataset(spec, Path(sys.argv[2])).digest for spec in parse_datasets(sys.argv[1])), flush=True)
"""


def spec_of(text: str) -> DatasetSpec:
    (spec,) = parse_datasets(text)
    return spec


def start(text: str, data_dir: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", LOAD, text, str(data_dir)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def assert_equal(one: Dataset, other: Dataset) -> None:
    for part in ("train", "test"):
        for name, array in vars(getattr(one, part)).items():
            np.testing.assert_array_equal(array, getattr(getattr(other, part), name))


def test_a_data_set_is_its_source_prepared(npz_file: WriteNpz, tmp_path: Path):
    text = f"svhn=npz:{npz_file(x_train=np.random.default_rng(1).integers(0, 256, (60, 32, 32, 3), dtype=np.uint8))}"
    dataset, raw = load_dataset(spec_of(text), tmp_path), load_raw(parse_source(text), tmp_path)
    expected = prepare(raw.train.images, Preparation(crop=29 / 32, contrast=1.5, sharpness=2.0))
    np.testing.assert_array_equal(dataset.train.pixels, expected)
    np.testing.assert_array_equal(dataset.train.hashes, content_hashes(expected))
    np.testing.assert_array_equal(dataset.train.labels, raw.train.labels)
    assert not dataset.train.domains.any()
    assert (dataset.name, dataset.domains, dataset.classes) == ("svhn", ("svhn",), ("0", "1", "2"))
    assert isinstance(dataset.train.pixels, np.memmap)
    assert not dataset.train.pixels.flags.writeable


def test_the_name_decides_on_the_preparation():
    house = Preparation(crop=29 / 32, contrast=1.5, sharpness=2.0)
    raised = Preparation(contrast=1.5, sharpness=2.0)
    expected = {"svhn": house, "streetdigits": house, "usps=npz:x": raised, "npz:usps.npz": raised}
    plain = ["mnist", "handwritten", "optdigits", "other=npz:usps.npz"]
    for text, preparation in (expected | dict.fromkeys(plain, Preparation())).items():
        assert preparation_of(parse_source(text)) == preparation


def test_a_pool_is_its_members_one_after_the_other(npz_file: WriteNpz, tmp_path: Path):
    first = npz_file("first.npz", y_train=np.array([2, 10, 3] * 20), y_test=np.array([2, 10, 3] * 10))
    second = npz_file("second.npz", x_train=np.full((60, 16, 16), 7, np.uint8), x_test=np.ones((30, 9, 9, 3), np.uint8))
    pool = load_dataset(spec_of(f"npz:{first}+usps=npz:{second}"), tmp_path)
    members = [load_dataset(spec_of(text), tmp_path) for text in (f"npz:{first}", f"usps=npz:{second}")]
    assert pool.name == "first+usps"
    assert pool.domains == ("first", "usps")
    assert pool.classes == ("0", "1", "2", "3", "10")
    for pooled, parts in ((pool.train, [m.train for m in members]), (pool.test, [m.test for m in members])):
        for name in ("pixels", "hashes"):
            np.testing.assert_array_equal(
                getattr(pooled, name), np.concatenate([getattr(part, name) for part in parts])
            )
        names = [m.classes[label] for m, part in zip(members, parts, strict=True) for label in part.labels]
        assert [pool.classes[label] for label in pooled.labels] == names
        assert pooled.domains.tolist() == [0] * len(parts[0].labels) + [1] * len(parts[1].labels)
    assert isinstance(pool.train.pixels, np.memmap)


def test_preparing_twice_costs_nothing(npz_file: WriteNpz, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spec = spec_of(f"usps=npz:{npz_file('a.npz')}+npz:{npz_file('b.npz')}")
    first = load_dataset(spec, tmp_path)
    for name in ("load_raw", "prepare_set", "write_entry"):
        monkeypatch.setattr(prepared, name, None)
    again = load_dataset(spec, tmp_path)
    assert again.digest == first.digest
    assert_equal(first, again)


def test_the_digest_names_the_content_alone(npz_file: WriteNpz, tmp_path: Path):
    path = npz_file("a.npz")
    digest = load_dataset(spec_of(f"one=npz:{path}"), tmp_path).digest
    assert load_dataset(spec_of(f"two=npz:{path}"), tmp_path / "elsewhere").digest == digest
    assert load_dataset(spec_of(f"usps=npz:{path}"), tmp_path).digest != digest
    images = np.load(path)["x_test"].copy()
    images[3, 3, 3] ^= 1
    assert load_dataset(spec_of(f"one=npz:{npz_file('b.npz', x_test=images)}"), tmp_path).digest != digest
    labels = np.arange(60) % 3
    for y_train, y_test in ((labels[::-1], labels[:30]), (labels + 10, labels[:30] + 10)):
        other = npz_file("c.npz", y_train=y_train, y_test=y_test)
        assert load_dataset(spec_of(f"one=npz:{other}"), tmp_path).digest != digest


def test_a_file_that_changes_is_prepared_anew(npz_file: WriteNpz, tmp_path: Path):
    spec = spec_of(f"npz:{npz_file()}")
    before = load_dataset(spec, tmp_path).digest
    npz_file(y_test=np.arange(30) % 2)
    assert load_dataset(spec, tmp_path).digest != before


def test_processes_prepare_at_once_and_agree(npz_file: WriteNpz, tmp_path: Path):
    text = f"npz:{npz_file('a.npz')}+npz:{npz_file('b.npz')},handwritten"
    outputs = {process.communicate()[0] for process in [start(text, tmp_path / "data") for _ in range(2)]}
    assert outputs == {" ".join(load_dataset(spec, tmp_path / "other").digest for spec in parse_datasets(text)) + "\n"}
    assert not list((tmp_path / "data/prepared").glob(".*"))


def test_killed_at_any_moment_the_next_run_finds_whole_entries(npz_file: WriteNpz, tmp_path: Path):
    x_train = np.random.default_rng(0).integers(0, 256, (15_000, 28, 28), dtype=np.uint8)
    text = f"npz:{npz_file(x_train=x_train, y_train=np.arange(15_000) % 3)}"
    start_time = time.perf_counter()
    whole = load_dataset(spec_of(text), tmp_path / "quiet")
    seconds = time.perf_counter() - start_time
    for moment in (0.2, 0.6, 0.8, 0.9, 1.0):
        data_dir = tmp_path / f"killed at {moment}"
        process = start(text, data_dir)
        time.sleep(moment * seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert_equal(load_dataset(spec_of(text), data_dir), whole)


def test_a_damaged_member_of_a_pool_is_made_again(npz_file: WriteNpz, tmp_path: Path):
    spec = spec_of(f"npz:{npz_file('a.npz')}+npz:{npz_file('b.npz', y_test=np.arange(30) % 2)}")
    whole = load_dataset(spec, tmp_path / "data")
    for folder in (tmp_path / "data/prepared").iterdir():
        os.truncate(folder / "train_pixels.npy", 200)
    assert_equal(load_dataset(spec, tmp_path / "data"), load_dataset(spec, tmp_path / "other"))
    assert load_dataset(spec, tmp_path / "data").digest == whole.digest


def test_mistakes_are_one_line(npz_file: WriteNpz, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = npz_file()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"can't write to the data folder .* set data_dir"):
        load_dataset(spec_of("handwritten"), tmp_path / "file")
    with pytest.raises(UserError, match=r"can't open .*absent.npz \(No such file or directory\)"):
        load_dataset(spec_of(f"npz:{tmp_path}/absent.npz"), tmp_path)
    load_dataset(spec_of(f"npz:{path}"), tmp_path / "data")
    (entry,) = (tmp_path / "data/prepared").iterdir()
    (entry / "train_pixels.npy").write_bytes(b"damaged")
    monkeypatch.setattr(cache, "_damage", lambda folder: None)  # as if it had come a moment later
    with pytest.raises(UserError, match=f"the prepared data in {entry} are damaged .* delete that folder") as caught:
        load_dataset(spec_of(f"npz:{path}"), tmp_path / "data")
    assert "\n" not in str(caught.value)


def test_sheets_show_each_class_raw_and_prepared(npz_file: WriteNpz, tmp_path: Path):
    y_train = np.array([5] * 30 + [7] * 27 + [9] * 3)  # class 11 is in the test only
    images = np.random.default_rng(1).integers(0, 256, (60, 20, 24, 3), dtype=np.uint8)
    colour = npz_file("colour.npz", x_train=images, y_train=y_train, y_test=np.full(30, 11))
    grey = npz_file("grey.npz")
    first, second = sample_sheets(spec_of(f"npz:{colour}+usps=npz:{grey}"), tmp_path)
    assert (first.name, first.classes, first.raw.shape) == ("colour", ("5", "7", "9"), (3, 3, 20, 24, 3))
    assert (second.name, second.classes, second.raw.shape) == ("usps", ("0", "1", "2"), (3, 8, 28, 28))
    for row, label in enumerate((5, 7, 9)):
        own = {image.tobytes() for image in images[y_train == label]}
        assert {image.tobytes() for image in first.raw[row]} <= own
        np.testing.assert_array_equal(first.prepared[row], prepare(first.raw[row], Preparation()))


def test_class_counts_cover_every_class(npz_file: WriteNpz, tmp_path: Path):
    dataset = load_dataset(spec_of(f"npz:{npz_file(y_test=np.array([1, 11] * 15))}"), tmp_path)
    assert class_counts(dataset) == {
        "train": {"0": 20, "1": 20, "2": 20, "11": 0},
        "test": {"0": 0, "1": 15, "2": 0, "11": 15},
    }


def test_the_sample_is_three_sets_and_their_pool(sample_dir: Path):
    sets = [load_dataset(spec, sample_dir) for spec in parse_datasets("sample")]
    sizes = [(len(dataset.train.labels), len(dataset.test.labels)) for dataset in sets]
    assert sizes == [(4000, 1000), (1433, 364), (4000, 1000), (9433, 2364)]
    assert all(dataset.classes == tuple("0123456789") for dataset in sets)
    assert len({dataset.digest for dataset in sets}) == 4


@pytest.mark.parametrize(("name", "n_train", "n_test"), [("mnist", 60_000, 10_000), ("usps", 7291, 2007)])
def test_real_sets_are_whole(real_datasets: dict[str, Dataset], name: str, n_train: int, n_test: int):
    dataset = real_datasets[name]
    assert (dataset.train.pixels.shape, dataset.test.pixels.shape) == ((n_train, 28, 28), (n_test, 28, 28))
    assert dataset.classes == tuple("0123456789")


def test_the_documented_example_prints_what_it_says(sample_dir: Path, tmp_path: Path):
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    code = next(block for block in page.split("```python\n")[1:] if "one_vs_rest" in block).split("```")[0]
    (tmp_path / "fanogan-mtl").symlink_to(sample_dir)
    output = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
    ).stdout
    assert output == code.split("# ")[1]
