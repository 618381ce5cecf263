"""Functions from R^n to R^n with exact derivatives: sums of monomials times sines and exponentials of linear forms.

They are closed under all that a transformation does to them, so that any composition has an exact answer to compare
with, computed without a transformation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Term(NamedTuple):
    """x**powers * exp(growth . x) * cos(wave . x + phase * pi / 2); all but the phase have one entry per variable."""

    powers: tuple[int, ...]
    growth: tuple[float, ...]
    wave: tuple[float, ...]
    phase: int

    def __call__(self, x: np.ndarray) -> float:
        angle = float(np.dot(self.wave, x)) + self.phase * np.pi / 2
        return float(np.prod(x ** np.array(self.powers)) * np.exp(np.dot(self.growth, x)) * np.cos(angle))


def term(
    powers: Sequence[int] = (0, 0, 0),
    growth: Sequence[float] = (0.0, 0.0, 0.0),
    wave: Sequence[float] = (0.0, 0.0, 0.0),
    phase: int = 0,
) -> Term:
    """A term in three variables; by default the constant one."""
    return Term(tuple(powers), tuple(growth), tuple(wave), phase)


Sum = dict[Term, float]


class ClosedForm(NamedTuple):
    """A vector of sums of terms."""

    components: tuple[Sum, ...]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.array([sum((c * t(x) for t, c in component.items()), 0.0) for component in self.components])

    def jvp(self, v: np.ndarray) -> ClosedForm:
        """x -> J(x) v"""
        n = len(self.components)
        return ClosedForm(tuple(_combine((v[j], derivative(f, j)) for j in range(n)) for f in self.components))

    def vjp(self, w: np.ndarray) -> ClosedForm:
        """x -> w J(x)"""
        n = len(self.components)
        return ClosedForm(
            tuple(_combine((w[i], derivative(f, j)) for i, f in enumerate(self.components)) for j in range(n))
        )

    def vmap(self, scales: Sequence[float], weights: Sequence[float]) -> ClosedForm:
        """x -> sum_k weights[k] * f(scales[k] * x)"""
        return ClosedForm(
            tuple(_combine((d, _scaled(f, c)) for c, d in zip(scales, weights)) for f in self.components)
        )


def derivative(f: Sum, j: int) -> Sum:
    """The partial derivative of a sum by variable j."""
    result: Sum = defaultdict(float)
    for t, c in f.items():
        if t.powers[j]:
            lower = (*t.powers[:j], t.powers[j] - 1, *t.powers[j + 1 :])
            result[t._replace(powers=lower)] += c * t.powers[j]
        if t.growth[j]:
            result[t] += c * t.growth[j]
        if t.wave[j]:
            result[t._replace(phase=(t.phase + 1) % 4)] += c * t.wave[j]  # cos' is cos shifted by a quarter
    return result


def _scaled(f: Sum, factor: float) -> Sum:
    """x -> f(factor * x)"""
    result: Sum = defaultdict(float)
    for t, c in f.items():
        grown = tuple(factor * g for g in t.growth)
        waved = tuple(factor * a for a in t.wave)
        result[t._replace(growth=grown, wave=waved)] += c * factor ** sum(t.powers)
    return result


def _combine(weighted: object) -> Sum:
    result: Sum = defaultdict(float)
    for weight, f in weighted:  # type: ignore[attr-defined]
        for t, c in f.items():
            result[t] += weight * c
    return result
