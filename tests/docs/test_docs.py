"""What the pages say runs, and what they promise is there."""

import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from project_runs import ROOT, environment

from entrypoints.benchmark import main
from fanogan_mtl.workflows.plan import BenchmarkOptions

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def test_the_python_api_page_runs(tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks(ROOT / "docs" / "python-api.md", "python")))
    env = environment(tmp_path) | {"PYTHONPATH": str(ROOT)}
    output = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=200
    )
    assert output.returncode == 0, output.stderr
    assert "Mean AUROC in percent at 5 epochs" in output.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", prose):
        assert (page.parent / target).exists(), target


def test_the_table_of_parameters_is_the_entry_points() -> None:
    project = yaml.safe_load((ROOT / "MLproject").read_text())
    quickstart = (ROOT / "docs" / "quickstart.md").read_text()
    for name, declared in project["entry_points"]["benchmark"]["parameters"].items():
        assert f"`{name}`" in quickstart
        assert isinstance(declared["default"], str)
        assert declared["default"] != ""


def test_defaults_are_the_same_wherever_they_are_written() -> None:
    project = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]["benchmark"]
    assert {name: declared["default"] for name, declared in project["parameters"].items()} == asdict(BenchmarkOptions())
    assert {option.name: option.default for option in main.params if option.name != "help"} == asdict(
        BenchmarkOptions()
    )
    for name in project["parameters"]:
        assert f"--{name} {{{name}}}" in project["command"]


def test_ci_runs_the_readmes_second_command() -> None:
    commands = [block for block in blocks(ROOT / "README.md", "bash") if "pytest" in block]
    (line,) = [line for line in commands[0].splitlines() if "pytest" in line]
    ci = (ROOT / ".ci" / "run").read_text().replace("--quiet ", "")
    assert line.removeprefix("python -m venv .venv && . .venv/bin/activate && ") in ci


def test_the_walk_through_of_a_new_detector_works(tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(
        ROOT, project, ignore=shutil.ignore_patterns(".git", ".venv", ".*cache*", "__pycache__", "mlruns", "mlflow.db")
    )
    module, line = blocks(ROOT / "docs" / "add-a-detector.md", "python")
    (project / "fanogan_mtl" / "detectors" / "autoencoder.py").write_text(module)
    registry = project / "fanogan_mtl" / "detectors" / "registry.py"
    opening = "REGISTRY: dict[str, str] = {\n"
    assert opening in registry.read_text()
    registry.write_text(registry.read_text().replace(opening, opening + line))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "tests/detectors/test_contract.py",
        "-k",
        "autoencoder",
        "-p",
        "no:cacheprovider",
    ]
    tests = subprocess.run(command, cwd=project, env=environment(tmp_path), capture_output=True, text=True, timeout=250)
    assert tests.returncode == 0, tests.stdout
    assert "passed" in tests.stdout
    command = [
        sys.executable,
        "-m",
        "entrypoints.benchmark",
        "--dataset",
        "optdigits",
        "--detectors",
        "autoencoder,pca",
    ]
    command += ["--detector_params", '{"autoencoder": {"latent_dim": 8}}', "--epochs", "2", "--classes", "0,1"]
    run = subprocess.run(command, cwd=project, env=environment(tmp_path), capture_output=True, text=True, timeout=250)
    assert run.returncode == 0, run.stderr
    assert "autoencoder " in run.stdout
