from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fanogan_mtl.errors import UserError
from fanogan_mtl.plan.options import BenchmarkOptions
from fanogan_mtl.plan.plan import make_plan


def test_comparisons_take_turns_and_every_cell_comes_once(tmp_path: Path) -> None:
    options = BenchmarkOptions(
        dataset="optdigits", detectors="pca,knn", classes="0,7,8", seeds="0,1", data_dir=str(tmp_path)
    )
    plan = make_plan(options)
    assert [cell.comparison.detector for cell in plan.cells] == ["pca", "knn"] * 6
    assert len({cell.key for cell in plan.cells}) == len(plan.cells) == 2 * 3 * 2


def test_one_cell_of_each_comparison_has_all_checks(tmp_path: Path) -> None:
    plan = make_plan(BenchmarkOptions(dataset="optdigits", detectors="pca,vae", classes="3,4", data_dir=str(tmp_path)))
    assert [cell.comparison.detector for cell in plan.cells if cell.untrained] == ["pca", "vae"]


def uneven(path: Path) -> str:
    random = np.random.default_rng(0)
    arrays = {}
    for part in ("train", "test"):
        labels = np.repeat([0, 1, 2], [60, 30, 2])
        arrays |= {f"x_{part}": random.integers(0, 255, (92, 8, 8)).astype(np.uint8), f"y_{part}": labels}
    np.savez(path, **arrays)
    return f"npz:{path}"


def test_of_all_classes_one_too_small_to_be_normal_is_left_out_with_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = uneven(tmp_path / "set.npz")
    options = BenchmarkOptions(dataset=spec, detectors="pca", data_dir=str(tmp_path))
    assert [cell.normal_class for cell in make_plan(options).cells] == ["0", "1"]
    told = capsys.readouterr().err
    assert "set: never the normal class, but an anomaly: 2" in told
    assert "2 different training images; at least 6 are needed" in told


def test_a_class_too_small_to_be_normal_that_is_asked_for_is_refused(tmp_path: Path) -> None:
    spec = uneven(tmp_path / "set.npz")
    with pytest.raises(UserError, match="class '2' of data set 'set' has 2 different training images"):
        make_plan(BenchmarkOptions(dataset=spec, detectors="pca", classes="0,2", data_dir=str(tmp_path)))


def test_test_images_that_training_has_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    images, tested = (random.integers(0, 255, (number, 8, 8)).astype(np.uint8) for number in (180, 60))
    tested[:20] = images[:20]
    labels, of_test = np.repeat([0, 1, 2], 60), np.repeat([0, 1, 2], 20)
    np.savez(tmp_path / "set.npz", x_train=images, y_train=labels, x_test=tested, y_test=of_test)
    options = BenchmarkOptions(dataset=f"npz:{tmp_path / 'set.npz'}", detectors="pca", classes="1,2")
    make_plan(replace(options, data_dir=str(tmp_path)))
    assert capsys.readouterr().err == "set: 20 test images are copies of training images, and not tested\n"


def test_images_under_two_classes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (180, 8, 8)).astype(np.uint8)
    images[60:67] = images[:7]  # of class 0, and of class 1
    images[120:123] = images[120]  # copies within a class
    labels = np.repeat([0, 1, 2], 60)
    np.savez(
        tmp_path / "set.npz",
        x_train=images,
        y_train=labels,
        x_test=random.integers(0, 255, (30, 8, 8)).astype(np.uint8),
        y_test=labels[::6],
    )
    make_plan(BenchmarkOptions(dataset=f"npz:{tmp_path / 'set.npz'}", detectors="pca", data_dir=str(tmp_path)))
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "set: 14 images have the same content under another class, too (0, 1): where one of them is normal" in told
    make_plan(BenchmarkOptions(dataset="optdigits", detectors="pca", classes="1", data_dir=str(tmp_path)))
    assert capsys.readouterr().err == ""
