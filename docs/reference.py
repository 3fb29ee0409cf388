"""A hook of MkDocs: adds a page for each module of the package, and CONTRIBUTING and CHANGELOG, to the site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "fanogan_mtl"


def on_config(config: MkDocsConfig) -> None:
    """Put the package's modules at the end of the site's navigation."""
    assert config.nav is not None
    config.nav.append({"API reference": _entries(PACKAGE)})


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Make the pages that are no files in `docs/`."""
    for module in PACKAGE.rglob("*.py"):
        files.append(File.generated(config, _page(module), content=f"::: {_name(module)}\n"))
    for source in ("CONTRIBUTING.md", "CHANGELOG.md"):
        text = (ROOT / source).read_text().replace("](docs/", "](")
        files.append(File.generated(config, source.lower(), content=text))


def _entries(package: Path) -> list[Any]:
    """Give a package's own page, then its packages, then its modules."""
    packages = sorted(path.parent for path in package.glob("*/__init__.py"))
    modules = sorted(path for path in package.glob("*.py") if path.name != "__init__.py")
    return [
        _page(package / "__init__.py"),
        *({path.name: _entries(path)} for path in packages),
        *({path.stem: _page(path)} for path in modules),
    ]


def _name(module: Path) -> str:
    parts = module.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _page(module: Path) -> str:
    page = module.with_name("index.md") if module.name == "__init__.py" else module.with_suffix(".md")
    return f"reference/{page.relative_to(ROOT).as_posix()}"
