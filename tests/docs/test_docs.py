"""What the pages say runs, and what they promise is there."""

import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from project_runs import ROOT, environment, furnish, one_core

from entrypoints import benchmark, cache, demo, hybrid, main, preprocess, pretrain, register, report, score, tune
from fanogan_mtl.extractors import REGISTRY
from fanogan_mtl.plan.plan import BenchmarkOptions
from fanogan_mtl.workflows.cache import CacheOptions
from fanogan_mtl.workflows.demo import DemoOptions
from fanogan_mtl.workflows.hybrid import HybridOptions
from fanogan_mtl.workflows.preprocess import PreprocessOptions
from fanogan_mtl.workflows.pretrain import PretrainOptions
from fanogan_mtl.workflows.register import RegisterOptions
from fanogan_mtl.workflows.report import ReportOptions
from fanogan_mtl.workflows.score import ScoreOptions
from fanogan_mtl.workflows.study import StudyOptions
from fanogan_mtl.workflows.tune import TuneOptions

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)


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
    assert "Mean AUROC in percent at 5 epochs" in output.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", prose):
        assert (page.parent / target).exists(), target


ENTRIES = {
    "benchmark": (benchmark.main, BenchmarkOptions(), ("quickstart",)),
    "hybrid": (hybrid.main, HybridOptions(), ("quickstart", "extractors")),
    "pretrain": (pretrain.main, PretrainOptions(), ("quickstart", "extractors")),
    "preprocess": (preprocess.main, PreprocessOptions(), ("quickstart",)),
    "register": (register.main, RegisterOptions(), ("serving",)),
    "score": (score.main, ScoreOptions(), ("score",)),
    "demo": (demo.main, DemoOptions(), ("score",)),
    "tune": (tune.main, TuneOptions(), ("tuning",)),
    "main": (main.main, StudyOptions(), ("quickstart", "report")),
    "cache": (cache.main, CacheOptions(), ("cache",)),
    "report": (report.main, ReportOptions(), ("report",)),
}


def test_every_entry_of_the_project_is_checked_here() -> None:
    assert yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"].keys() == ENTRIES.keys()


@pytest.mark.parametrize("entry", ENTRIES)
def test_parameters_and_defaults_are_the_same_wherever_they_are_written(entry: str) -> None:
    command, options, pages = ENTRIES[entry]
    project = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"][entry]
    declared = {name: parameter["default"] for name, parameter in project["parameters"].items()}
    assert declared == asdict(options)
    assert all(isinstance(default, str) and default for default in declared.values())
    assert {option.name: option.default for option in command.params if option.name != "help"} == declared
    docs = "".join((ROOT / "docs" / f"{page}.md").read_text() for page in pages)
    for name in declared:
        assert f"--{name} {{{name}}}" in project["command"]
        assert f"`{name}`" in docs


def test_the_extractors_page_names_every_extractor() -> None:
    page = (ROOT / "docs" / "extractors.md").read_text()
    for name in REGISTRY:
        assert f"| `{name}` |" in page


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
    furnish(tmp_path)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *words], cwd=project, env=environment(tmp_path), capture_output=True, text=True,
            timeout=250, preexec_fn=one_core,
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
