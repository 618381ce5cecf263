"""Linear algebra of small matrices as kernels: a warp, or one thread, for each matrix of a batch.

What compiler/matrices.py asks of LAPACK, in the same places and with the same meaning, but for room to work in: that is
shared memory. `decompositions.cuh` has the algorithms; here is what their functions are given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from ...instructions import LibraryRun
from ...matrix_parts import wide
from ...places import Place
from .checks import Note
from .checks import call as check_of
from .launches import NAME, Argument, Launch, Pointer
from .layouts import BLOCK
from .lowering import WAVES, Target
from .operations import type_name
from .text import Text, signature

#: The extents that a warp has room for, the last of them at most.
CAPACITIES: Final = (8, 16, 32)
#: Up to so many rows and columns, rotations are one thread's work.
FEW: Final = 4
#: Threads of a block in which each has a matrix, warps of one in which each has, and bytes of shared memory, at most.
THREADS, WARPS, SHARED = 64, 8, 48 << 10
#: Bytes of shared memory for each row, beside matrices: angles, lengths and the like.
BESIDE: Final = 48


class Call(NamedTuple):
    """A function of `decompositions.cuh`.

    Attributes:
        options: what it is told when it is compiled.
        room: the type of what it works in, two matrices and some numbers; nothing if it needs no room.
        arrays: it is given the address of the matrix, or vector, in each, then the numbers.
        extent: the most rows and columns of a matrix.
        is_single: whether one thread does it.
        is_wide: whether it computes in double precision what is in single.
    """

    name: str
    options: tuple[bool, ...]
    room: str
    arrays: tuple[Place, ...]
    numbers: tuple[int, ...]
    extent: int
    is_single: bool = False
    is_wide: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the numbers it computes with."""
        dtype = self.arrays[0].dtype
        return wide(dtype) if self.is_wide else dtype


def _cholesky(run: LibraryRun) -> Call:
    x, factor = run.places
    n = x.shape[1]
    return Call("cholesky_of", (), "Matrices", (x, factor, run.failed), (n, *_ways(x)), n, is_wide=True)


def _lu(run: LibraryRun) -> Call:
    x, pivots = run.places
    _, n, m = x.shape
    return Call("lu_of", (), "Matrices", (x, pivots), (m, n), max(m, n))


def _permute(run: LibraryRun) -> Call:
    pivots, order = run.places
    return Call("permute_of", (), "", (pivots, order), (pivots.shape[1],), 0, is_single=True)


def _solve(run: LibraryRun) -> Call:
    x, b, solution = run.places
    _, n, sides = b.shape
    numbers = (n, sides, *_ways(x), *_ways(b), *_ways(solution))
    return Call("solve_of", (), "Matrices", (x, b, solution, run.failed), numbers, n, is_wide=True)


def _ways(matrices: Place) -> tuple[int, ...]:
    """How many elements it is down to the next row, and across to the next column."""
    return tuple(stride // matrices.dtype.itemsize for stride in matrices.strides[1:])


def _triangular_solve(run: LibraryRun) -> Call:
    """As BLAS has it: op(a) y = b, or y op(a) = b, for matrices that lie column by column, here the transposes."""
    a, x = run.places
    right, lower, transpose, conjugate, unit = (
        run.options[name] for name in ("right", "lower", "transpose", "conjugate", "unit")
    )
    _, rows, columns = x.shape
    leading = max(a.strides[1:]) // a.dtype.itemsize
    ways, steps = (1, leading), (1, columns)
    if transpose != right:
        ways, lower = ways[::-1], not lower
    n, sides = (rows, columns) if right else (columns, rows)
    along, beside = steps[::-1] if right else steps
    numbers = (n, sides, *ways, along, beside)
    options = (lower, unit, transpose and conjugate)
    return Call("triangular_solve_of", options, "Matrices", (a, x), numbers, n)


def _reflections(run: LibraryRun) -> Call:
    x, factors = run.places
    _, n, m = x.shape
    return Call("reflections_of", (), "Matrices", (x, factors), (m, n), max(m, n))


def _orthogonal(run: LibraryRun) -> Call:
    x, factors = run.places
    _, columns, m = x.shape
    return Call("orthogonal_of", (), "Matrices", (x, factors), (m, columns, factors.shape[1]), max(m, columns))


def _eigh(run: LibraryRun) -> Call:
    x, values = run.places
    n = x.shape[1]
    options = (run.options["vectors"], run.options["lower"])
    return Call("eigh_of", options, "Diagonals", (x, values), (n,), n, n <= FEW)


def _svd(run: LibraryRun) -> Call:
    x, values, u, v = run.places
    _, n, m = x.shape
    tall, few = max(m, n), min(m, n)
    width = tall if run.options["vectors"] and run.options["full"] else few
    options = (run.options["vectors"], m < n)
    return Call("svd_of", options, "Factors", (x, values, u, v), (tall, few, width), tall, tall <= FEW)


#: By the names of instructions.
CALLS: Final[dict[str, Callable[[LibraryRun], Call]]] = {
    "cholesky": _cholesky,
    "lu": _lu,
    "permute": _permute,
    "solve": _solve,
    "triangular_solve": _triangular_solve,
    "reflections": _reflections,
    "orthogonal": _orthogonal,
    "eigh": _eigh,
    "svd": _svd,
}


def decomposition_launch(run: LibraryRun, target: Target, note: Note | None = None) -> Launch:
    """The launch of a call for each matrix.

    Args:
        note: the check that there is a result.
    """
    call, batch = CALLS[run.name](run), run.places[0].shape[0]
    teams = min(_teams(call), 1 << (batch - 1).bit_length())
    blocks = max(1, min(-(-batch // teams), WAVES * target.processors))
    threads = BLOCK if blocks == 1 else (1 if call.is_single else 32) * teams  # as others have that it may be one with
    arguments: list[Argument] = [batch]
    for place in call.arrays:
        arguments += [Pointer(place.slot, place.offset), place.strides[0] // place.dtype.itemsize]
    arguments += [*call.numbers, *(note.arguments if note else ())]
    checked = call.arrays.index(run.failed) if note else None
    about = f"{run.name.replace('_', ' ')} by one {'thread' if call.is_single else 'warp'} for each matrix"
    source, declared = _function(call, teams, threads, checked), teams * _room(call) if blocks == 1 else 0
    return Launch(source, (blocks, 1, 1), (threads, 1, 1), 0, tuple(arguments), about, declared=declared)


def _capacity(call: Call) -> int:
    """The rows and columns that there is room for."""
    return FEW if call.is_single else next(n for n in CAPACITIES if n >= call.extent)


def _room(call: Call) -> int:
    """The bytes of shared memory that a team works in, at most."""
    capacity = _capacity(call)
    return (2 * capacity * (capacity + 1) * call.dtype.itemsize + BESIDE * (capacity + 1)) if call.room else 0


def _teams(call: Call) -> int:
    """How many teams of a block have room for their matrices: a power of two."""
    teams = THREADS if call.is_single else WARPS
    while teams * _room(call) > SHARED:
        teams //= 2
    return teams


def _function(call: Call, teams: int, threads: int, checked: int | None) -> str:
    """The kernel, of so many threads, some of which may be in no team.

    Args:
        checked: the number of the array that tells of each matrix whether there is no result, if that is checked.
    """
    text = Text()
    numbers = [f"n{k}" for k in range(len(call.numbers))]
    given = [p for k, x in enumerate(call.arrays) for p in (f"{type_name(x.dtype)} *const a{k}", f"const int64 w{k}")]
    parameters = ["const int64 batch", *given, *(f"const int64 {name}" for name in numbers)]
    parameters += Note.parameters if checked is not None else ()
    own = "threadIdx.x" if call.is_single else "threadIdx.x / 32"
    with text.block(signature(f"KERNEL __launch_bounds__({threads}) {NAME}", parameters)):
        room = []
        if call.room:
            type_ = f"decompositions::{call.room}<{_capacity(call) + 1}, {type_name(call.dtype)}>"
            text.line(f"__shared__ {type_} rooms[{teams}];")
            room = [f"rooms[{own}]"]
        text.line(f"if ({own} < {teams})")
        head = f"int64 k = (int64)blockIdx.x * {teams} + {own}; k < batch; k += (int64)gridDim.x * {teams}"
        with text.block(f"for ({head})"):
            places = [f"a{k} + k * w{k}" for k in range(len(call.arrays))]
            text.line(f"decompositions::{_name(call)}({', '.join([*room, *places, *numbers])});")
            if checked is not None:
                text.line(f"if (threadIdx.x % 32 == 0) {check_of(f'*({places[checked]})')}")
    return str(text)


def _name(call: Call) -> str:
    """The function, with what it is told when it is compiled."""
    if not call.room:
        return call.name
    teams = ["1" if call.is_single else "32"] if call.room != "Matrices" else []
    options = [str(option).lower() for option in call.options]
    return f"{call.name}<{', '.join([*teams, str(_capacity(call) + 1), *options])}>"
