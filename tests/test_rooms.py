"""The package's imports, held against the table of rooms in CONTRIBUTING.md; and the limits of folders and files."""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = "fanogan_mtl"
MODULES = [path for top in (PACKAGE, "entrypoints") for path in sorted((ROOT / top).rglob("*.py"))]
OPEN_TO_ALL = {"errors", "seeds", "variables", PACKAGE}


class Row(NamedTuple):
    """A room of the table."""

    may_import: set[str]
    must_not_know: set[str]


def rooms_of_the_table() -> dict[str, Row]:
    """Rooms in the order of the table."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w/]+)` \|[^|]*\|([^|]*)\|([^|]*)\|$", text, re.MULTILINE)
    table: dict[str, Row] = {}
    for room, may_import, must_not_know in rows:
        above = set(table) if "every room above" in may_import else set(names_in(may_import))
        table[room] = Row(above, set(names_in(must_not_know)))
    return table


def names_in(cell: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([\w/]+)`", cell)


def room_of(path: Path) -> str:
    """Name of the room that a module lies in: its folder, or its own name at the top of the package."""
    inside = path.relative_to(ROOT / PACKAGE) if path.is_relative_to(ROOT / PACKAGE) else path.relative_to(ROOT)
    if inside.parent != Path():
        return inside.parent.as_posix()
    return PACKAGE if inside.stem == "__init__" else inside.stem


def imports() -> dict[str, dict[str, set[str]]]:
    """Room -> what its modules import, a room of ours or a library -> the modules that do."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name in imported_names(node):
                found[room_of(path)][target_of(name)].add(path.relative_to(ROOT).as_posix())
    return found


def imported_names(node: ast.AST) -> list[str]:
    """Dotted names that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.module, "an import is written from the package's top"
        assert not node.level, "an import is written from the package's top"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def target_of(name: str) -> str:
    """The room of a dotted name of ours, else its library."""
    first, *_ = name.split(".")
    if first not in (PACKAGE, "entrypoints"):
        return "dask" if first == "distributed" else first
    return room_of(module_of(name))


def module_of(name: str) -> Path:
    """The file of a dotted name of ours; what is no module is a function or class of one."""
    path = ROOT.joinpath(*name.split("."))
    while not path.is_dir() and not path.with_suffix(".py").exists():
        path = path.parent
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def running_code(node: ast.AST) -> Iterator[ast.AST]:
    """What lies below a node, but for what only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from running_code(child)


def belong_together(one: str, other: str) -> bool:
    """Tell whether one of two rooms is inside the other, or is it."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def test_the_table_has_every_room() -> None:
    assert set(rooms_of_the_table()) == {room_of(path) for path in MODULES}


def test_rooms_import_only_what_the_table_allows() -> None:
    table = rooms_of_the_table()
    ours = {room_of(path) for path in MODULES}
    refused = [
        f"{room} imports {target}: {', '.join(sorted(modules))}"
        for room, targets in imports().items()
        for target, modules in targets.items()
        if target in ours - OPEN_TO_ALL - table[room].may_import and not belong_together(room, target)
    ]
    assert not refused, "\n".join(refused)


def test_rooms_do_not_know_what_the_table_says_they_must_not() -> None:
    table, found = rooms_of_the_table(), imports()
    known = [f"{room} knows {word}" for room, row in table.items() for word in row.must_not_know & set(found[room])]
    assert not known, "\n".join(known)


def test_no_rooms_stand_in_a_circle() -> None:
    above: set[str] = set(OPEN_TO_ALL)
    for room, row in rooms_of_the_table().items():
        assert row.may_import <= above, f"{room} may import only rooms above it, not {row.may_import - above}"
        above.add(room)


def test_no_modules_stand_in_a_circle() -> None:
    imported: dict[Path, set[Path]] = {path: set() for path in MODULES}
    for path in MODULES:
        for node in running_code(ast.parse(path.read_text(encoding="utf-8"))):
            ours = [name for name in imported_names(node) if name.split(".")[0] in (PACKAGE, "entrypoints")]
            imported[path] |= {module_of(name) for name in ours} - {path}
    TopologicalSorter(imported).prepare()  # raises CycleError


def test_folders_and_files_are_small() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    crowded = {folder: number for folder, number in Counter(path.parent for path in MODULES).items() if number > 16}
    assert not crowded
    too_long = {path.relative_to(ROOT / PACKAGE).as_posix() for path, lines in lengths.items() if lines > 350}
    assert too_long == set()
    stories = [lines for path, lines in lengths.items() if path.match("workflows/[!_]*.py")]
    assert len(stories) <= 13
    assert sum(stories) <= 1500


SAME_JOB = {
    "REGISTRY", "registered_name", "default_parameters",  # by name, of sources, extractors and detectors
    "load", "fingerprint",  # of each kind of source
    "TUNED",  # of each detector
    "DESCRIPTION", "FORMAT", "WEIGHTS",  # files of what is saved, and their format
    "POSITIVE",  # an interval of scikit-learn's
}  # fmt: skip
"""Names that are public in several modules, and mean the same in all."""


def test_a_public_name_means_one_thing() -> None:
    modules = defaultdict(list)
    for path in MODULES:
        if path.is_relative_to(ROOT / PACKAGE):
            for name in public_names(ast.parse(path.read_text(encoding="utf-8"))):
                modules[name].append(path.relative_to(ROOT).as_posix())
    twice = {name: found for name, found in modules.items() if len(found) > 1}
    assert twice.keys() >= SAME_JOB
    assert not {name: found for name, found in twice.items() if name not in SAME_JOB}


def public_names(module: ast.Module) -> set[str]:
    """Functions, classes and values that a module defines, without those that begin with an underscore."""
    names = set()
    for node in module.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_")}
