"""LAPACK: what its functions are given for the calls that compiler/matrices.py asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ....primitives.late_scipy import blas, lapack
from ...instructions import LibraryRun
from ...places import Place
from .numbers import bits_of
from .runtime import HEADER, LIBRARY_ARGUMENTS

#: How the names of functions begin.
PREFIXES = {"f": "s", "d": "d", "F": "c", "D": "z"}
#: In place of an array: where a function says whether it found a result.
INFO = "info"

Argument = Place | int | str


def _cholesky(x: Place) -> list[Argument]:
    n = x.shape[1]
    return ["U", n, x, n, INFO]  # the upper triangle, column by column, is the lower one row by row


def _triangular_solve(
    a: Place, x: Place, *, right: bool, lower: bool, transpose: bool, conjugate: bool, unit: bool
) -> list[Argument]:
    how = "N" if not transpose else "C" if conjugate else "T"
    _, rows, columns = x.shape
    leading = max(a.strides[1:]) // a.dtype.itemsize
    sides: list[Argument] = ["R" if right else "L", "L" if lower else "U", how, "U" if unit else "N"]
    return [*sides, columns, rows, "one", a, leading, x, columns]


def _lu(x: Place, pivots: Place) -> list[Argument]:
    _, n, m = x.shape
    return [m, n, x, m, pivots, INFO]


def _solve(a: Place, pivots: Place, b: Place) -> list[Argument]:
    _, columns, n = b.shape
    return [n, columns, a, n, pivots, b, n, INFO]


def _reflections(x: Place, tau: Place, work: Place) -> list[Argument]:
    _, n, m = x.shape
    return [m, n, x, m, tau, work, work.shape[1], INFO]


def _orthogonal(x: Place, tau: Place, work: Place) -> list[Argument]:
    _, n, m = x.shape
    return [m, n, tau.shape[1], x, m, tau, work, work.shape[1], INFO]


def _eigh(
    x: Place, values: Place, work: Place, real: Place, integers: Place, *, vectors: bool, lower: bool
) -> list[Argument]:
    n = x.shape[1]
    begin: list[Argument] = ["V" if vectors else "N", "L" if lower else "U", n, x, n, values, work, work.shape[1]]
    more: list[Argument] = [real, real.shape[1]] if x.dtype.kind == "c" else []
    return [*begin, *more, integers, integers.shape[1], INFO]


def _eig(x: Place, *others: Place, vectors: bool) -> list[Argument]:
    """Eigenvalues as two arrays of real numbers for real matrices; nobody wants the eigenvectors on the left."""
    n, is_real = x.shape[1], x.dtype.kind != "c"
    *values, found, work = others[: 3 + is_real]
    begin: list[Argument] = ["N", "V" if vectors else "N", n, x, n, *values, found, n, found, n, work, work.shape[1]]
    return [*begin, *others[3 + is_real :], INFO]


def _svd(
    x: Place, values: Place, u: Place, v: Place, work: Place, real: Place, integers: Place, *, vectors: bool, full: bool
) -> list[Argument]:
    _, n, m = x.shape
    how = "N" if not vectors else "A" if full else "S"
    begin: list[Argument] = [how, m, n, x, m, values, u, m, v, v.shape[2], work, work.shape[1]]
    return [*begin, *([real] if x.dtype.kind == "c" else []), integers, INFO]


#: What functions are called after their prefix (for real and for complex matrices), and what they are given.
ROUTINES: dict[str, tuple[str, str, Callable[..., list[Argument]]]] = {
    "cholesky": ("potrf", "potrf", _cholesky),
    "lu": ("getrf", "getrf", _lu),
    "solve": ("gesv", "gesv", _solve),
    "reflections": ("geqrf", "geqrf", _reflections),
    "orthogonal": ("orgqr", "ungqr", _orthogonal),
    "eigh": ("syevd", "heevd", _eigh),
    "eig": ("geev", "geev", _eig),
    "svd": ("gesdd", "gesdd", _svd),
    "triangular_solve": ("trsm", "trsm", _triangular_solve),
}
#: What finds a result for all matrices. (An LU with a zero on the diagonal of u is one.)
ALWAYS_SUCCEEDS = frozenset(("lu", "reflections", "orthogonal", "triangular_solve"))


#: Elements of a matrix from which on OpenBLAS uses threads to multiply it with a vector; and rows of matrices from
#: which on it gains by that in decompositions, whose steps are many small products: before that, its threads mostly
#: wait for each other, on a busy machine a thousand times as long as the work takes.
THREADED, GAINS = 9216, 512


#: Whose matrices threads share. The others mostly take room for small products, under a lock of OpenBLAS.
SHARED = frozenset(("cholesky", "eig", "eigh", "svd"))


def is_shared(run: LibraryRun) -> bool:
    """Whether threads can share the matrices: each has room of its own."""
    batch = run.places[0].shape[0]
    return run.name in SHARED and batch > 1 and all(place.shape[0] == batch for place in run.places)


def would_wait(run: LibraryRun, is_divided: bool) -> bool:
    """Whether OpenBLAS is to use no threads of its own: where ours share the matrices, or its own gain nothing."""
    rows, columns = run.places[0].shape[1:]
    return rows * columns >= THREADED and (is_divided or min(rows, columns) < GAINS)


def constants(run: LibraryRun) -> list[int]:
    """The numbers and letters that the function is given the addresses of, each as 64 bits; one is a complex number."""
    if run.name == "permute":
        return []
    given = [0 if isinstance(x, Place) else x if isinstance(x, int) else ord(x[0]) for x in _arguments(run)]
    return [*bits_of(1, run.places[0].dtype), *given]


def library_arguments(run: LibraryRun, address: int) -> list[int]:
    """The arguments of `run_library` or `run_permute`.

    Args:
        address: that of the constants.
    """
    if run.name == "permute":
        pivots, order = run.places
        return [HEADER + pivots.slot, pivots.offset, HEADER + order.slot, order.offset, *order.shape, pivots.shape[1]]
    first = run.places[0]
    real, complex_, _ = ROUTINES[run.name]
    name = PREFIXES[first.dtype.char] + (complex_ if first.dtype.kind == "c" else real)
    function = blas(name) if run.name == "triangular_solve" else lapack(name)
    fails = run.name not in ALWAYS_SUCCEEDS
    found = [function, int(fails), HEADER + run.failed.slot, run.failed.offset]
    given = _arguments(run)
    for number, argument in enumerate(given):
        if isinstance(argument, Place):
            found += [HEADER + argument.slot, argument.offset, argument.strides[0]]
        elif argument == INFO:
            found += [-1, 0, 0]
        else:
            found += [0, address if argument == "one" else address + 8 * (2 + number), 0]
    # Fortran passes the lengths of letters after all else; more arguments than a function has do no harm.
    return found + [0, 1, 0] * (LIBRARY_ARGUMENTS - len(given))


def _arguments(run: LibraryRun) -> Sequence[Argument]:
    return ROUTINES[run.name][2](*run.places, **run.options)

