from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fanogan_mtl.data.specs import DatasetSpec, Source, parse_datasets, parse_source
from fanogan_mtl.errors import UserError


def names(text: str) -> list[str]:
    return [spec.name for spec in parse_datasets(text)]


def test_sample_and_paper_stand_for_three_sets_and_their_pool():
    assert names("sample") == ["handwritten", "optdigits", "streetdigits", "handwritten+optdigits+streetdigits"]
    assert names("paper") == ["mnist", "svhn", "usps", "mnist+svhn+usps"]
    assert parse_datasets("sample")[3].sources == ("handwritten", "optdigits", "streetdigits")


def test_lists_names_and_pools():
    assert parse_datasets("optdigits, mine=npz:/a/b.npz") == (
        DatasetSpec("optdigits", ("optdigits",)),
        DatasetSpec("mine", ("mine=npz:/a/b.npz",)),
    )
    assert parse_datasets("mnist=npz:m.npz+usps=npz:u.npz") == (
        DatasetSpec("mnist+usps", ("mnist=npz:m.npz", "usps=npz:u.npz")),
    )
    assert names("sample,mnist")[-1] == "mnist"


def test_a_file_without_a_name_is_called_after_its_stem():
    assert names("npz:/data/my digits.v2.npz") == ["my-digits.v2"]
    assert names("folder:/data/my parts.v2/") == ["my-parts.v2"]
    assert names("folder:.,bolts=folder:.") == ["folder", "bolts"]


def test_vectors_may_leave_their_anomalies_in_training():
    assert parse_source("adbench:/a/SVHN_0.npz") == Source("SVHN_0", "adbench", Path("/a/SVHN_0.npz"))
    named = Source("house", "adbench", Path("/a/b?.npz"), contaminated=True)
    assert parse_source("house=adbench:/a/b%3F.npz?contaminated") == named
    assert parse_datasets("npz:a.npz,house=adbench:b.npz?contaminated")[1] == DatasetSpec(
        "house", ("house=adbench:b.npz?contaminated",)
    )


@pytest.mark.parametrize(
    ("words", "contaminated", "unique"),
    [("unique", False, True), ("contaminated&unique", True, True), ("unique&contaminated", True, True)],
)
def test_copies_of_vectors_may_be_kept_on_one_side(words: str, contaminated: bool, unique: bool):
    assert parse_source(f"adbench:a.npz?{words}") == Source("a", "adbench", Path("a.npz"), contaminated, unique)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("npz:/a%2Cb%2Bc%3Fd%25.npz", "/a,b+c?d%.npz"),
        ("npz:/a=b.npz", "/a=b.npz"),
        ("x=npz:/a=b:c.npz", "/a=b:c.npz"),
        ("adbench:/a%2Cb%2Bc%3Fd%25.npz", "/a,b+c?d%.npz"),
        ("folder:/a%2Cb%2Bc%3Fd%25?crop=0.5", "/a,b+c?d%"),
        ("x=folder:/a=b&c", "/a=b&c"),
    ],
)
def test_paths_may_hold_any_character(text: str, path: str):
    (spec,) = parse_datasets(text)
    assert parse_source(spec.sources[0]).path == Path(path)


def test_settings_follow_a_question_mark():
    text = "folder:/a/parts?image_size=64&colour=rgb&crop=.9&contrast=1.5&sharpness=0"
    (spec,) = parse_datasets(text)
    assert parse_source(spec.sources[0]) == Source(
        "parts", "folder", Path("/a/parts"),
        settings=(("image_size", 64), ("colour", "rgb"), ("crop", 0.9), ("contrast", 1.5), ("sharpness", 0)),
    )  # fmt: skip
    for size in (4, 512):
        assert parse_source(f"npz:x?image_size={size}").settings == (("image_size", size),)
    pool = parse_datasets("a=folder:x?crop=.5+b=npz:y?crop=.5")[0]
    assert pool == DatasetSpec("a+b", ("a=folder:x?crop=.5", "b=npz:y?crop=.5"))


def test_home_is_expanded_in_a_path():
    assert parse_source("npz:~/x.npz") == Source("x", "npz", Path.home() / "x.npz")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("foo", "unknown data set 'foo'; one of: handwritten, mnist, optdigits, paper, sample, "),
        ("foo", "usps, folder:PATH, npz:PATH or adbench:PATH"),
        ("", "empty data set name in ''"),
        ("mnist,,usps", "empty data set name in 'mnist,,usps'"),
        ("mnist,mnist", "'mnist' occurs twice in 'mnist,mnist'"),
        ("sample,optdigits", "'optdigits' occurs twice"),
        ("mnist,mnist=npz:x", "'mnist' occurs twice"),
        ("=npz:x", "'' in '=npz:x' can't name a data set"),
        ("a b=npz:x", "'a b' in 'a b=npz:x' can't name a data set"),
        ("x=mnist", "only folder:PATH, npz:PATH and adbench:PATH take a name, as in x=npz:PATH"),
        ("mnist+", "empty data set name in the pool 'mnist+'"),
        ("mnist+mnist", "'mnist' occurs twice in the pool 'mnist+mnist'"),
        ("npz:/a/x.npz+npz:/b/x.npz", "'x' occurs twice in the pool"),
        ("sample+mnist", "'sample' in 'sample+mnist' is a list of data sets"),
        ("mnist+foo", "unknown data set 'foo'"),
        ("npz:", "'npz:' lacks the path"),
        ("folder:", "'folder:' lacks the path; write folder:PATH"),
        ("folder:?colour=rgb", "lacks the path; write folder:PATH"),
        ("folder:x+npz:/a/x.npz", "'x' occurs twice in the pool"),
        ("npz:x?contaminated", "'contaminated' is no setting; write NAME=VALUE with one of image_size, colour, crop, "),
        ("npz:x?", "'' is no setting; write NAME=VALUE with one of image_size, colour, crop, contrast, sharpness"),
        ("folder:x?size=64", "'folder:x?size=64': 'size=64' is no setting"),
        ("folder:x?crop=0.5&", "'' is no setting"),
        ("folder:x?crop=0.5?colour=rgb", "crop '0.5?colour=rgb' must be a number above 0, at most 1"),
        ("folder:x?colour=rgb&crop=1&colour=rgb", "colour is there twice"),
        ("npz:x?image_size=3", "image_size '3' must be a whole number from 4 to 512"),
        ("npz:x?image_size=513", "image_size '513' must be a whole number from 4 to 512"),
        ("npz:x?image_size=64.0", "image_size '64.0' must be a whole number"),
        ("npz:x?image_size=٤", "image_size '٤' must be a whole number"),
        ("npz:x?colour=RGB", "colour 'RGB' must be grey or rgb"),
        ("npz:x?crop=0", "crop '0' must be a number above 0, at most 1"),
        ("npz:x?crop=1.01", "crop '1.01' must be"),
        ("npz:x?crop=nan", "crop 'nan' must be"),
        ("npz:x?contrast=-1", "contrast '-1' must be a number from 0 to 100"),
        ("npz:x?contrast=nan", "contrast 'nan' must be"),
        ("npz:x?sharpness=inf", "sharpness 'inf' must be a number from 0 to 100"),
        ("npz:x?sharpness=", "sharpness '' must be"),
        ("adbench:", "'adbench:' lacks the path; write adbench:PATH"),
        ("adbench:?contaminated", "lacks the path; write adbench:PATH"),
        (
            "adbench:x?clean",
            "adbench takes no setting but contaminated and unique after '?', joined by &; a question mark in a path is",
        ),
        ("adbench:x?", "adbench takes no setting but contaminated and unique after '?'"),
        ("adbench:x?unique&", "adbench takes no setting but contaminated and unique after '?'"),
        ("adbench:x?unique,contaminated", "unknown data set 'contaminated'"),
        ("adbench:x?unique=true", "adbench takes no setting but contaminated and unique after '?'"),
        ("adbench:x?unique&unique", "unique is there twice; leave one out"),
        ("folder:x?unique", "'unique' is no setting"),
        ("=adbench:x", "'' in '=adbench:x' can't name a data set"),
        ("mnist,mnist=adbench:x", "'mnist' occurs twice"),
        ("mnist+adbench:x", "'x' in the pool 'mnist+adbench:x' holds vectors; only images can be pooled, write a,b"),
        ("adbench:x+y=adbench:x?contaminated", "'x' in the pool"),
    ],
)
def test_a_mistake_is_named_in_one_line(text: str, complaint: str):
    with pytest.raises(UserError) as caught:
        parse_datasets(text)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_data_room_is_imported_without_torch():
    code = (
        "import sys, fanogan_mtl.data.specs; assert 'numpy' not in sys.modules;"
        "import fanogan_mtl.data.catalog, fanogan_mtl.data.splits;"
        "assert not {'torch', 'torchvision', 'sklearn', 'mlflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
