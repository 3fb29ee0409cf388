"""The walk-through of a new kind of source, done word for word."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pages import blocks
from project_runs import ROOT, environment, furnish, one_core


@pytest.mark.walks
def test_the_walk_through_of_a_new_kind_of_source_works(tmp_path: Path) -> None:
    project = tmp_path / "project"
    ignored = shutil.ignore_patterns(".git", ".venv", ".*cache*", "__pycache__", "mlruns", "mlflow.db")
    shutil.copytree(ROOT, project, ignore=ignored)
    module, row, digits = blocks(ROOT / "docs" / "add-a-source.md", "python")
    sources = project / "fanogan_mtl" / "data" / "sources"
    (sources / "npy.py").write_text(module)
    registry = (sources / "registry.py").read_text()
    opening = "REGISTRY: dict[str, SourceKind] = {\n"
    assert opening in registry
    (sources / "registry.py").write_text(registry.replace(opening, opening + row))
    furnish(tmp_path)

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words], cwd=project, env=environment(tmp_path), capture_output=True, text=True,
            timeout=800, preexec_fn=one_core,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "passed" in run("-m", "pytest", "tests/data/sources/test_kinds.py", "-k", "npy", "-p", "no:cacheprovider")
    run("-m", "entrypoints.project", "--write")
    assert "| `npy:PATH` | your own images in a folder" in (project / "docs" / "data.md").read_text()
    assert "npy:PATH" in run("-m", "entrypoints.benchmark", "--help")
    run("-c", digits)
    sweep = run(
        "-m", "entrypoints.benchmark", "--dataset", "npy:digits?image_size=8", "--detectors", "pca,knn", "--classes",
        "0,1", "--limit", "60",
    )  # fmt: skip
    assert "digits" in sweep
    assert "knn " in sweep
