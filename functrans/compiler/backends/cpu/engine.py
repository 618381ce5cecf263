"""LLVM: from the text of functions to their addresses. The one file that imports llvmlite, when first used."""

from __future__ import annotations

import threading
from functools import cache

from .codegen import Writer

_lock = threading.Lock()


class Engine:
    """The machine that kernels are compiled for, and what has been compiled. There is one for each process."""

    def __init__(self) -> None:
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.llvm = llvm
        self.cpu = llvm.get_host_cpu_name()
        self.features: dict[str, bool] = llvm.get_host_cpu_features()
        target = llvm.Target.from_triple(llvm.get_process_triple())
        self.machine = target.create_target_machine(cpu=self.cpu, features=self.features.flatten(), opt=3, jit=True)
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), self.machine)
        self.has_vector_functions = self._load_vector_functions()
        self.addresses: dict[str, int] = {}

    def _load_vector_functions(self) -> bool:
        """glibc's vector versions of mathematical functions, where there are any."""
        if not self.features.get("avx2"):
            return False
        try:
            self.llvm.load_library_permanently("libmvec.so.1")
        except RuntimeError:
            return False
        return bool(self.llvm.address_of_symbol("_ZGVdN4v_exp") and self.llvm.address_of_symbol("_ZGVdN4v_tanh"))

    def address(self, name: str, writer: Writer) -> int:
        """The address of a function that has been written, compiled now if it is new."""
        text = "\n".join(writer.lines)
        with _lock:
            known = self.addresses.get(text)
            if known is None:
                unique = f"{name}_{len(self.addresses)}"
                known = self.addresses[text] = self._compile(unique, text.replace(f"@{name}", f"@{unique}"), writer)
        return known

    def _compile(self, name: str, text: str, writer: Writer) -> int:
        module = self.llvm.parse_assembly(self.module_text(text, writer))
        module.verify()
        options = self.llvm.create_pipeline_tuning_options(speed_level=3)
        options.loop_vectorization = options.slp_vectorization = True
        builder = self.llvm.create_pass_builder(self.machine, options)
        builder.getModulePassManager().run(module, builder)
        self.engine.add_module(module)
        self.engine.finalize_object()
        return self.engine.get_function_address(name)

    def module_text(self, text: str, writer: Writer) -> str:
        """A module around functions: declarations, and which vector versions there are."""
        head = [f'target triple = "{self.llvm.get_process_triple()}"']
        kept: list[str] = []
        attributes = [f'attributes #0 = {{ nounwind "target-cpu"="{self.cpu}" }}']
        for number, (function, (type_, arity)) in enumerate(sorted(writer.functions.items()), 1):
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
        found = [("d", 4 if double else 8)]
        if self.features.get("avx512f") and self.features.get("avx512dq"):
            found.append(("e", 8 if double else 16))
        return found


@cache
def engine() -> Engine:
    """The engine of this process."""
    return Engine()


