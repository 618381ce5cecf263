"""Machine code in memory: loaded from objects, and freed when nobody needs it any more."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakValueDictionary

#: LLVM frees the code of many functions at once: of at most so many.
FUNCTIONS_IN_PAGES = 64
#: How many functions are kept that no program has any more, for the next program.
KEPT = 1024


class Code:
    """A function that may be called at its address as long as this is kept."""

    __slots__ = ("__weakref__", "address", "pages")

    def __init__(self, address: int, pages: Pages):
        self.address = address
        self.pages = pages


class Pages:
    """Memory with the code of some functions, which LLVM frees with its engine.

    Attributes:
        addresses: those of the functions, by name.
    """

    def __init__(self, llvm: Any, machine: Any):
        self.llvm = llvm
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        self.addresses: dict[str, int] = {}

    def load(self, data: bytes, names: Sequence[str]) -> None:
        """Add an object in which functions of these names are."""
        self.engine.add_object_file(self.llvm.ObjectFileRef.from_data(data))
        self.engine.finalize_object()
        self.addresses.update((name, self.engine.get_function_address(name)) for name in names)


class Library:
    """Functions by name. It keeps the last ones itself, and knows of others while somebody has them."""

    def __init__(self, new_pages: Callable[[], Pages]):
        self.new_pages = new_pages
        self.pages = new_pages()
        self.known: WeakValueDictionary[str, Code] = WeakValueDictionary()
        self.recent: OrderedDict[str, Code] = OrderedDict()

    def get(self, name: str) -> Code | None:
        """The function of a name, if it is in memory."""
        code = self.known.get(name)
        if code is None and name in self.pages.addresses:
            code = self.known[name] = Code(self.pages.addresses[name], self.pages)
        if code is not None:
            self._used(name, code)
        return code

    def load(self, data: bytes, names: Sequence[str]) -> list[Code]:
        """The functions of an object, which has them under names that are not in memory."""
        if len(self.pages.addresses) >= FUNCTIONS_IN_PAGES or any(name in self.pages.addresses for name in names):
            self.pages = self.new_pages()
        self.pages.load(data, names)
        codes = [Code(self.pages.addresses[name], self.pages) for name in names]
        for name, code in zip(names, codes):
            self.known[name] = code
            self._used(name, code)
        return codes

    def clear(self) -> None:
        """Keep nothing that nobody has."""
        self.recent.clear()
        self.pages = self.new_pages()

    def _used(self, name: str, code: Code) -> None:
        self.recent[name] = code
        self.recent.move_to_end(name)
        if len(self.recent) > KEPT:
            self.recent.popitem(last=False)
