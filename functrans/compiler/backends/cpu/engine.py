"""LLVM: from the text of functions to machine code, by way of objects that are kept on disk. The one file that imports
llvmlite, when first used."""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, wraps
from hashlib import blake2b
from typing import Any, TypeVar

from ....settings import thread_count
from ...disk import disk_cache
from .arenas import keep_freed_memory
from .held import Machine
from .lowlevel.modules import Module
from .machine_code import Code, Library, Pages
from .miscompiled import FIRST, WITHOUT, is_suspect
from .operations import HALF_RUNTIME, OWN, REMAINDERS, runtime_calls, runtime_symbols, runtime_text
from .runtime import ABSENT, OF_LINUX, RUNTIME
from .writer import AS_WRITTEN, NUMBER_BY_NUMBER, Writer

#: How many vectors a loop with calls of functions works on at a time: while one waits for its own results, there are
#: others. A chain of ten functions takes half the time that it takes with one.
INTERLEAVED = 4
#: What texts say of loops.
HINTS = {
    "!interleaved": f'!"llvm.loop.interleave.count", i32 {INTERLEAVED}',
    "!one_by_one": '!"llvm.loop.vectorize.enable", i1 false',
    "!rolled": '!"llvm.loop.unroll.disable"',
}
#: What texts say of choices.
WEIGHTS = {"!usual": '!"branch_weights", i32 1048575, i32 1'}
#: What a function is called in its own text.
NAME = "kernel"
#: To be changed with what this file does with texts, so that no object of an earlier version is found.
VERSION = "5"
#: How many functions are compiled quickly as one module.
QUICK_TOGETHER = 64
#: LLVM looks for the best way to count addresses up among so many at most, for each loop: with the usual 65535, half a
#: page of text with strided accesses takes seconds. An LLVM without this option leaves it be.
SEARCH = "-lsr-complexity-limit=4096"

#: Elements at computed places are read one by one: the instruction that reads a vector of them takes longer on AMD's
#: processors, and on those of Intel whose microcode keeps them from guessing. LLVM 18 was the first to be told so.
ONE_BY_ONE = "+prefer-no-gather"

T = TypeVar("T")

_lock = threading.RLock()


class _Compiler:
    """Compiles texts to objects in one way.

    Args:
        tag: begins the names of functions that are compiled so.
        level: of LLVM's code generation.
        optimizes: whether LLVM's passes are run before that.
    """

    def __init__(self, engine: Engine, tag: str, level: int, optimizes: bool):
        self.engine = engine
        self.tag = tag
        self.level = level
        self.optimizes = optimizes
        self.machine = engine.new_machine(level)
        self.free: list[Any] = []  # machines that no thread uses

    def stored(self, text: str, names: Sequence[str]) -> list[Code] | None:
        """The functions of a module, if the disk has them."""
        disk = disk_cache()
        data = None if disk is None else disk.get(self.key(text))
        return None if data is None else self.engine.library.load(data, names)

    def compiled(self, modules: Sequence[tuple[str, Sequence[str]]]) -> list[list[Code]]:
        """The functions of modules, each a text and the names in it, compiled now: by several threads, if there are."""
        objects = _in_threads(self._new_object, [text for text, _ in modules])
        return [self.engine.library.load(data, names) for data, (_, names) in zip(objects, modules)]

    def added(self, module: Module, symbols: Mapping[str, int] | None = None) -> dict[str, int]:
        """The addresses of low-level functions, by their names; they are never freed.

        Args:
            symbols: addresses that belong to this process, by the names that the module has for them.
        """
        with _lock:
            for name, address in (symbols or {}).items():
                self.engine.llvm.add_symbol(name, address)
            key, disk = self.key(module.digest), disk_cache()
            data = None if disk is None else disk.get(key)
            if data is None:
                data = self._emitted(self.engine.module_text(module.text, {}), key)
            pages = self.engine.new_pages()
            pages.load(data, module.exported)
            self.engine.kept.append(pages)
            return {name: pages.addresses[name] for name in module.exported}

    def key(self, text: str) -> str:
        """All that an object depends on, in short."""
        made_by = f"{VERSION} {self.level} {self.optimizes} {self.engine.identity}\n"
        return blake2b((made_by + text).encode(), digest_size=20).hexdigest()

    def _new_object(self, text: str) -> bytes:
        """The object of a module."""
        return self._emitted(text, self.key(text))

    def _emitted(self, text: str, key: str) -> bytes:
        """The object of a text, which the disk gets too."""
        data, _ = self._made(text)
        disk = disk_cache()
        if disk is not None:
            disk.put(key, data)
        return data

    def _made(self, text: str) -> tuple[bytes, str]:
        """The object of a text, and without which features of the processor it had to be made."""
        machine = self._free_machine()
        data = _object(self.engine.llvm, self.optimized(text, machine), machine)
        self.free.append(machine)
        if not (self.engine.has_to_look and is_suspect(data)):
            return data, ""
        machine = self.engine.new_machine(self.level, WITHOUT)
        return _object(self.engine.llvm, self.optimized(text, machine), machine), WITHOUT

    def _free_machine(self) -> Any:
        """A machine that no other thread uses: one that knows its processor already, if there is one."""
        try:
            return self.free.pop()
        except IndexError:
            return self.engine.new_machine(self.level)

    def assembly(self, text: str) -> str:
        """What is in the object of a text, to be read."""
        machine = self.engine.new_machine(self.level, self._made(text)[1])
        return machine.emit_assembly(self.optimized(text, machine))

    def optimized(self, text: str, machine: Any) -> Any:
        """LLVM's module of a text, after its passes if these are run."""
        llvm = self.engine.llvm
        module = llvm.parse_assembly(text, llvm.create_context())
        module.verify()
        if self.optimizes and AS_WRITTEN not in text:
            options = llvm.create_pipeline_tuning_options(speed_level=self.level)
            options.loop_vectorization = True
            options.slp_vectorization = NUMBER_BY_NUMBER not in text
            builder = llvm.create_pass_builder(machine, options)
            run = _unlocked(llvm.ffi.lib.LLVMPY_RunNewModulePassManager)
            run(builder.getModulePassManager(), module, builder)
        return module


def _object(llvm: Any, module: Any, machine: Any) -> bytes:
    """The object of a module, as `machine.emit_object(module)` makes it."""
    library = llvm.ffi.lib
    with llvm.ffi.OutputString() as error:
        buffer = _unlocked(library.LLVMPY_TargetMachineEmitToMemory)(machine, module, 1, error)
        if not buffer:
            raise RuntimeError(str(error))
    try:
        return ctypes.string_at(library.LLVMPY_GetBufferStart(buffer), library.LLVMPY_GetBufferSize(buffer))
    finally:
        library.LLVMPY_DisposeMemoryBuffer(buffer)


def _unlocked(function: Any) -> Any:
    """A function of LLVM without the lock that llvmlite puts around each.

    That is for those who share a context. What is worked on here has a context, and a machine, of its own.
    """
    return getattr(function, "_cfn", function)


class Engine:
    """The machine that kernels are compiled for, and what has been compiled. There is one for each process."""

    def __init__(self) -> None:
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        llvm.set_option("functrans", SEARCH)
        self.llvm = llvm
        self.triple = llvm.get_process_triple()
        self.target = llvm.Target.from_triple(self.triple)
        self.cpu = llvm.get_host_cpu_name()
        self.features: dict[str, bool] = llvm.get_host_cpu_features()
        self.tuned = self.features.flatten()
        if self.triple.startswith("x86_64") and llvm.llvm_version_info >= (18,):
            self.tuned = ",".join(filter(None, (self.tuned, ONE_BY_ONE)))
        self.has_to_look = llvm.llvm_version_info >= FIRST and self.features.get("avx512f", False)
        self.identity = f"LLVM {llvm.llvm_version_info} {self.triple} {self.cpu} {self.tuned}"
        self.layout = str(self.new_machine(0).target_data)
        self.processor = self._processor()
        self.has_vector_functions = self._load_vector_functions()
        self.kept: list[Pages] = []
        self.library = Library(self.new_pages)
        self.quick, self.thorough = _Compiler(self, "q", 0, False), _Compiler(self, "t", 3, True)
        self.plain = _Compiler(self, "p", 2, False)
        self.runtime = self._load_runtime()
        keep_freed_memory()

    def _processor(self) -> Machine:
        """What kernels are arranged for; vectors of 16 bytes are what every processor has."""
        features, is_x86 = self.features, self.triple.startswith("x86_64")
        width = 64 if features.get("avx512f") else 32 if features.get("avx") else 16
        has_fma = features.get("fma", not is_x86)  # others have always had it, and do not say so
        return Machine(has_fma, width, 16 if is_x86 and width < 64 else 32)

    def new_machine(self, level: int, without: str = "") -> Any:
        """What LLVM needs to know to generate code, for the processor without some of its features."""
        features = ",".join(filter(None, (self.tuned, without)))
        return self.target.create_target_machine(cpu=self.cpu, features=features, opt=level, jit=True)

    def new_pages(self) -> Pages:
        """Room for machine code."""
        return Pages(self.llvm, self.new_machine(0))

    def _load_runtime(self) -> dict[str, int]:
        """The addresses of what runs instructions: LLVM's passes would take long for its text, and gain little.

        What it and operations call must be known by then.
        """
        if not self.features.get("f16c", False):
            for name, address in self.plain.added(Module(inserted=HALF_RUNTIME)).items():
                self.llvm.add_symbol(name, address)
        for name in REMAINDERS:
            self.llvm.add_symbol(OWN + name, self.llvm.address_of_symbol(name))
        missing = [name for name in OF_LINUX if not self.llvm.address_of_symbol(name)]
        if missing:
            (absent,) = self.plain.added(Module(inserted=ABSENT)).values()
            for name in missing:
                self.llvm.add_symbol(name, absent)
        return self.plain.added(RUNTIME)

    def _load_vector_functions(self) -> bool:
        """glibc's vector versions of mathematical functions, where there are any."""
        if not self.triple.startswith("x86_64"):
            return False
        try:
            self.llvm.load_library_permanently("libmvec.so.1")
        except RuntimeError:
            return False
        return bool(self.llvm.address_of_symbol("_ZGVdN4v_exp") and self.llvm.address_of_symbol("_ZGVdN4v_tanh"))

    def compile(self, writers: Sequence[Writer], is_quick: bool) -> list[Code]:
        """Functions, written each under the name NAME. Whoever calls them must keep what is returned.

        What is not in memory or on disk is compiled, quickly as one module or thoroughly one by one.

        Args:
            is_quick: compile in a few milliseconds to slow code, unless there is better code already.
        """
        functions = {writer.text: writer.functions for writer in writers}
        with _lock:
            codes = {text: self._found(text, called, is_quick) for text, called in functions.items()}
            missing = [text for text, code in codes.items() if code is None]
            compiler, together = (self.quick, QUICK_TOGETHER) if is_quick else (self.thorough, 1)
            batches = [missing[start : start + together] for start in range(0, len(missing), together)]
            modules = [self._module({text: functions[text] for text in batch}, compiler) for batch in batches]
            found = [compiler.stored(*module) if is_quick else None for module in modules]
            new = iter(compiler.compiled([module for module, known in zip(modules, found) if known is None]))
            for batch, known in zip(batches, found):
                codes.update(zip(batch, known or next(new)))
        return [code for writer in writers if (code := codes[writer.text]) is not None]

    def clear(self) -> None:
        """Forget the functions that no program has."""
        with _lock:
            self.library.clear()

    def _found(self, text: str, called: dict[str, tuple[str, int]], is_quick: bool) -> Code | None:
        """The function of a text, from memory, or what was compiled thoroughly from the disk."""
        code = self.library.get(_name(text, self.thorough))
        if code is None and is_quick:
            code = self.library.get(_name(text, self.quick))
        if code is None:
            module, names = self._module({text: called}, self.thorough)
            (code,) = self.thorough.stored(module, names) or (None,)
        return code

    def _module(
        self, functions: Mapping[str, dict[str, tuple[str, int]]], compiler: _Compiler
    ) -> tuple[str, list[str]]:
        """The text of a module of functions, given with the C functions that they call; and what they are called."""
        names = [_name(text, compiler) for text in functions]
        return self.module_of(functions, names), names

    def module_of(self, functions: Mapping[str, dict[str, tuple[str, int]]], names: Sequence[str]) -> str:
        """The text of a module of functions, given with the C functions that they call, under some names."""
        bodies = "\n".join(text.replace(f"@{NAME}", f"@{name}") for text, name in zip(functions, names))
        for name, address in runtime_symbols(bodies).items():
            self.llvm.add_symbol(name, address)
        every = (*functions.values(), runtime_calls(bodies))
        called = {name: type_ for found in every for name, type_ in found.items()}
        return self.module_text(f"{runtime_text(bodies)}\n{bodies}", called)

    def module_text(self, text: str, called: dict[str, tuple[str, int]]) -> str:
        """A module around functions: declarations, and which vector versions there are.

        It says which integers the processor has: LLVM then takes a fifth less time, and makes better code of some.
        """
        head = [f'target triple = "{self.triple}"', f'target datalayout = "{self.layout}"']
        kept: list[str] = []
        attributes = [f'attributes #0 = {{ nounwind "target-cpu"="{self.cpu}" }}']
        for number, (function, (type_, arity)) in enumerate(sorted(called.items()), 1):
            own = OWN + function
            self.llvm.add_symbol(own, self.llvm.address_of_symbol(function))
            head.append(f"declare {type_} @{own}({', '.join([type_] * arity)}) #99")
            variants: list[str] = []
            if self.has_vector_functions:
                for isa, lanes in self._variants(type_):
                    symbol = f"_ZGV{isa}N{lanes}{'v' * arity}_{function}"
                    vector = f"<{lanes} x {type_}>"
                    head.append(f"declare {vector} @{symbol}({', '.join([vector] * arity)}) #99")
                    kept.append(f"ptr @{symbol}")
                    variants.append(f"_ZGV_LLVM_N{lanes}{'v' * arity}_{own}({symbol})")
            mapped = f' "vector-function-abi-variant"="{",".join(variants)}"' if variants else ""
            attributes.append(f"attributes #{number} = {{ nounwind willreturn memory(none){mapped} }}")
            text = text.replace(f"@{function}(", f"@{own}(").replace(f"#vector_{function}#", f"#{number}")
        attributes.append("attributes #99 = { nounwind willreturn memory(none) }")
        if kept:
            head.append(
                f'@llvm.compiler.used = appending global [{len(kept)} x ptr] [{", ".join(kept)}], '
                'section "llvm.metadata"'
            )
        text, hints = _with_hints(text)
        return "\n".join([*head, text, *attributes, *hints])

    def _variants(self, type_: str) -> list[tuple[str, int]]:
        """The instruction sets of libmvec that this machine has, and how many numbers they work on at a time."""
        double = type_ == "double"
        found = [("b", 2 if double else 4)]
        if self.features.get("avx2"):
            found.append(("d", 4 if double else 8))
        if self.features.get("avx512f") and self.features.get("avx512dq"):
            found.append(("e", 8 if double else 16))
        return found


def _with_hints(text: str) -> tuple[str, list[str]]:
    """A text with numbers for what it says of its choices and loops, and what these numbers stand for."""
    lines: list[str] = []
    for name, weights in WEIGHTS.items():
        if name in text:
            text = text.replace(name, f"!{len(lines)}")
            lines.append(f"!{len(lines)} = !{{{weights}}}")

    def number(found: re.Match[str]) -> str:
        own = len(lines)
        lines.append(f"!{own} = distinct !{{!{own}, !{own + 1}}}")
        lines.append(f"!{own + 1} = !{{{HINTS[found[0]]}}}")
        return f"!{own}"

    return re.sub("|".join(HINTS), number, text), lines


def _in_threads(function: Callable[[str], bytes], texts: Sequence[str]) -> Iterable[bytes]:
    """What a function makes of each text, by as many threads as there may be."""
    threads = min(len(texts), thread_count())
    if threads < 2:
        return map(function, texts)
    try:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(threads) as pool:
            made = [pool.submit(function, text) for text in texts]
    except RuntimeError:  # an interpreter that shuts down starts no more threads
        return map(function, texts)
    return [found.result() for found in made]


def _name(text: str, compiler: _Compiler) -> str:
    """What a function is called: the same in every process, and another one for each text."""
    return compiler.tag + _digest(text)


@lru_cache(2048)
def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def once(make: Callable[[], T]) -> Callable[[], T]:
    """A function that makes something when it is first called, once even if many threads call it at the same time."""
    made: list[T] = []

    @wraps(make)
    def get() -> T:
        if not made:
            with _lock:
                if not made:
                    made.append(make())
        return made[0]

    get.made = made
    return get


@once
def engine() -> Engine:
    """The engine of this process."""
    return Engine()




def clear_engine() -> None:
    """Free the machine code that no program has, if there is an engine."""
    for made in engine.made:
        made.clear()
