"""The low-level functions of some files together, as one module of LLVM IR."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b
from types import FunctionType, ModuleType
from typing import Final

from .....errors import MissingPackageError
from . import operations, translation
from .language import Symbol
from .operations import DECLARATIONS
from .translation import PREFIX, signature, translated

#: What LLVM is told of functions that are `pure`.
PURE: Final = "nounwind willreturn memory(none) "


class Module:
    """The low-level functions of some files.

    Args:
        files: modules of Python, all of whose functions are such.
        inserted: LLVM IR of more functions; the files declare those that they call to be external.
    """

    def __init__(self, files: Sequence[ModuleType] = (), inserted: str = ""):
        self.files = files
        self.inserted = inserted

    @cached_property
    def functions(self) -> dict[str, FunctionType]:
        """By their names, in order."""
        every = [(name, x, file) for file in self.files for name, x in vars(file).items()]
        return {name: x for name, x, file in every if isinstance(x, FunctionType) and x.__module__ == file.__name__}

    @property
    def exported(self) -> list[str]:
        """The names of those whose addresses are wanted."""
        written = re.findall(r"^define (?!internal)\w+ @(\w+)", self.inserted, re.MULTILINE)
        return [*(name for name, function in self.functions.items() if hasattr(function, "is_exported")), *written]

    @cached_property
    def known(self) -> dict[str, dict[str, int | float | Symbol]]:
        """For each function the numbers and symbols that it may name."""
        every = {name: (x.__code__.co_names, x.__globals__) for name, x in self.functions.items()}
        return {
            name: {n: values[n] for n in names if type(values.get(n)) in (int, float, Symbol)}
            for name, (names, values) in every.items()
        }

    @cached_property
    def digest(self) -> str:
        """All that the text depends on, in short: to read files takes less time than to translate them."""
        found = blake2b(f"{self.known} {DECLARATIONS} {self.inserted}".encode(), digest_size=20)
        for file in (sys.modules[__name__], operations, translation, *self.files):
            found.update(_source(file))
        return found.hexdigest()

    @cached_property
    def text(self) -> str:
        """In LLVM IR."""
        symbols = {x: None for known in self.known.values() for x in known.values() if isinstance(x, Symbol)}
        globals_ = (f"@{PREFIX}{name} = external global i8\n" for name in symbols)
        return "".join([DECLARATIONS, *globals_, self.inserted, *self.definitions.values()])

    @cached_property
    def definitions(self) -> dict[str, str]:
        """The text of each function, or its declaration."""
        found: dict[str, str] = {}
        trees = [ast.parse(_source(file)) for file in self.files]
        nodes = {node.name: node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}
        signatures = {name: signature(nodes[name]) for name in self.functions}
        for name, function in self.functions.items():
            if not hasattr(function, "is_external"):
                linkage = "" if hasattr(function, "is_exported") else "internal "
                attributes = PURE if hasattr(function, "is_pure") else ""
                found[name] = translated(nodes[name], signatures, self.known[name], linkage, attributes)
            elif f"@{name}(" not in self.inserted:
                result, parameters = signatures[name]
                found[name] = f"declare {result} @{name}({', '.join(parameters)})\n"
        return found


def _source(file: ModuleType) -> bytes:
    """The text of a module, wherever it was imported from."""
    found = file.__loader__.get_source(file.__name__)
    if found is None:
        raise MissingPackageError(
            "Native code needs the text of functrans's own modules, and only their bytecode is there.",
            f"Functions of these are translated, which begins with {file.__name__}.",
            "Add the files *.py to what is distributed, or set functrans.config.backend = 'interpreter'.",
        )
    return found.encode()
