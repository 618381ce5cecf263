"""LLVM: from the text of functions to their addresses. The one file that imports llvmlite, when first used."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

from . import runtime
from .codegen import Writer
from .operations import HALF_RUNTIME, runtime_symbols, runtime_text

#: What a function is called in its own text.
NAME = "kernel"

_lock = threading.Lock()


class _Compiler:
    """Compiles at one level of optimisation.

    Attributes:
        addresses: those of functions that have been compiled, by their text.
    """

    def __init__(self, engine: Engine, level: int):
        llvm = engine.llvm
        self.llvm = llvm
        self.level = level
        target = llvm.Target.from_triple(llvm.get_process_triple())
        features = engine.features.flatten()
        self.machine = target.create_target_machine(cpu=engine.cpu, features=features, opt=level, jit=True)
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), self.machine)
        self.addresses: dict[str, int] = {}

    def added(self, text: str, names: Sequence[str]) -> list[int]:
        """The addresses of functions in a new module."""
        self.engine.add_module(self.optimized(text))
        self.engine.finalize_object()
        return [self.engine.get_function_address(name) for name in names]

    def optimized(self, text: str) -> Any:
        """A module, optimised."""
        module = self.llvm.parse_assembly(text)
        module.verify()
        if self.level:
            options = self.llvm.create_pipeline_tuning_options(speed_level=self.level)
            options.loop_vectorization = options.slp_vectorization = True
            builder = self.llvm.create_pass_builder(self.machine, options)
            builder.getModulePassManager().run(module, builder)
        return module


class Engine:
    """The machine that kernels are compiled for, and what has been compiled. There is one for each process."""

    def __init__(self) -> None:
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.llvm = llvm
        self.cpu = llvm.get_host_cpu_name()
        self.features: dict[str, bool] = llvm.get_host_cpu_features()
        self.has_vector_functions = self._load_vector_functions()
        self.quick, self.thorough = _Compiler(self, 0), _Compiler(self, 3)
        has_halves = self.features.get("f16c", False)
        names = runtime.FUNCTIONS
        text = self.module_text(runtime.TEXT + (not has_halves) * HALF_RUNTIME, {})
        self.runtime = dict(zip(names, self.thorough.added(text, names)))

    def _load_vector_functions(self) -> bool:
        """glibc's vector versions of mathematical functions, where there are any."""
        if not self.features.get("avx2"):
            return False
        try:
            self.llvm.load_library_permanently("libmvec.so.1")
        except RuntimeError:
            return False
        return bool(self.llvm.address_of_symbol("_ZGVdN4v_exp") and self.llvm.address_of_symbol("_ZGVdN4v_tanh"))

    def compile(self, writers: Sequence[Writer], is_quick: bool) -> list[int]:
        """The addresses of functions, written each under the name NAME; new ones are compiled together.

        Args:
            is_quick: compile in a few milliseconds to slow code.
        """
        texts = ["\n".join(writer.lines) for writer in writers]
        with _lock:
            compiler = self.quick if is_quick else self.thorough
            known = compiler.addresses
            new = {text: writer for text, writer in zip(texts, writers) if text not in known}
            if new:
                names = [f"f{len(known) + i}" for i in range(len(new))]
                module = self.module_of(dict(zip(names, new.values())))
                known.update(zip(new, compiler.added(module, names)))
            return [known[text] for text in texts]

    def module_of(self, writers: dict[str, Writer]) -> str:
        """The text of a module with functions, each under a name of its own."""
        functions: dict[str, tuple[str, int]] = {}
        for writer in writers.values():
            functions.update(writer.functions)
        texts = {name: "\n".join(writer.lines) for name, writer in writers.items()}
        bodies = "\n".join(text.replace(f"@{NAME}", f"@{name}") for name, text in texts.items())
        for name, address in runtime_symbols(bodies).items():
            self.llvm.add_symbol(name, address)
        return self.module_text(f"{runtime_text(bodies)}\n{bodies}", functions)

    def module_text(self, text: str, called: dict[str, tuple[str, int]]) -> str:
        """A module around functions: declarations, and which vector versions there are."""
        head = [f'target triple = "{self.llvm.get_process_triple()}"']
        kept: list[str] = []
        attributes = [f'attributes #0 = {{ nounwind "target-cpu"="{self.cpu}" }}']
        for number, (function, (type_, arity)) in enumerate(sorted(called.items()), 1):
            head.append(f"declare {type_} @{function}({', '.join([type_] * arity)}) #99")
            variants: list[str] = []
            if self.has_vector_functions:
                for isa, lanes in self._variants(type_):
                    symbol = f"_ZGV{isa}N{lanes}{'v' * arity}_{function}"
                    vector = f"<{lanes} x {type_}>"
                    head.append(f"declare {vector} @{symbol}({', '.join([vector] * arity)}) #99")
                    kept.append(f"ptr @{symbol}")
                    variants.append(f"_ZGV_LLVM_N{lanes}{'v' * arity}_{function}({symbol})")
            mapped = f' "vector-function-abi-variant"="{",".join(variants)}"' if variants else ""
            attributes.append(f"attributes #{number} = {{ nounwind willreturn memory(none){mapped} }}")
            text = text.replace(f"#vector_{function}#", f"#{number}")
        attributes.append("attributes #99 = { nounwind willreturn memory(none) }")
        if kept:
            head.append(
                f'@llvm.compiler.used = appending global [{len(kept)} x ptr] [{", ".join(kept)}], '
                'section "llvm.metadata"'
            )
        return "\n".join([*head, text, *attributes])

    def _variants(self, type_: str) -> list[tuple[str, int]]:
        """The instruction sets of libmvec that this machine has, and how many numbers they work on at a time."""
        double = type_ == "double"
        found = [("b", 2 if double else 4), ("d", 4 if double else 8)]
        if self.features.get("avx512f") and self.features.get("avx512dq"):
            found.append(("e", 8 if double else 16))
        return found


@cache
def engine() -> Engine:
    """The engine of this process."""
    return Engine()


