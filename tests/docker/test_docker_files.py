"""What docker/ promises: pinned, healthy, closed to other machines, without a secret."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from compose_file import PATH, VARIABLE, MissingVariable, example_variables, filled, services
from project_runs import ROOT

SERVICES = services()
SECRET = re.compile("PASSWORD|SECRET|KEY|_USER$|USERNAME")
REQUIRED = sorted(set(re.findall(r"\$\{(\w+):\?", PATH.read_text())))
PINNED = re.compile(r"[\w./-]+:(?!latest)[\w.-]*\d[\w.-]*")
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()


def test_the_compose_file_follows_the_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(PATH)]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
@pytest.mark.parametrize("missing", [None, *REQUIRED])
def test_docker_compose_takes_it_and_refuses_it_without_any_one_secret(tmp_path: Path, missing: str | None) -> None:
    environment = tmp_path / "env"
    environment.write_text("".join(f"{name}={name.lower()}-value\n" for name in REQUIRED if name != missing))
    command = ["docker-compose", "--env-file", str(environment), "--file", str(PATH), "config", "--quiet"]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert (checked.returncode == 0) is (missing is None)
    assert missing is None or f"set {missing} in docker/.env" in " ".join(checked.stderr.split())


@pytest.mark.parametrize("missing", REQUIRED)
def test_nothing_starts_without_a_secret(missing: str) -> None:
    given = dict.fromkeys(REQUIRED, "given")
    assert filled(SERVICES, given)
    with pytest.raises(MissingVariable, match=f"^set {missing} in docker/.env$"):
        filled(SERVICES, {**given, missing: ""})


def test_the_example_names_every_variable_and_holds_no_secret() -> None:
    example = example_variables()
    used = {match[1] for match in VARIABLE.finditer(PATH.read_text())}
    assert example.keys() == used
    assert set(REQUIRED) <= {name for name in example if not example[name]}
    ignored = subprocess.run(["git", "check-ignore", "docker/.env"], cwd=ROOT, capture_output=True, text=True)
    assert ignored.returncode in (0, 128)  # 128: not a clone
    assert "docker/.env\n" in (ROOT / ".gitignore").read_text()


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_pinned_watched_and_closed(name: str) -> None:
    service = SERVICES[name]
    assert PINNED.fullmatch(service["image"])
    assert ("healthcheck" in service) is (service["restart"] != "no")
    assert all(port.startswith("${BIND:-127.0.0.1}:") for port in service.get("ports", ()))
    for variable, value in service.get("environment", {}).items():
        if SECRET.search(variable) and value not in ("mlflow",):  # the database's user and name
            assert VARIABLE.fullmatch(value), f"{variable} is written out"
    text = str(service.get("command", "")) + str(service.get("healthcheck", ""))
    assert not set(REQUIRED) & {match[1] for match in VARIABLE.finditer(text)}  # every process list would show them


def test_services_wait_for_what_they_need() -> None:
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            one_shot = SERVICES[needed]["restart"] == "no"
            assert how == {"condition": "service_completed_successfully" if one_shot else "service_healthy"}


def test_the_images_version_is_the_projects() -> None:
    (version,) = re.findall(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)
    ours = {service["image"] for service in SERVICES.values() if "build" in service}
    assert ours == {f"fanogan-mtl:{version}"}


def test_the_image_is_built_in_stages_pinned_and_does_not_run_as_root() -> None:
    (python,) = re.findall(r"^ARG PYTHON=(.*)", DOCKERFILE, flags=re.MULTILINE)
    assert PINNED.fullmatch(f"python:{python}")
    stages = re.findall(r"^FROM (.*)", DOCKERFILE, flags=re.MULTILINE)
    assert stages == ["python:${PYTHON} AS build", "python:${PYTHON}"]
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.*)", last, flags=re.MULTILINE) == ["fanogan"]
    assert "useradd --create-home --uid 10001 fanogan" in last
    assert "pip install" not in last
    assert "--index-url ${TORCH_INDEX}" in DOCKERFILE


def test_what_is_copied_is_there_and_sent_and_nothing_else_is() -> None:
    sources = {
        source
        for line in re.findall(r"^COPY (?!--from)(.*)", DOCKERFILE, flags=re.MULTILINE)
        for source in line.split()[:-1]
    }
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    sent = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    assert sent == sources
    assert all((ROOT / source).exists() for source in sources)
    assert "*" in ignore
    assert not any(fnmatch("docker/.env", source) for source in sources)
