"""What the operations of language.py are in LLVM IR."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any, NamedTuple

#: How a processor is told that a loop waits, which leaves more of it to others.
PAUSES = {
    "x86_64": ("declare void @llvm.x86.sse2.pause()\n", "call void @llvm.x86.sse2.pause()"),
    "aarch64": ("declare void @llvm.aarch64.isb(i32)\n", "call void @llvm.aarch64.isb(i32 15)"),
}
MACHINES = {"AMD64": "x86_64", "arm64": "aarch64"}
DECLARE_PAUSE, PAUSE = PAUSES.get(MACHINES.get(platform.machine(), platform.machine()), ("", ""))

DECLARATIONS = f"""
declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.smax.i64(i64, i64)
declare double @llvm.floor.f64(double)
declare double @llvm.fabs.f64(double)
declare double @llvm.pow.f64(double, double)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
{DECLARE_PAUSE}"""


class Value(NamedTuple):
    """A value in the text: its name or number, and its type."""

    name: str
    type: str = "i64"

    def __str__(self) -> str:
        return f"{self.type} {self.name}"


def _room(to: Any, words: Value) -> Value:
    return to.result(f"ptrtoint ptr {to.result(f'alloca i64, {words}', 'ptr').name} to i64")


def _copy(to: Any, target: Value, source: Value, words: Value) -> None:
    size = to.times_eight(words)
    to.emit(f"call void @llvm.memcpy.p0.p0.i64(ptr {to.place(target)}, ptr {to.place(source)}, {size}, i1 false)")


def _extreme(name: str) -> Callable[..., Value]:
    return lambda to, x, y: to.result(f"call i64 @llvm.{name}.i64({x}, {y})")


def _of_float(name: str) -> Callable[..., Value]:
    return lambda to, x: to.result(f"call double @llvm.{name}.f64({x})", "double")


def _atomic_load(order: str) -> Callable[..., Value]:
    return lambda to, address: to.result(f"load atomic i64, ptr {to.place(address)} {order}, align 8")


def _atomic_store(order: str) -> Callable[..., None]:
    return lambda to, address, value: to.emit(f"store atomic {value}, ptr {to.place(address)} {order}, align 8")


def _atomic_update(name: str) -> Callable[..., Value]:
    return lambda to, address, value: to.result(f"atomicrmw {name} ptr {to.place(address)}, {value} seq_cst")


def _atomic_replace(to: Any, address: Value, expected: Value, value: Value) -> Value:
    tried = to.result(f"cmpxchg ptr {to.place(address)}, {expected}, {value} seq_cst seq_cst", "{i64, i1}")
    return to.result(f"extractvalue {tried}, 1", "i1")


def _narrow_load(type_: str, widen: str) -> Callable[..., Value]:
    return lambda to, address: to.result(f"{widen} {to.result(f'load {type_}, ptr {to.place(address)}', type_)} to i64")


def _set_int32(to: Any, address: Value, value: Value) -> None:
    to.emit(f"store {to.typed(value, 'i32')}, ptr {to.place(address)}")


#: By their names: functions of who translates (translation.py), and the values that they are given.
OPERATIONS: dict[str, Callable[..., Value | None]] = {
    "room": _room,
    "copy": _copy,
    "min": _extreme("smin"),
    "max": _extreme("smax"),
    "is_below": lambda to, x, y: to.compare("ult", x, y),
    "byte": _narrow_load("i8", "zext"),
    "int32": _narrow_load("i32", "sext"),
    "set_int32": _set_int32,
    "float64": lambda to, address: to.result(f"load double, ptr {to.place(address)}", "double"),
    "float32": lambda to, address: to.result(
        f"fpext {to.result(f'load float, ptr {to.place(address)}', 'float')} to double", "double"
    ),
    "float": lambda to, value: to.result(f"sitofp {value} to double", "double"),
    "floor": _of_float("floor"),
    "absolute": _of_float("fabs"),
    "c_int": lambda to, value: to.widened(to.typed(value, "i32")),
    "pause": lambda to: to.emit(PAUSE) if PAUSE else None,
    "atomic_load": _atomic_load("seq_cst"),
    "atomic_store": _atomic_store("seq_cst"),
    "atomic_add": _atomic_update("add"),
    "atomic_exchange": _atomic_update("xchg"),
    "atomic_replace": _atomic_replace,
    "relaxed_load": _atomic_load("monotonic"),
    "relaxed_store": _atomic_store("monotonic"),
}
