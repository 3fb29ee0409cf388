"""What the pages say runs, and what they promise is there."""

import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from pages import blocks
from project_runs import ROOT, environment, furnish, one_core

from entrypoints import project

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.walks
def test_the_python_api_page_runs(tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks(ROOT / "docs" / "python-api.md", "python")))
    env = environment(tmp_path) | {"PYTHONPATH": str(ROOT)}
    furnish(tmp_path)
    output = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=800,
        preexec_fn=one_core,
    )
    assert output.returncode == 0, output.stderr
    assert "Mean AUROC in percent, ± std over classes" in output.stdout


def test_the_page_of_durable_runs_runs(tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text("\n".join(blocks(ROOT / "docs" / "outbox.md", "python")))
    env = environment(tmp_path) | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "page.py"], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    client = MlflowClient(env["MLFLOW_TRACKING_URI"])
    experiment = client.get_experiment_by_name("my script")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status, run.data.metrics) == ("first", "FINISHED", {"loss": 1 / 1000})
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["weights.txt"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", prose):
        assert (page.parent / target).exists(), target


def test_what_is_made_of_the_code_is_up_to_date() -> None:
    for path, text in project.made_files().items():
        assert path.read_text() == text, f"{path.name} is out of date: run python -m entrypoints.project --write"


def test_mlflow_reads_every_entry_with_its_defaults() -> None:
    entries = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]
    scripts = {path.stem for path in (ROOT / "entrypoints").glob("*.py") if "run(main)" in path.read_text()}
    assert set(entries) == set(project.ENTRIES) == scripts
    for name, entry in entries.items():
        command = import_module(f"entrypoints.{name}").main
        assert {key: value["default"] for key, value in entry["parameters"].items()} == {
            option.name: option.default for option in command.params
        }
        assert all(isinstance(value["default"], str) and value["default"] for value in entry["parameters"].values())
        assert all(f"--{option.name} {{{option.name}}}" in entry["command"] for option in command.params)


def test_the_sites_navigation_has_every_page() -> None:
    groups = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    listed = [page for group in groups for pages in group.values() for page in pages]
    assert sorted(listed) == sorted(
        [*(page.name for page in (ROOT / "docs").glob("*.md")), "changelog.md", "contributing.md"]
    )


def test_the_sites_first_page_has_the_readmes_two_commands() -> None:
    commands = blocks(ROOT / "README.md", "bash")
    assert len(commands) == 2
    assert blocks(ROOT / "docs" / "index.md", "bash") == commands


def test_ci_runs_the_readmes_second_command() -> None:
    commands = [block for block in blocks(ROOT / "README.md", "bash") if "pytest" in block]
    (line,) = [line for line in commands[0].splitlines() if "pytest" in line]
    ci = (ROOT / ".ci" / "run").read_text().replace("--quiet ", "")
    assert line.removeprefix("python -m venv .venv && . .venv/bin/activate && ") in ci


@pytest.mark.walks
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
    furnish(tmp_path)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *words], cwd=project, env=environment(tmp_path), capture_output=True, text=True,
            timeout=800, preexec_fn=one_core,
        )  # fmt: skip

    tests = run("pytest", "tests/detectors/test_contract.py", "-k", "autoencoder", "-p", "no:cacheprovider")
    assert tests.returncode == 0, tests.stdout
    assert "passed" in tests.stdout
    sweep = run(
        "entrypoints.benchmark", "--dataset", "optdigits", "--detectors", "autoencoder,pca", "--epochs", "2",
        "--detector_params", '{"autoencoder": {"latent_dim": 8}}', "--classes", "0,1", "--limit", "60",
    )  # fmt: skip
    assert sweep.returncode == 0, sweep.stderr
    assert "autoencoder " in sweep.stdout
