"""call: a jaxpr as one equation; what `jit` binds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..compiler.program import compile_jaxpr
from ..core.avals import ZERO, ShapedArray
from ..core.jaxpr import Jaxpr
from ..core.primitive import SharedOperands, is_hole
from ..core.trace import Params, typeof
from ..transforms.batching import batch_jaxpr
from ..transforms.forward import jvp_jaxpr
from ..transforms.noting import jvp_jaxpr_noting, pack_notes, unpack_notes
from ..transforms.residuals import split_jaxpr
from ..transforms.transpose import transpose_jaxpr
from .programs import HoldsPrograms, guarded


class Call(HoldsPrograms):
    """Runs a jaxpr. Every transformation of it is a call of the transformed jaxpr."""

    takes_notes = True

    def abstract_eval(self, *avals: ShapedArray, jaxpr: Jaxpr, **params: Any) -> list[ShapedArray]:
        return jaxpr.out_avals

    def impl(self, *args: Any, jaxpr: Jaxpr, **params: Any) -> list[Any]:
        return compile_jaxpr(jaxpr)(*args)

    def jvp(
        self, primals: Sequence[Any], tangents: Sequence[Any], *, jaxpr: Jaxpr, name: str, **params: Any
    ) -> tuple[list[Any], list[Any]]:
        derived, out_active = jvp_jaxpr(jaxpr, tuple(t is not ZERO for t in tangents))
        outs = self.bind(*primals, *(t for t in tangents if t is not ZERO), jaxpr=derived, name=f"jvp_{name}", **params)
        count = len(jaxpr.outputs)
        rest = iter(outs[count:])
        return outs[:count], [next(rest) if is_active else ZERO for is_active in out_active]

    def jvp_noting(
        self,
        primals: Sequence[Any],
        tangents: Sequence[Any],
        notes: Sequence[Any],
        *,
        jaxpr: Jaxpr,
        name: str,
        **params: Any,
    ) -> tuple[list[Any], list[Any], list[Any]]:
        active = tuple(t is not ZERO for t in tangents)
        pool = [*primals, *(t for t in tangents if t is not ZERO)]
        known = len(pool)
        packed = pack_notes(notes, pool)
        derived, out_active, out_notes = jvp_jaxpr_noting(jaxpr, active, packed, tuple(map(typeof, pool[known:])))
        outs = self.bind(*pool, jaxpr=derived, name=f"jvp_{name}", **params)
        count = len(jaxpr.outputs)
        rest = iter(outs[count:])
        out_tangents = [next(rest) if is_active else ZERO for is_active in out_active]
        return outs[:count], out_tangents, unpack_notes(out_notes, [*pool, *outs])

    def transpose(self, cotangents: Sequence[Any], *args: Any, jaxpr: Jaxpr, name: str, **params: Any) -> list[Any]:
        linear = tuple(map(is_hole, args))
        active = tuple(c is not ZERO for c in cotangents)
        given = [c for c in cotangents if c is not ZERO]
        derived, out_active = transpose_jaxpr(jaxpr, linear, active, tuple(map(typeof, given)))
        others = [a for a, is_linear in zip(args, linear) if not is_linear]
        outs = iter(self.bind(*others, *given, jaxpr=derived, name=f"transpose_{name}", **params))
        found = iter([next(outs) if is_active else ZERO for is_active in out_active])
        return [next(found) if is_linear else None for is_linear in linear]

    def inlined_jaxpr(self, params: Params) -> Jaxpr | None:
        return params["jaxpr"]

    def shared_operands(self, params: Params) -> SharedOperands:
        return SharedOperands(0, len(params["jaxpr"].inputs), ("jaxpr",))

    def guarded(self, params: Params) -> tuple[Params, int]:
        return {**params, "jaxpr": guarded(params["jaxpr"])}, 0

    def batch_named(
        self,
        axis_name: Any,
        size: int,
        values: Sequence[Any],
        mapped: Sequence[bool],
        *,
        jaxpr: Jaxpr,
        name: str,
        **params: Any,
    ) -> tuple[list[Any], tuple[bool, ...]]:
        derived, out_mapped = batch_jaxpr(jaxpr, size, tuple(mapped), None, axis_name)
        return self.bind(*values, jaxpr=derived, name=f"vmap_{name}", **params), out_mapped

    def partial_eval(self, trace: Any, unknown: Sequence[bool], args: Sequence[Any], params: Params) -> list[Any]:
        known_jaxpr, rest, out_unknown = split_jaxpr(params["jaxpr"], tuple(unknown))
        known_args = [a for a, is_unknown in zip(args, unknown) if not is_unknown]
        outs = trace.parent.process(self, known_args, {**params, "jaxpr": known_jaxpr})
        known_count = len(out_unknown) - sum(out_unknown)
        unknown_args = [a for a, is_unknown in zip(args, unknown) if is_unknown]
        recorded = iter(trace.record(self, [*outs[known_count:], *unknown_args], {**params, "jaxpr": rest}))
        known = iter(outs[:known_count])
        return [next(recorded) if is_unknown else next(known) for is_unknown in out_unknown]


call = Call("call")
