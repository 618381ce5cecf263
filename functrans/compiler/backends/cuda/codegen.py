"""A kernel as a function in CUDA C++.

Extents and strides are parameters, so that another shape needs no other text. So are numbers that may well be sizes.
What the text depends on beside the expressions is the form (`layouts.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from ...accesses import identity_value, numbers_of
from ...loopnest import Output, Position
from ...operations.values import HALF, SINGLE
from .checks import Note, call
from .launches import NAME
from .layouts import BLOCK, TILE, VECTOR, Access, Form, Nest, divisors_of, told
from .operations import literal, type_name
from .text import Text, Values, signature

#: How two values of a reduction are put together, by the name that the loop IR has for it.
COMBINES = {
    "add": "Add", "multiply": "Multiply", "maximum": "Maximum", "minimum": "Minimum", "logical_or": "Or",
    "logical_and": "And", "bitwise_or": "Or", "bitwise_and": "And", "bitwise_xor": "Xor",
}  # fmt: skip


def kernel_function(nest: Nest, form: Form) -> str:
    """The text of a kernel's function."""
    return KernelWriter(nest, form).function()


def combine_of(output: Output) -> str:
    """The operation of the prelude that a reduction is done with: sums and products of booleans are booleans."""
    if output.expression.dtype.kind == "b" and output.combine != "bitwise_xor":
        return "Or" if output.combine in ("add", "maximum", "logical_or", "bitwise_or") else "And"
    return COMBINES[str(output.combine)]


def accumulator(output: Output) -> tuple[str, str]:
    """The type of what adds up, and what it begins with."""
    dtype = output.expression.dtype
    start = literal(identity_value(output.combine, dtype), dtype)
    return f"Accumulator<{type_name(dtype)}, {combine_of(output)}>", f"{{{start}}}"


class KernelWriter:
    """Writes a function."""

    #: The outermost loop that the function itself goes through.
    first_loop = 0

    def __init__(self, nest: Nest, form: Form):
        self.nest, self.form = nest, form
        self.kernel = nest.kernel
        self.outputs = self.kernel.outputs
        self.first_output = len(nest.accesses) - len(self.outputs)
        self.index = "int64" if form.is_wide else "int32"
        self.count = form.parallel + form.reduced
        self.is_by_columns = form.reduced > 0 and form.team == 0
        self.inner = form.parallel - 1 if self.is_by_columns else self.count - 1
        self.text = Text()
        self.values = Values(self.text, self.kernel, nest.accesses, form.moves, self.inner)
        self.types = [self.element(a) for a in nest.accesses]
        self.loops = [f"i{d}" for d in range(self.count)]
        self.divisors = divisors_of(nest, form, self.first_loop)

    # ---- parameters

    def element(self, access: Access) -> str:
        """The type that the pointer of an access points to."""
        source = access.operand.source
        if isinstance(source, Position):
            return "int64"
        if isinstance(source, Output):
            return "float16" if self.is_rounded(access) else str(type_name(source.expression.dtype))
        return f"const {type_name(source.dtype)}"

    def is_rounded(self, access: Access) -> bool:
        """Whether a reduction in single precision has a result in half."""
        dtype: np.dtype[Any] = access.operand.source.expression.dtype
        return dtype == SINGLE and access.itemsize == HALF.itemsize

    def rounded(self, j: int, value: str) -> str:
        """A result as it is stored."""
        return f"half({value})" if self.is_rounded(self.nest.accesses[self.first_output + j]) else value

    def parameters(self) -> list[str]:
        found = [f"const {self.index} n{d}" for d in range(self.count)]
        found += [f"const Divisor d{d}" for d in self.divisors]
        read, written = ({a.slot for a in group} for group in self.split(self.nest.accesses))
        for k, (access, move) in enumerate(zip(self.nest.accesses, self.form.moves)):
            is_pointer = access.slot is not None
            alone = "" if access.slot in read & written else "__restrict__ "
            found.append(f"{self.types[k]} *{alone}const p{k}" if is_pointer else f"const int64 p{k}")
            found += [f"const {self.index} s{k}_{d}" for d in told(access, move, self.inner)]
            found += [f"const int64 t{k}_{j}" for j in range(len(access.terms))]
        found += [f"const {type_name(n.dtype)} k{j}" for j, n in enumerate(numbers_of(self.kernel))]
        if self.form.is_divided:
            found += [f"const int64 w{j}" for j in range(len(self.outputs))]
        if self.form.is_guarded:
            found.append("const int32 *const failed")
        if self.form.has_copies:
            found.append("const int32 copied")
        if self.form.checked is not None:
            found += Note.parameters
        return found

    def split(self, accesses: Sequence[Access]) -> tuple[Sequence[Access], Sequence[Access]]:
        """What is read, and what is written."""
        return accesses[: self.first_output], accesses[self.first_output :]

    def function(self) -> str:
        with self.text.block(signature(f"KERNEL __launch_bounds__({BLOCK}) {NAME}", self.parameters())):
            if self.form.is_guarded:
                self.text.line("if (*failed) return;")
            if self.form.turned:
                self.tiles()
            elif self.form.has_copies:
                self.points_with_copies()
            elif not self.kernel.reduced:
                self.points()
            elif self.is_by_columns:
                self.columns()
            else:
                self.rows()
        return str(self.text)

    # ---- loops

    def product(self, extents: Sequence[str]) -> str:
        return " * ".join(extents) or "1"

    def unpack(self, name: str, loops: Sequence[int], extents: Sequence[str], tiled: Sequence[int] = ()) -> None:
        """Variables of loops from the number of a point, which counts all of them.

        Args:
            tiled: loops that go by tiles: where these begin.
        """
        for position in reversed(range(len(loops))):
            d = loops[position]
            variable, size = (f"first{d}", f" * {TILE}") if d in tiled else (f"i{d}", "")
            if position == 0:
                self.text.line(f"const {self.index} {variable} = {name}{size};")
            else:
                rest, extent = f"{name}_{d}", extents[position]
                own = f"{name} - {rest} * {extent}"
                by = f"d{d}" if d in self.divisors else extent
                self.text.line(f"const {self.index} {rest} = quotient({name}, {by});")
                self.text.line(f"const {self.index} {variable} = {f'({own}){size}' if size else own};")
                name = rest

    def pointers(self) -> list[str]:
        found = [f"p{k}" for k in range(len(self.nest.accesses))]
        return [*found[:-1], "own"] if self.form.has_copies else found

    def loaded(self) -> dict[int, str]:
        """The accesses that need not be loaded, and the variables that they are in."""
        return {k: f"tile{k}[column][line]" for k in self.form.turned}

    def points(self) -> None:
        """A thread for each point, or some neighbours; axes along which points collide are walked in order."""
        form, text = self.form, self.text
        extents = [f"n{d}" for d in range(form.parallel)]
        serial = [*range(form.parallel, self.count)]
        is_vector = form.lanes > 1
        if is_vector:
            extents[-1] = text.let(self.index, f"quotient(n{self.inner}, {form.lanes})")
        all_ = text.let(self.index, self.product(extents))
        begin = f"({self.index})blockIdx.x * {BLOCK} + threadIdx.x"
        if self.bytes_at_once() >= VECTOR:
            text.line("#pragma unroll 1")
        with text.block(f"for ({self.index} u = {begin}; u < {all_}; u += ({self.index})gridDim.x * {BLOCK})"):
            self.unpack("u", range(form.parallel), extents)
            self.nested(serial, self.stores)

    def bytes_at_once(self) -> int:
        """What a thread loads for a point, or for some neighbours. Of little the compiler had better have several steps
        on their way; but for that it has to know how many there are, which takes a division, and registers."""
        loads, _ = self.split(self.nest.accesses)
        return self.form.lanes * sum(a.itemsize for a in loads if a.slot is not None)

    def points_with_copies(self) -> None:
        """The same on a copy of the result that each block has in shared memory, and in the end puts together with the
        others: all of them would wait for each other at its few places."""
        text, type_, (output,), k = self.text, self.types[-1], self.outputs, self.first_output
        nothing = literal(identity_value(output.combine, output.expression.dtype), output.expression.dtype)
        each = f"for (int32 k = threadIdx.x; k < copied; k += {BLOCK})"
        text.line(f"{type_} *const own = ({type_} *)shared_memory;")
        text.line(f"{each} own[k] = {nothing};")
        text.line("__syncthreads();")
        self.points()
        text.line("__syncthreads();")
        text.line(f"{each} atomic_update<{combine_of(output)}>(p{k} + k, own[k]);")

    def tiles(self) -> None:
        """A block for each tile of points: some operands are read along one loop, results written along another one."""
        text, across, inner = self.text, self.form.across, self.inner
        others = [d for d in range(self.count) if d not in (across, inner)]
        edges = [text.let(self.index, f"quotient(n{d} + {TILE - 1}, {TILE})") for d in (across, inner)]
        extents = [*(f"n{d}" for d in others), *edges]
        all_ = text.let(self.index, self.product(extents))
        text.line(f"const int32 column = threadIdx.x % {TILE}, row = threadIdx.x / {TILE};")
        for k in self.form.turned:  # one more column, so that threads of a warp never meet in a bank
            text.line(f"__shared__ {self.types[k].removeprefix('const ')} tile{k}[{TILE}][{TILE + 1}];")
        with text.block(f"for ({self.index} u = blockIdx.x; u < {all_}; u += ({self.index})gridDim.x)"):
            self.unpack("u", [*others, across, inner], extents, tiled=(across, inner))
            with self.lines((across, "column"), (inner, "line")):
                for k in self.form.turned:
                    ways = " + ".join(f"i{d} * s{k}_{d}" for d in told(self.nest.accesses[k], "any", inner))
                    text.line(f"tile{k}[line][column] = *after(p{k}, {ways});")
            text.line("__syncthreads();")
            with self.lines((across, "line"), (inner, "column")):
                self.stores()
            text.line("__syncthreads();")

    @contextmanager
    def lines(self, *loops: tuple[int, str]) -> Iterator[None]:
        """The lines of a tile that are this thread's, within the extents of two loops."""
        text = self.text
        with text.block(f"for (int32 line = row; line < {TILE}; line += {BLOCK // TILE})"):
            for d, part in loops:
                text.line(f"const {self.index} i{d} = first{d} + {part};")
            with text.block(f"if ({' && '.join(f'i{d} < n{d}' for d, _ in loops)})"):
                yield

    def nested(self, loops: Sequence[int], inside: Any) -> None:
        """One loop inside the other, with something inside."""
        if not loops:
            inside()
            return
        d = loops[0]
        with self.text.block(f"for ({self.index} i{d} = 0; i{d} < n{d}; ++i{d})"):
            self.nested(loops[1:], inside)

    def stores(self) -> None:
        names = self.values.outer(self.loops, self.pointers(), self.types, self.loaded())
        if self.form.lanes == 1:
            i = self.loops[self.inner] if self.count else ""
            parts = self.loaded_together(i, names)
            known = self.values.at(i, names, {**self.loaded(), **parts})
            for k, output in enumerate(self.outputs, self.first_output):
                place = parts.get(k) or self.values.place(k, names[k], i, known)
                self.store(k, output, known[id(output.expression)], place)
            for group in self.form.together:
                if group[0] >= self.first_output:
                    self.text.line(f"{self.as_one(group, i, names)} = x{group[0]};")
            return
        self.vector_stores(names)

    def loaded_together(self, i: str, names: Sequence[str]) -> dict[int, str]:
        """Load what is side by side at a point, and make room for what will be stored there; where each part is."""
        for group in self.form.together:
            vector = f"Vector<{self.types[group[0]].removeprefix('const ')}, {len(group)}> x{group[0]}"
            is_read = group[0] < self.first_output
            self.text.line(f"const {vector} = {self.as_one(group, i, names)};" if is_read else f"{vector};")
        return {k: f"x{group[0]}.at[{j}]" for group in self.form.together for j, k in enumerate(group)}

    def as_one(self, group: Sequence[int], i: str, names: Sequence[str]) -> str:
        """What is side by side at a point, in memory."""
        type_ = self.types[group[0]]
        const = "const " if type_.startswith("const ") else ""
        vector = f"{const}Vector<{type_.removeprefix('const ')}, {len(group)}>"
        return f"*({vector} *)&{self.values.place(group[0], names[group[0]], i, {})}"

    def vector_stores(self, names: Sequence[str]) -> None:
        """Some neighbours at once: what lies side by side is loaded and stored as one."""
        text, lanes = self.text, self.form.lanes
        vectors = {k: f"x{k}" for k, a in enumerate(self.nest.accesses) if self.is_vector(k)}
        for k, vector in vectors.items():
            type_ = f"Vector<{self.types[k].removeprefix('const ')}, {lanes}>"
            if k < self.first_output:
                text.line(f"const {type_} {vector} = ((const {type_} *){names[k]})[i{self.inner}];")
            else:
                text.line(f"{type_} {vector};")
        parts = self.loaded_together("", names)
        text.line("#pragma unroll")
        with text.block(f"for (int32 lane = 0; lane < {lanes}; ++lane)"):
            i = text.let(self.index, f"i{self.inner} * {lanes} + lane")
            loaded = {k: f"{vector}.at[lane]" for k, vector in vectors.items() if k < self.first_output} | parts
            known = self.values.at(i, names, {**loaded, **self.loaded()})
            for k, output in enumerate(self.outputs, self.first_output):
                place = f"{vectors[k]}.at[lane]" if k in vectors else self.values.place(k, names[k], i, known)
                self.store(k, output, known[id(output.expression)], place)
        for k, vector in vectors.items():
            if k >= self.first_output:
                type_ = f"Vector<{self.types[k]}, {lanes}>"
                text.line(f"(({type_} *){names[k]})[i{self.inner}] = {vector};")

    def is_vector(self, k: int) -> bool:
        """Whether neighbours of an access are moved as one."""
        access = self.nest.accesses[k]
        is_update = k >= self.first_output and self.form.updates[k - self.first_output] is not None
        is_plain = access.slot is not None and not access.terms and not is_update and k not in self.loaded()
        return self.form.moves[k] == "one" and is_plain

    def store(self, k: int, output: Output, value: str, place: str) -> None:
        update = self.form.updates[k - self.first_output]
        if self.form.checked == k - self.first_output:
            self.text.line(call(value))
        if update is None:
            self.text.line(f"{place} = {value};")
        elif update == "atomic":
            self.text.line(f"atomic_update<{combine_of(output)}>(&{place}, {value});")
        else:
            self.text.line(f"{place} = {combine_of(output)}::of({place}, {value});")

    # ---- reductions

    def rows(self) -> None:
        """A thread, a warp or a block for each result."""
        form, text = self.form, self.text
        team, per_block = form.team, BLOCK // form.team
        parallel = [f"n{d}" for d in range(form.parallel)]
        reduced = [f"n{d}" for d in range(form.parallel, self.count)]
        if form.lanes > 1:
            reduced[-1] = text.let(self.index, f"quotient(n{self.inner}, {form.lanes})")
        all_ = text.let(self.index, self.product(parallel))
        length = text.let(self.index, self.product(reduced))
        own = {1: "threadIdx.x", BLOCK: "0"}.get(team, f"threadIdx.x / {team}")
        member = {1: "0", BLOCK: "threadIdx.x"}.get(team, f"threadIdx.x % {team}")
        begin, end = self.share(length)
        head = f"{self.index} u = ({self.index})blockIdx.x * {per_block} + {own}; u < {all_}"
        with text.block(f"for ({head}; u += ({self.index})gridDim.x * {per_block})"):
            self.unpack("u", range(form.parallel), parallel)
            self.accumulators()
            step = f"r += {team}"
            with text.block(f"for ({self.index} r = {begin} + {member}; r < {end}; {step})"):
                self.unpack("r", range(form.parallel, self.count), reduced)
                self.take()
            totals = [self.total(j, f"a{j}.value()") for j in range(len(self.outputs))]
            condition = "" if team == 1 else f"if ({member} == 0)"
            self.write_results(totals, condition)

    def share(self, length: str) -> tuple[str, str]:
        """The part of what is reduced that the block works on."""
        if not self.form.is_divided:
            return "0", length
        size = self.text.let(self.index, f"quotient({length} + (int32)gridDim.y - 1, (int32)gridDim.y)")
        begin = self.text.let(self.index, f"(int32)blockIdx.y * {size}")
        end = self.text.let(self.index, f"{begin} + {size} < {length} ? {begin} + {size} : {length}")
        return begin, end

    def accumulators(self, lane: str = "") -> None:
        for j, output in enumerate(self.outputs):
            type_, start = accumulator(output)
            self.text.line(f"{type_} a{j}{lane}{start};")

    def take(self) -> None:
        """Add what is at the point (or at some neighbours) to the accumulators."""
        names = self.values.outer(self.loops, self.pointers()[: self.first_output], self.types, self.loaded())
        if self.form.lanes == 1:
            self.take_at(self.loops[self.inner] if self.count else "", names, self.loaded())
            return
        text, lanes = self.text, self.form.lanes
        vectors = self.loaded_vectors(names)
        text.line("#pragma unroll")
        with text.block(f"for (int32 lane = 0; lane < {lanes}; ++lane)"):
            i = text.let(self.index, f"i{self.inner} * {lanes} + lane")
            self.take_at(i, names, {**{k: f"{vector}.at[lane]" for k, vector in vectors.items()}, **self.loaded()})

    def loaded_vectors(self, names: Sequence[str]) -> dict[int, str]:
        """Load neighbours of operands that lie side by side; their variables."""
        vectors = {k: f"x{k}" for k in range(self.first_output) if self.is_vector(k)}
        for k, vector in vectors.items():
            type_ = f"const Vector<{self.types[k].removeprefix('const ')}, {self.form.lanes}>"
            self.text.line(f"{type_} {vector} = (({type_} *){names[k]})[i{self.inner}];")
        return vectors

    def take_at(self, i: str, names: Sequence[str], loaded: dict[int, str], lane: str = "") -> None:
        known = self.values.at(i, names, loaded)
        for j, output in enumerate(self.outputs):
            self.text.line(f"a{j}{lane}.take({known[id(output.expression)]});")

    def total(self, j: int, own: str) -> str:
        """What the whole team has."""
        output, team = self.outputs[j], self.form.team
        type_ = str(type_name(output.expression.dtype))
        if team == 1:
            return own
        function, count = ("of_warp", team) if team <= 32 else ("of_block", team // 32)
        return self.text.let(type_, f"{function}<{combine_of(output)}, {count}>({own})")

    def write_results(self, totals: Sequence[str], condition: str, i: str = "") -> None:
        text, i = self.text, i or f"i{self.inner}"
        with text.block(condition) if condition else nullcontext():
            for j, total in enumerate(totals):
                k = self.first_output + j
                ways = [f"i{d} * s{k}_{d}" for d in told(self.nest.accesses[k], "none", self.inner)]
                if self.inner < self.form.parallel and self.form.moves[k] != "none":
                    size = f"sizeof(*p{k})" if self.form.moves[k] == "one" else f"s{k}_{self.inner}"
                    ways.append(f"{i} * ({self.index}){size}")
                if self.form.is_divided:
                    ways.append(f"blockIdx.y * w{j}")
                place = f"*after(p{k}, {' + '.join(ways)})" if ways else f"*p{k}"
                text.line(f"{place} = {self.rounded(j, self.added(j, place, total))};")

    def added(self, j: int, place: str, total: str) -> str:
        """A result, combined with what is there if the kernel adds to that."""
        if self.outputs[j].place is None:
            return total
        before = f"single({place})" if self.is_rounded(self.nest.accesses[self.first_output + j]) else place
        return f"{combine_of(self.outputs[j])}::of({before}, {total})"

    def columns(self) -> None:
        """Threads side by side have neighbouring results, threads below each other parts of what these reduce.

        A thread may have several results that are neighbours: what these have in common is computed once, and operands
        that lie side by side are loaded together, if their number and their addresses allow for it.
        """
        form, text, columns, rows = self.form, self.text, self.form.columns, BLOCK // self.form.columns
        parallel = [f"n{d}" for d in range(form.parallel)]
        reduced = [f"n{d}" for d in range(form.parallel, self.count)]
        if form.lanes > 1:
            parallel[-1] = text.let(self.index, f"quotient(n{self.inner}, {form.lanes})")
        all_ = text.let(self.index, self.product(parallel))
        length = text.let(self.index, self.product(reduced))
        begin, end = self.share(length)
        text.line(f"const int32 column = threadIdx.x % {columns}, row = threadIdx.x / {columns};")
        head = f"{self.index} first = ({self.index})blockIdx.x * {columns}; first < {all_}"
        with text.block(f"for ({head}; first += ({self.index})gridDim.x * {columns})"):
            text.line(f"const {self.index} u = first + column < {all_} ? first + column : {all_} - 1;")
            self.unpack("u", range(form.parallel), parallel)
            for lane in self.lanes:
                self.accumulators(lane)
            with text.block(f"for ({self.index} r = {begin} + row; r < {end}; r += {rows})"):
                self.unpack("r", range(form.parallel, self.count), reduced)
                self.take_columns()
            for lane in self.lanes:
                totals = []
                for j, output in enumerate(self.outputs):
                    call = f"of_column<{combine_of(output)}, {columns}, {rows}>(a{j}{lane}.value())"
                    totals.append(text.let(str(type_name(output.expression.dtype)), call))
                self.write_results(totals, f"if (row == 0 && first + column < {all_})", self.neighbour(lane))

    @property
    def lanes(self) -> list[str]:
        """What the variables end in that a thread has for each of several columns."""
        return [f"_{lane}" for lane in range(self.form.lanes)] if self.form.lanes > 1 else [""]

    def neighbour(self, lane: str) -> str:
        """The innermost index of one of a thread's columns."""
        i = self.loops[self.inner] if self.count else ""
        return f"({i} * {self.form.lanes} + {lane[1:]})" if lane else i

    def take_columns(self) -> None:
        """Add what is at the point of each column."""
        names = self.values.outer(self.loops, self.pointers()[: self.first_output], self.types)
        vectors = {} if self.form.lanes == 1 or self.form.is_apart else self.loaded_vectors(names)
        for lane in self.lanes:
            loaded = {k: f"{vector}.at[{lane[1:]}]" for k, vector in vectors.items()}
            self.take_at(self.neighbour(lane), names, loaded, lane)
