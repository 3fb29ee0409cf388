"""What every registered kind of source holds to; a new one is tested from the day it is registered."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from fanogan_mtl.data.catalog import load_dataset
from fanogan_mtl.data.dataset import VECTOR_CLASSES, RawVectors
from fanogan_mtl.data.prepared import load_raw
from fanogan_mtl.data.sources.registry import GROUPS, PATHS, REGISTRY, SETS, SourceKind
from fanogan_mtl.data.specs import parse_datasets, parse_source
from fanogan_mtl.errors import UserError
from fanogan_mtl.plan.options import BenchmarkOptions

every = pytest.mark.parametrize("name", REGISTRY)
every_with_a_path = pytest.mark.parametrize("name", [name for name in REGISTRY if name not in SETS])


@every
def test_a_module_loads_and_fingerprints(name: str):
    module = import_module(f"fanogan_mtl.data.sources.{REGISTRY[name].module}")
    for function in (module.load, module.fingerprint):
        assert len(inspect.signature(function).parameters) == 2


@every
def test_help_names_it(name: str):
    text = BenchmarkOptions.__dataclass_fields__["dataset"].metadata["help"]
    assert (name if name in SETS else f"{name}:PATH") in text.replace(";", ",").replace("Data sets: ", "").split(", ")


@every_with_a_path
def test_a_source_is_called_after_its_file_or_folder(name: str):
    source = parse_source(f"{name}:/a/b.c")
    assert source.name == ("b.c" if REGISTRY[name].takes == "folder" else "b")
    assert source.place == Path("/a/b.c")


@every_with_a_path
@pytest.mark.parametrize("what", ["nothing", "empty file", "empty folder"])
def test_what_is_no_such_source_is_one_line_that_names_it(name: str, what: str, tmp_path: Path):
    path = tmp_path / "given"
    if what != "nothing":
        path.touch() if what == "empty file" else path.mkdir()
    with pytest.raises(UserError, match=str(path)) as caught:
        load_dataset(parse_datasets(f"{name}:{path}")[0], tmp_path / "data")
    assert "\n" not in str(caught.value)


@every_with_a_path
def test_settings_are_those_of_what_it_holds(name: str):
    settings, words = f"{name}:x?image_size=8", f"{name}:x?unique"
    right, wrong = (words, settings) if REGISTRY[name].holds == "vectors" else (settings, words)
    assert parse_source(right).place == Path("x")
    with pytest.raises(UserError, match="setting"):
        parse_source(wrong)


def test_words_of_groups_and_kinds_are_different_ones():
    assert not GROUPS.keys() & REGISTRY.keys()
    assert {*SETS, *(path.removesuffix(":PATH") for path in PATHS)} == REGISTRY.keys()


def test_vectors_of_another_kind_are_split_as_adbenchs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    vectors = RawVectors(np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32), np.arange(60) % 4 // 3)
    monkeypatch.setitem(REGISTRY, "mnist", SourceKind("published", "vectors", takes=None, holds="vectors"))
    monkeypatch.setattr("fanogan_mtl.data.sources.published.load", lambda name, data_dir: vectors)
    monkeypatch.setattr("fanogan_mtl.data.sources.published.fingerprint", lambda name, data_dir: ["1"])
    (spec,) = parse_datasets("mnist")
    assert spec.holds_vectors
    assert load_raw(parse_source("mnist"), tmp_path) is vectors
    dataset = load_dataset(spec, tmp_path)
    assert (dataset.classes, dataset.normal_classes) == (VECTOR_CLASSES, ("normal",))
    np.testing.assert_array_equal(dataset.train.pixels, vectors.vectors)
