"""Eigenvalues and singular values, and pseudo-inverses.

Derivatives: M. Giles, "An extended collection of matrix derivative results for forward and reverse mode algorithmic
differentiation", 2008; M. Seeger et al., "Auto-differentiating linear algebra", arXiv:1710.08717; Z.-Q. Wan and
S.-X. Zhang, "Automatic differentiation for complex valued SVD", arXiv:1909.02659; G. Golub and V. Pereyra, "The
differentiation of pseudo-inverses and nonlinear least squares problems whose variables separate", 1973.

Where eigenvalues or singular values coincide their vectors are not functions of the matrix, but the space that they
span is. The vectors are then differentiated as a frame that moves with this space and does not turn within it
(T. Kato, "Perturbation theory for linear operators", chapter II): v^H a v stays block-diagonal, one block a value.
docs/semantics_linalg.md says which functions of the results have their right derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.avals import ZERO, ShapedArray, real_dtype
from ..core.devices import eye_like, here
from ..core.dtypes import finfo, result_type
from ..core.primitive import is_hole
from ..core.trace import Params, typeof
from .complex import imag, real
from .elementwise import (
    absolute,
    add,
    divide,
    equal,
    greater_equal,
    less_equal,
    logical_and,
    multiply,
    negative,
    subtract,
)
from .foundation import add_tangents, convert, reduce_sum
from .linalg import block_skew, half_lower, inverse
from .matrices import (
    MatrixPrimitive,
    check_matrix,
    check_square,
    column,
    conj,
    diagonal,
    matmul,
    mH,
    row,
)
from .reductions import reduce_max
from .selection import select
from .structural import slice_axis


class Spectral(MatrixPrimitive):
    """A decomposition whose values there are without its vectors too, by a parameter `vectors`.

    Attributes:
        values: their number among the results.
    """

    values = 0

    def without_results(self, params: Params, wanted: Sequence[bool]) -> Any:
        if not params["vectors"] or any(is_ for k, is_ in enumerate(wanted) if k != self.values):
            return None
        return {**params, "vectors": False}, [True], [k == self.values for k in range(len(wanted))]


class Eigh(Spectral):
    """Eigenvalues, ascending, and orthonormal eigenvectors of Hermitian matrices, of which one triangle is read.

    Without `vectors` the eigenvalues alone. The phase of a complex eigenvector is taken to turn as little as it can.
    """

    def abstract_eval(self, a: ShapedArray, *, lower: bool, vectors: bool) -> list[ShapedArray]:
        check_square(a, "A Hermitian matrix")
        w = ShapedArray(a.shape[:-1], real_dtype(a.dtype))
        return [w, a] if vectors else [w]

    def impl(self, a: Any, *, lower: bool, vectors: bool) -> list[Any]:
        function = np.linalg.eigh if vectors else np.linalg.eigvalsh
        result = function(a, "L" if lower else "U")
        return list(result) if vectors else [result]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, lower: bool, vectors: bool) -> tuple[Any, Any]:
        w, v = self.bind(*primals, lower=lower, vectors=True)
        a, da = (_mirrored(x, lower) for x in (primals[0], tangents[0]))
        v_h = mH(v)
        turned = matmul(v_h, matmul(da, v))
        dw = _real(diagonal(turned))
        if not vectors:
            return [w], [dw]
        blocks = diagonalized(w, v_h, a, v, hermitian=True)
        return [w, v], [dw, matmul(v, spectral_quotient(blocks, turned, limit(w), by="differences"))]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        return assembler.linear_algebra(block, self, sources, targets, params, lower=params["lower"])


def _mirrored(a: Any, lower: bool) -> Any:
    """The Hermitian matrix that one triangle stands for."""
    half = half_lower(a if lower else mH(a))
    return add(half, mH(half))


class Eig(Spectral):
    """Eigenvalues and eigenvectors of any square matrices, complex; without `vectors` the eigenvalues alone.

    Eigenvectors have length one and, as LAPACK gives them, a largest component that is real. Defective matrices have
    no derivative.
    """

    def abstract_eval(self, a: ShapedArray, *, vectors: bool) -> list[ShapedArray]:
        check_square(a, "A square matrix")
        dtype = result_type(a.dtype, np.complex64)
        w = ShapedArray(a.shape[:-1], dtype)
        return [w, ShapedArray(a.shape, dtype)] if vectors else [w]

    def impl(self, a: Any, *, vectors: bool) -> list[Any]:
        dtype = result_type(a.dtype, np.complex64)
        results = np.linalg.eig(a) if vectors else [np.linalg.eigvals(a)]
        return [x.astype(dtype, copy=False) for x in results]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, vectors: bool) -> tuple[Any, Any]:
        w, v = self.bind(*primals, vectors=True)
        a, da = (convert(x, dtype=typeof(v).dtype) for x in (primals[0], tangents[0]))
        left = inverse(v)
        turned = matmul(left, matmul(da, v))
        dw = diagonal(turned)
        if not vectors:
            return [w], [dw]
        blocks = diagonalized(w, left, a, v, hermitian=False)
        dv = matmul(v, spectral_quotient(blocks, turned, limit(w), by="differences"))
        length = _sum_columns(_real(multiply(conj(v), dv)))
        # The component that LAPACK made real stays real: its share of dv that is imaginary is turned away.
        reference = _real_reference(v)
        phase = divide(imag(_sum_columns(multiply(reference, dv))), real(_sum_columns(multiply(reference, v))))
        return [w, v], [dw, subtract(dv, multiply(v, row(add(length, multiply(1j, phase)))))]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        return assembler.linear_algebra(block, self, sources, targets, params)


def _real_reference(v: Any) -> Any:
    """One at the largest real component of each column of v, and zero elsewhere."""
    size = select(equal(imag(v), 0), absolute(v), -1.0)
    if not typeof(v).shape[-1]:
        return size
    largest = greater_equal(size, row(reduce_max(size, axes=(typeof(v).ndim - 2,))))
    # Among equally large components the first counts.
    n = typeof(v).shape[-2]
    order = here(np.arange(n, 0, -1, dtype=typeof(size).dtype)[:, None])
    rank = select(largest, order, 0.0)
    first = greater_equal(rank, row(reduce_max(rank, axes=(typeof(v).ndim - 2,))))
    return convert(logical_and(largest, first), dtype=typeof(size).dtype)


def _sum_columns(x: Any) -> Any:
    return reduce_sum(x, axes=(typeof(x).ndim - 2,))


class SVD(Spectral):
    """a = u diag(s) v^H: u, s (descending) and v^H; s alone without `vectors`.

    u has min(m, n) columns and v^H as many rows; with `full_matrices` both are square, and what is beyond
    min(m, n) is determined up to a rotation among itself only.
    """

    values = 1

    def abstract_eval(self, a: ShapedArray, *, full_matrices: bool, vectors: bool) -> list[ShapedArray]:
        check_matrix(a, "A matrix")
        *lanes, m, n = a.shape
        k = min(m, n)
        s = ShapedArray((*lanes, k), real_dtype(a.dtype))
        if not vectors:
            return [s]
        rows, columns = (m, n) if full_matrices else (k, k)
        return [ShapedArray((*lanes, m, rows), a.dtype), s, ShapedArray((*lanes, columns, n), a.dtype)]

    def impl(self, a: Any, *, full_matrices: bool, vectors: bool) -> list[Any]:
        result = np.linalg.svd(a, full_matrices, vectors)
        return list(result) if vectors else [result]

    def jvp(
        self, primals: Sequence[Any], tangents: Sequence[Any], *, full_matrices: bool, vectors: bool
    ) -> tuple[Any, Any]:
        """du = u (e + o) and dv = v (e - o), with e and o skew-Hermitian, keep u^H a v Hermitian and block-diagonal.

        Its derivative is M + [s, e] - {s, o} with M = u^H da v, so that {s, o} is the skew part of M and [e, s] the
        Hermitian part outside of the blocks: equal singular values make only e indefinite, pairs of zeros only o.
        """
        a, da = primals[0], tangents[0]
        u, s, v_h = self.bind(a, full_matrices=full_matrices and vectors, vectors=True)
        k = typeof(s).shape[-1]
        v, u_h = mH(v_h), mH(u)
        v_first, u_first_h = slice_axis(v, 0, k, axis=-1), slice_axis(u_h, 0, k, axis=-2)
        da_v = matmul(da, v_first)
        u_da_v = matmul(u_h, da_v)
        core = slice_axis(u_da_v, 0, k, axis=-2)
        ds = _real(diagonal(core))
        if not vectors:
            return [s], [ds]
        blocks = diagonalized(s, u_first_h, a, v_first, hermitian=True)
        core_h = mH(core)
        least = limit(s)
        e = spectral_quotient(blocks, multiply(0.5, add(core, core_h)), least, by="differences")
        o = spectral_quotient(blocks, multiply(0.5, subtract(core, core_h)), least, by="sums")
        da_u = matmul(mH(da), mH(u_first_h))
        du = self._turned(u, add(e, o), da_v, u_da_v, blocks, least)
        dv = self._turned(v, subtract(e, o), da_u, matmul(v_h, da_u), blocks, least)
        return [u, s, v_h], [du, ds, mH(dv)]

    def _turned(self, u: Any, rotation: Any, image: Any, turned: Any, blocks: Any, least: Any) -> Any:
        """u times its rotation, with what leaves the span of its first k columns: (1 - u u^H) image / s."""
        rows, columns = typeof(u).shape[-2:]
        k = typeof(rotation).shape[-1]
        if columns > k:
            below = spectral_quotient(blocks, slice_axis(turned, k, columns, axis=-2), least, by="columns")
            return matmul(u, block_skew(rotation, below))
        du = matmul(u, rotation)
        if rows == k:
            return du
        return add(du, spectral_quotient(blocks, subtract(image, matmul(u, turned)), least, by="columns"))

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        return assembler.linear_algebra(block, self, sources, targets, params)


class Diagonalized(MatrixPrimitive):
    """left a right, which is diagonal in value, with w on the diagonal.

    Its derivative is block-diagonal: left and right turn with a such that the elements between different w stay zero,
    while nothing is to be done about those between equal ones. It comes from a alone. `hermitian` frames turn against
    each other, so that the result stays Hermitian.
    """

    def abstract_eval(
        self, w: ShapedArray, left: ShapedArray, a: ShapedArray, right: ShapedArray, *, hermitian: bool
    ) -> list[ShapedArray]:
        return [ShapedArray((*w.shape, w.shape[-1]), a.dtype)]

    def impl(self, w: Any, left: Any, a: Any, right: Any, *, hermitian: bool) -> list[Any]:
        return [eye_like(w, w.shape[-1], a.dtype) * w[..., None, :]]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, hermitian: bool) -> tuple[Any, Any]:
        (w, left, _, right), (_, _, da, _) = primals, tangents
        h = self(*primals, hermitian=hermitian)
        if da is ZERO:
            return [h], [ZERO]
        within = less_equal(absolute(subtract(row(w), column(w))), row(resolution(w)))
        dh = matmul(left, matmul(da, right))
        dh = multiply(0.5, add(dh, mH(dh))) if hermitian else dh
        return [h], [select(within, dh, typeof(dh).dtype.type(0))]

    def lower(self, result: Any, w: Any, *others: Any, hermitian: bool) -> Any:
        def element(index: Any) -> Any:
            *lanes, i, j = index
            is_here = result.choose(result.is_at_most(i, j), result.constant(1), result.constant(0))
            one = result.choose(result.is_at_most(j, i), is_here, result.constant(0))
            return result.apply("multiply", one, w.at((*lanes, j)))

        return element


class SpectralQuotient(MatrixPrimitive):
    """The solution x of x h - h x = m (`by` "differences"), x h + h x = m ("sums") or x h = m ("columns").

    h is diagonal in value, but need not stay so. Elements of m that belong to a divisor of at most `limit` are masked:
    as if they, and those of x, were zero. The limit, one number for each matrix, has no derivative.
    """

    def abstract_eval(self, h: ShapedArray, m: ShapedArray, limit: ShapedArray, *, by: str) -> list[ShapedArray]:
        check_square(h, "A square matrix")
        return [m]

    def impl(self, h: Any, m: Any, limit: Any, *, by: str) -> list[Any]:
        w = np.diagonal(h, axis1=-2, axis2=-1)
        across, down = w[..., None, :], w[..., :, None]
        divisor = across - down if by == "differences" else across + down if by == "sums" else across
        negligible = np.abs(divisor) <= limit
        zero, one = m.dtype.type(0), m.dtype.type(1)
        return [np.where(negligible, zero, m / np.where(negligible, one, divisor))]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, by: str) -> tuple[Any, Any]:
        (h, m, limit), (dh, rhs, _) = primals, tangents
        x = self(h, m, limit, by=by)
        if dh is not ZERO:
            product = matmul(x, dh)
            if by == "differences":
                product = subtract(product, matmul(dh, x))
            elif by == "sums":
                product = add(product, matmul(dh, x))
            rhs = add_tangents(rhs, negative(product))
        return [x], [ZERO if rhs is ZERO else self(h, rhs, limit, by=by)]

    def transpose(self, cotangents: Sequence[Any], h: Any, m: Any, limit: Any, *, by: str) -> list[Any]:
        if is_hole(h):
            return super().transpose(cotangents, h, m, limit, by=by)
        return [None, self(h, cotangents[0], limit, by=by), None]

    def element(self, result: Any, h: Any, m: Any, limit: Any, *, by: str) -> Any:
        """The rule for an element. It is a quotient, which products of matrices read several times: it is stored."""
        dtype = h.aval.dtype
        size = result.of(real_dtype(dtype))

        def element(index: Any) -> Any:
            *lanes, i, j = index
            divisor = h.at((*lanes, j, j))
            if by != "columns":
                divisor = result.apply("subtract" if by == "differences" else "add", divisor, h.at((*lanes, i, i)))
            bounds = size.apply("absolute", divisor, computes_in=dtype), limit.at((*lanes, *[result.fixed(0)] * 2))
            negligible = result.of(np.dtype(bool)).apply("less_equal", *bounds, computes_in=size.aval.dtype)
            quotient = result.apply("divide", m.at(index), result.choose(negligible, result.constant(1), divisor))
            return result.choose(negligible, result.constant(0), quotient)

        return element

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        return assembler.element_by_element(block, self.element, sources, targets[0], params)


class Pinv(MatrixPrimitive):
    """Pseudo-inverses; singular values up to `rcond` times the largest count as zero, and stay zero.

    `rcond` is a real number for each matrix, and has no derivative.
    """

    def abstract_eval(self, a: ShapedArray, rcond: ShapedArray) -> list[ShapedArray]:
        check_matrix(a, "A matrix")
        *lanes, m, n = a.shape
        return [ShapedArray((*lanes, n, m), a.dtype)]

    def impl(self, a: Any, rcond: Any) -> list[Any]:
        return [np.linalg.pinv(a, rcond)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        a, da = primals[0], tangents[0]
        p = self(*primals)
        if da is ZERO:
            return [p], [ZERO]
        p_h, da_h = mH(p), mH(da)
        inner = _product(p, da, p)
        # The two terms that vanish for invertible matrices: what leaves the row space and the column space.
        rows = _product(p, p_h, da_h)
        rows = subtract(rows, _product(rows, a, p))
        columns = _product(da_h, p_h, p)
        columns = subtract(columns, _product(p, a, columns))
        return [p], [subtract(add(rows, columns), inner)]

    def assemble(
        self, assembler: Any, block: list[Any], sources: Sequence[Any], targets: Sequence[Any], params: Params
    ) -> bool:
        return assembler.linear_algebra(block, self, sources, targets, params)


def _product(x: Any, y: Any, z: Any) -> Any:
    """The product of three matrices, x and z of one shape and y of the transposed one, by the smaller square matrix."""
    rows, columns = typeof(x).shape[-2:]
    return matmul(matmul(x, y), z) if rows <= columns else matmul(x, matmul(y, z))


def _real(x: Any) -> Any:
    """The real part, which of a real array is itself."""
    return real(x) if typeof(x).dtype.kind == "c" else x


def resolution(w: Any) -> Any:
    """The difference below which eigenvalues or singular values cannot be told apart; the last axis has extent one."""
    aval = typeof(w)
    return column(multiply(resolution_factor(aval.dtype), reduce_sum(absolute(w), axes=(aval.ndim - 1,))))


def limit(w: Any) -> Any:
    """The same, a matrix of one element for each."""
    return row(resolution(w))


def resolution_factor(dtype: np.dtype[Any]) -> float:
    """What the sum of all absolute eigenvalues is multiplied with for that."""
    return 8 * float(finfo(dtype).eps)


eigh = Eigh("eigh")
eig = Eig("eig")
svd = SVD("svd")
diagonalized = Diagonalized("diagonalized")
spectral_quotient = SpectralQuotient("spectral_quotient")
pinv = Pinv("pinv")
