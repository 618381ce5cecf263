"""The floors of the house: who may import whom, how long a file may be, and what every folder explains.

A file imports from lower floors, or from its own floor without a cycle, and never inside a function. The
checks read the source, so an import counts whether or not it is ever reached; `if TYPE_CHECKING:` is exempt.
"""

import ast
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "functrans"

FLOORS = {
    "tree": 0,
    "tree_util": 0,
    "errors": 0,
    "source": 0,
    "settings": 0,
    "core": 1,
    "primitives": 2,
    "transforms": 3,
    "compiler": 3,
    "control": 4,
    "api": 5,
    "numpy": 6,
    "lax": 7,
    "random": 7,
    "nn": 7,
    "ops": 7,
    "debug": 7,
    "scipy": 7,
    "testing": 7,
    "checkpoint_policies": 7,
    "custom_batching": 7,
    "custom_derivatives": 7,
    "flatten_util": 7,
    "image": 7,
    "integrate": 7,
    "optimize": 7,
    "__init__": 8,
}
# The deferred imports of our own: a tracer reaches the NumPy surface when one of its protocols is called; what looks at
# compiled programs is much, and is imported when somebody looks.
DEFERRED = {("functrans/core/tracer.py", "functrans.numpy"), ("functrans/api/jit.py", "functrans.api.lowering")}
# Imported by one file each, when it is first needed; never by `import functrans`.
OPTIONAL = {"concurrent", "cupy", "cupyx", "numba", "llvmlite", "matplotlib", "ml_dtypes", "platformdirs", "scipy", "tqdm"}

MAX_LINES = 600
LONG_FILES: dict[str, str] = {}  # file -> why it may be longer

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|farm|root|tmp|home|Users)/")


@dataclass(frozen=True)
class Import:
    file: str  # "functrans/core/tracer.py"
    line: int
    text: str  # as written
    names: tuple[str, ...]  # dotted and absolute: "functrans.core.avals.ShapedArray"
    deferred: bool  # inside a function

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: `{self.text}`"


def sources(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in (root / PACKAGE).rglob("*.py"))


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def imported_names(node: ast.AST, file: str) -> tuple[str, ...] | None:
    """What a statement or a call imports; None where it imports nothing."""
    match node:
        case ast.Import():
            return tuple(alias.name for alias in node.names)
        case ast.ImportFrom():
            here = file.split("/")[: -node.level] if node.level else []
            base = ".".join([*here, *filter(None, [node.module])])
            return tuple(f"{base}.{alias.name}" for alias in node.names)
        case ast.Call(func=ast.Name("import_module" | "__import__") | ast.Attribute(attr="import_module")):
            return tuple(
                arg.value
                for arg in node.args[:1]
                if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
            )
    return None


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports(node: ast.AST, file: str, deferred: bool = False) -> Iterator[Import]:
    names = imported_names(node, file)
    if names is not None:
        yield Import(file, node.lineno, ast.unparse(node), names, deferred)
    children = node.orelse if is_type_checking(node) else ast.iter_child_nodes(node)
    for child in children:
        yield from imports(child, file, deferred or isinstance(node, FUNCTIONS))


def all_imports(root: Path) -> list[Import]:
    return [
        found
        for file in sources(root)
        for found in imports(ast.parse((root / file).read_text(encoding="utf-8")), file)
    ]


def resolve(name: str, files: set[str]) -> str | None:
    """The file that the longest possible prefix of a dotted name stands for."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        stem = "/".join(parts[:end])
        for file in (f"{stem}.py", f"{stem}/__init__.py"):
            if file in files:
                return file
    return None


def floor(file: str) -> int | None:
    return FLOORS.get(file.split("/")[1].removesuffix(".py"))


def is_excepted(found: Import, name: str) -> bool:
    return found.deferred and any(found.file == file and within(name, package) for file, package in DEFERRED)


def edges(root: Path) -> Iterator[tuple[Import, str]]:
    """Every import of one file of the package by another, less the one exception."""
    files = set(sources(root))
    for found in all_imports(root):
        for name in found.names:
            target = resolve(name, files)
            if target not in (None, found.file) and not is_excepted(found, name):
                yield found, target


def unplaced_files(root: Path) -> list[str]:
    return [
        f"{file}: stands on no floor; give it one in FLOORS" for file in sources(root) if floor(file) is None
    ]


def upward_imports(root: Path) -> list[str]:
    return [
        f"{found} climbs from floor {low} to floor {high}"
        for found, target in edges(root)
        if (low := floor(found.file)) is not None and (high := floor(target)) is not None and low < high
    ]


def cycles(root: Path) -> list[str]:
    graph: dict[str, dict[str, Import]] = defaultdict(dict)
    for found, target in edges(root):
        graph[found.file].setdefault(target, found)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        ring = error.args[1][::-1]
        steps = [str(graph[importer][imported]) for importer, imported in pairwise(ring)]
        return ["an import cycle:\n    " + "\n    ".join(steps)]
    return []


def deferred_imports(root: Path) -> list[str]:
    def is_allowed(found: Import, name: str) -> bool:
        return is_excepted(found, name) or name.split(".")[0] in OPTIONAL

    return [
        f"{found} stands inside a function; move it to the top of the file"
        for found in all_imports(root)
        if found.deferred and not (found.names and all(is_allowed(found, name) for name in found.names))
    ]


def scattered_optional_imports(root: Path) -> list[str]:
    first: dict[str, Import] = {}
    problems = []
    for found in all_imports(root):
        for package in sorted({name.split(".")[0] for name in found.names} & OPTIONAL):
            home = first.setdefault(package, found)
            if home.file != found.file:
                problems.append(f"{found} is a second door to {package}, after {home}; go through that file")
    return problems


def long_files(root: Path) -> list[str]:
    problems = []
    for file in sources(root):
        lines = len((root / file).read_text(encoding="utf-8").splitlines())
        if lines > MAX_LINES and file not in LONG_FILES:
            problems.append(f"{file}: {lines} lines, at most {MAX_LINES}: it probably holds two things")
        elif lines <= MAX_LINES and file in LONG_FILES:
            problems.append(f"{file}: needs no entry in LONG_FILES")
    return problems


def unexplained_folders(root: Path) -> list[str]:
    folders = sorted({(root / file).parent for file in sources(root)} - {root / PACKAGE})
    return [
        f"{folder.relative_to(root).as_posix()}: has no README.md"
        for folder in folders
        if not (folder / "README.md").is_file()
    ]


def unexplained_files(root: Path) -> list[str]:
    """Files that the README of their folder does not name, and folders that the one above does not."""
    problems = []
    for path in (root / file for file in sources(root) if file != f"{PACKAGE}/__init__.py"):
        is_folder = path.name == "__init__.py"
        folder, name = (path.parents[1], f"{path.parent.name}/") if is_folder else (path.parent, path.name)
        readme = folder / "README.md"
        if readme.is_file() and f"`{name}`" not in readme.read_text(encoding="utf-8"):
            problems.append(f"{readme.relative_to(root).as_posix()}: does not name {name}")
    return problems


def machine_paths(root: Path, files: list[str]) -> list[str]:
    problems = []
    for file in files:
        text = (root / file).read_text(encoding="utf-8", errors="replace")
        problems += [
            f"{file}:{number}: names a path of one machine: {line.strip()[:100]}"
            for number, line in enumerate(text.splitlines(), 1)
            if MACHINE_PATH.search(line)
        ]
    return problems


CHECKS = [
    unplaced_files,
    upward_imports,
    cycles,
    deferred_imports,
    scattered_optional_imports,
    long_files,
    unexplained_folders,
    unexplained_files,
]


# ---- this project


def test_there_is_something_to_check() -> None:
    assert f"{PACKAGE}/__init__.py" in sources(ROOT)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_project(check) -> None:
    problems = check(ROOT)
    assert not problems, "\n" + "\n".join(problems)


def test_no_file_names_a_machine_path() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("not a git checkout, so what is tracked cannot be told from what was built")
    files = [file for file in listed.stdout.split("\0") if (ROOT / file).is_file()]
    problems = machine_paths(ROOT, files)
    assert not problems, "\n" + "\n".join(problems)


def test_importing_the_package_imports_nothing_optional() -> None:
    program = f"import {PACKAGE}, sys; print(*sorted({OPTIONAL} & set(sys.modules)))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert loaded.stdout.split() == []


# ---- the checks can fail: each on a small tree of its own


def problems(tmp_path: Path, check, files: dict[str, str]) -> list[str]:
    """What a check says about a small tree, given as {"core/trace": text}."""
    for stem, text in files.items():
        path = tmp_path / PACKAGE / f"{stem}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return check(tmp_path)


def test_downward_imports_pass_every_check(tmp_path: Path) -> None:
    files = {
        "tree": "",
        "core/avals": "from functrans.tree import leaves",
        "core/trace": "from . import avals",
        "primitives/math": "import functrans.core.trace as trace\nfrom ..core import avals",
    }
    for folder in ("core", "primitives"):
        (tmp_path / PACKAGE / folder).mkdir(parents=True)
        (tmp_path / PACKAGE / folder / "README.md").write_text("`avals.py`, `trace.py`, `math.py`", encoding="utf-8")
    assert [problems(tmp_path, check, files) for check in CHECKS] == [[]] * len(CHECKS)


@pytest.mark.parametrize(
    "statement",
    [
        "from functrans.api.grad import grad",
        "from functrans.api import grad",
        "import functrans.api.grad",
        "from ..api.grad import grad",
        "from ..api import grad",
        "def f():\n    from functrans.api import grad",
        "import importlib\nimportlib.import_module('functrans.api.grad')",
    ],
)
def test_an_upward_import_is_found(tmp_path: Path, statement: str) -> None:
    [problem] = problems(tmp_path, upward_imports, {"core/trace": statement, "api/grad": ""})
    assert re.match(r"functrans/core/trace\.py:[12]: `.*grad.*` climbs from floor 1 to floor 5", problem)


def test_importing_the_package_itself_is_upward(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, upward_imports, {"__init__": "", "core/trace": "import functrans"})
    assert problem == "functrans/core/trace.py:1: `import functrans` climbs from floor 1 to floor 8"


def test_a_cycle_is_found_and_told_step_by_step(tmp_path: Path) -> None:
    files = {
        "core/a": "from functrans.core import b",
        "core/b": "\nfrom .c import x",
        "core/c": "import functrans.core.a",
        "core/d": "from .a import y",
    }
    [problem] = problems(tmp_path, cycles, files)
    assert {line.strip() for line in problem.splitlines()[1:]} == {
        "functrans/core/a.py:1: `from functrans.core import b`",
        "functrans/core/b.py:2: `from .c import x`",
        "functrans/core/c.py:1: `import functrans.core.a`",
    }


def test_a_package_that_gathers_its_own_files_is_no_cycle(tmp_path: Path) -> None:
    files = {
        "core/__init__": "from .a import x\nfrom .b import y",
        "core/a": "from functrans.core import b",
        "core/b": "",
    }
    assert not problems(tmp_path, cycles, files)


@pytest.mark.parametrize(
    "statement",
    [
        "def f():\n    from functrans.tree import x",
        "class C:\n    async def f(self):\n        import functrans.tree",
        "def f():\n    import math",
        "from importlib import import_module\ndef f(name): import_module(name)",
        "f = lambda: __import__('functrans.tree')",
    ],
)
def test_an_import_inside_a_function_is_found(tmp_path: Path, statement: str) -> None:
    [problem] = problems(tmp_path, deferred_imports, {"tree": "", "core/trace": statement})
    assert re.match(r"functrans/core/trace\.py:\d: `.+` stands inside a function", problem)


@pytest.mark.parametrize(
    "statement",
    [
        "from functrans import numpy",
        "import functrans.numpy as fnp",
        "importlib.import_module('functrans.numpy')",
    ],
)
def test_only_the_tracer_may_reach_for_numpy(tmp_path: Path, statement: str) -> None:
    deferred = f"def f():\n    {statement}"
    files = {"numpy/__init__": "import functrans.core.tracer", "core/tracer": deferred}
    for check in (upward_imports, cycles, deferred_imports):
        assert not problems(tmp_path, check, files)
    files = {"core/trace": deferred, "core/tracer": statement}
    assert len(problems(tmp_path, deferred_imports, files)) == 1
    assert len(problems(tmp_path, upward_imports, files)) == 2


def test_an_optional_package_has_one_door(tmp_path: Path) -> None:
    files = {"compiler/cuda": "def f():\n    import cupy.cuda\n    from cupy import linalg"}
    assert not problems(tmp_path, deferred_imports, files)
    assert not problems(tmp_path, scattered_optional_imports, files)
    [problem] = problems(tmp_path, scattered_optional_imports, {"compiler/other": "import cupy"})
    assert problem.startswith(
        "functrans/compiler/other.py:1: `import cupy` is a second door to cupy, after "
        "functrans/compiler/cuda.py:2: `import cupy.cuda`"
    )


@pytest.mark.parametrize(
    "guard",
    ["from typing import TYPE_CHECKING\nif TYPE_CHECKING:", "import typing\nif typing.TYPE_CHECKING:"],
)
def test_imports_for_types_alone_are_exempt(tmp_path: Path, guard: str) -> None:
    files = {
        "core/trace": f"{guard}\n    from functrans.api.grad import grad\n    import cupy",
        "api/grad": "import functrans.core.trace\nimport cupy",
    }
    for check in (upward_imports, cycles, deferred_imports, scattered_optional_imports):
        assert not problems(tmp_path, check, files)


def test_the_other_branch_of_a_type_check_counts(tmp_path: Path) -> None:
    text = "if TYPE_CHECKING:\n    pass\nelse:\n    import functrans.api.grad"
    assert problems(tmp_path, upward_imports, {"core/trace": text, "api/grad": ""})


def test_a_new_file_needs_a_floor(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, unplaced_files, {"misc": ""})
    assert problem.startswith("functrans/misc.py: stands on no floor")


def test_a_long_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.LONG_FILES", allowed := {})
    files = {"core/trace": "\n" * (MAX_LINES + 1), "tree": "\n" * MAX_LINES}
    [problem] = problems(tmp_path, long_files, files)
    assert problem.startswith(f"functrans/core/trace.py: {MAX_LINES + 1} lines")
    allowed["functrans/core/trace.py"] = "a reason"
    assert not problems(tmp_path, long_files, files)
    allowed["functrans/tree.py"] = "a reason"
    assert problems(tmp_path, long_files, files) == ["functrans/tree.py: needs no entry in LONG_FILES"]


def test_a_folder_without_a_readme_is_found(tmp_path: Path) -> None:
    assert problems(tmp_path, unexplained_folders, {"core/trace": ""}) == ["functrans/core: has no README.md"]


def test_a_file_that_no_readme_names_is_found(tmp_path: Path) -> None:
    (tmp_path / PACKAGE / "core").mkdir(parents=True)
    (tmp_path / PACKAGE / "README.md").write_text("`tree.py`, `primitives/`", encoding="utf-8")
    (tmp_path / PACKAGE / "core" / "README.md").write_text("trace.py, `avals.py`", encoding="utf-8")
    files = {"__init__": "", "tree": "", "core/__init__": "", "core/avals": "", "core/trace": "", "api/grad": ""}
    assert problems(tmp_path, unexplained_files, files) == [
        "functrans/README.md: does not name core/",
        "functrans/core/README.md: does not name trace.py",
    ]


def test_a_machine_path_is_found(tmp_path: Path) -> None:
    bad = "see " + "/".join(["", "home", "someone"])
    fine = "https://example.org/home/x and a/tmp/b"
    assert MACHINE_PATH.search(bad + "/x")
    (tmp_path / "notes.md").write_text(f"{fine}\n{bad}/x\n", encoding="utf-8")
    assert machine_paths(tmp_path, ["notes.md"]) == [f"notes.md:2: names a path of one machine: {bad}/x"]
