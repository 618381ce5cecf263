"""What all distributions of one number share: parameters, locations and scales, and what lies outside the support."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NoReturn

import numpy as np

from ...core.avals import is_inexact
from ...core.trace import typeof
from ...errors import UnknownFunctionError
from ...numpy.common import as_operand, cast
from ...primitives.foundation import promoted
from ...primitives.selection import select

INFINITY: Final = float("inf")
MINUS_INFINITY: Final = -INFINITY


class Distribution:
    """A family of distributions with named shape parameters.

    Attributes:
        name: SciPy's name of the family.
        shapes: the names of the shape parameters, in order.
        defaults: the other parameters, with what they are if they are not given.
    """

    name: str
    shapes: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = MappingProxyType({})

    def __repr__(self) -> str:
        parameters = [*self.shapes, *(f"{name}={value}" for name, value in self.defaults.items())]
        return f"<distribution {self.name}({', '.join(parameters)})>"

    def is_valid(self, *shapes: Any) -> Any:
        """Where the shape parameters define a distribution: by default where they are positive."""
        return _all_of(np.greater(shape, 0) for shape in shapes)

    def bounds(self, *shapes: Any) -> tuple[Any, Any]:
        """The ends of the support."""
        return MINUS_INFINITY, INFINITY

    def operands(self, x: Any, args: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
        """What a function is asked about, and all parameters in order, in the dtype in which they meet.

        Raises:
            TypeError: some are missing, unknown, or given twice.
        """
        names = (*self.shapes, *self.defaults)
        given = dict(zip(names, args))
        if len(args) > len(names) or set(named) - set(names) or set(named) & set(given):
            raise TypeError(f"{self.name} takes the parameters {', '.join(names)}, each at most once")
        given = {**self.defaults, **given, **named}
        missing = [name for name in self.shapes if name not in given]
        if missing:
            raise TypeError(f"{self.name} needs the parameters {', '.join(missing)}")
        found = [as_operand(value) for value in (x, *(given[name] for name in names))]
        dtype = promoted(*map(typeof, found))
        return [cast(value, dtype if is_inexact(dtype) else np.float64) for value in found]

    def unknown(self, what: str) -> NoReturn:
        raise UnknownFunctionError(
            f"{what} of the distribution {self.name} was asked for.",
            "functrans has no formula for it.",
            "Wrap SciPy's with functrans.pure_callback.",
        )


class Continuous(Distribution):
    """A family of real numbers x = loc + scale * z.

    Subclasses write the logarithm of the density of z, and what they know of its distribution function; the arguments
    of all methods are those of SciPy's and JAX's: `logpdf(x, *shapes, loc=0, scale=1)`. Outside of the support the
    density is zero and has zero derivatives. Where a parameter is out of range everything is NaN.
    """

    defaults: Mapping[str, Any] = MappingProxyType({"loc": 0, "scale": 1})

    # ---- of the standard distribution

    def log_density(self, z: Any, *shapes: Any) -> Any:
        """The logarithm of the density, within the support."""
        raise NotImplementedError

    def below(self, z: Any, *shapes: Any) -> Any:
        """The probability of less than z."""
        self.unknown("The distribution function")

    def above(self, z: Any, *shapes: Any) -> Any:
        """The probability of more than z."""
        return 1 - self.below(z, *shapes)

    def log_below(self, z: Any, *shapes: Any) -> Any:
        """The logarithm of `below`."""
        return np.log(self.below(z, *shapes))

    def log_above(self, z: Any, *shapes: Any) -> Any:
        """The logarithm of `above`."""
        return np.log(self.above(z, *shapes))

    def quantile(self, q: Any, *shapes: Any) -> Any:
        """The z with the probability q of less."""
        self.unknown("The quantile function")

    def upper_quantile(self, q: Any, *shapes: Any) -> Any:
        """The z with the probability q of more."""
        return self.quantile(1 - q, *shapes)

    # ---- what users call

    @np.errstate(all="ignore")
    def logpdf(self, x: Any, *args: Any, **parameters: Any) -> Any:
        """The logarithm of the density at x."""
        z, shapes, scale = self._standardized(x, args, parameters)
        low, high = self.bounds(*shapes)
        is_outside = np.logical_or(_is_below(z, low), _is_above(z, high))
        return select(is_outside, MINUS_INFINITY, self.log_density(z, *shapes) - np.log(scale))

    @np.errstate(all="ignore")
    def pdf(self, x: Any, *args: Any, **parameters: Any) -> Any:
        """The density at x."""
        return np.exp(self.logpdf(x, *args, **parameters))

    @np.errstate(all="ignore")
    def cdf(self, x: Any, *args: Any, **parameters: Any) -> Any:
        """The probability of less than x."""
        z, shapes, _ = self._standardized(x, args, parameters)
        return self._within(z, shapes, self.below(z, *shapes), 0.0, 1.0)

    @np.errstate(all="ignore")
    def logcdf(self, x: Any, *args: Any, **parameters: Any) -> Any:
        """The logarithm of the probability of less than x."""
        z, shapes, _ = self._standardized(x, args, parameters)
        return self._within(z, shapes, self.log_below(z, *shapes), MINUS_INFINITY, 0.0)

    @np.errstate(all="ignore")
    def sf(self, x: Any, *args: Any, **parameters: Any) -> Any:
        """The probability of more than x."""
        z, shapes, _ = self._standardized(x, args, parameters)
        return self._within(z, shapes, self.above(z, *shapes), 1.0, 0.0)

    @np.errstate(all="ignore")
    def logsf(self, x: Any, *args: Any, **parameters: Any) -> Any:
        """The logarithm of the probability of more than x."""
        z, shapes, _ = self._standardized(x, args, parameters)
        return self._within(z, shapes, self.log_above(z, *shapes), 0.0, MINUS_INFINITY)

    @np.errstate(all="ignore")
    def ppf(self, q: Any, *args: Any, **parameters: Any) -> Any:
        """The x with the probability q of less than x."""
        return self._quantile(q, args, parameters, is_upper=False)

    @np.errstate(all="ignore")
    def isf(self, q: Any, *args: Any, **parameters: Any) -> Any:
        """The x with the probability q of more than x."""
        return self._quantile(q, args, parameters, is_upper=True)

    # ---- how

    def _standardized(self, x: Any, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, list[Any], Any]:
        """z, which is NaN where a parameter is out of range, the shape parameters, and the scale."""
        x, *shapes, loc, scale = self.operands(x, args, named)
        z = (x - loc) / scale
        return select(_all_of([np.greater(scale, 0), self.is_valid(*shapes)]), z, np.nan), shapes, scale

    def _within(self, z: Any, shapes: list[Any], value: Any, first: float, last: float) -> Any:
        """The value in the support, and the first and the last one beyond its ends."""
        low, high = self.bounds(*shapes)
        return select(_is_below(z, low), first, select(_is_above(z, high), last, value))

    def _quantile(self, q: Any, args: tuple[Any, ...], named: dict[str, Any], is_upper: bool) -> Any:
        q, *shapes, loc, scale = self.operands(q, args, named)
        low, high = self.bounds(*shapes)
        first, last = (high, low) if is_upper else (low, high)
        z = (self.upper_quantile if is_upper else self.quantile)(q, *shapes)
        z = select(np.equal(q, 0), first, select(np.equal(q, 1), last, z))
        is_valid = _all_of([np.greater(scale, 0), self.is_valid(*shapes), np.greater_equal(q, 0), np.less_equal(q, 1)])
        return loc + scale * select(is_valid, z, np.nan)


class Discrete(Distribution):
    """A family of whole numbers k, moved by loc.

    Subclasses write the logarithm of the probability of k, and what they know of the distribution function. Outside of
    the support, and between whole numbers, the probability is zero. Where a parameter is out of range all is NaN.
    """

    defaults: Mapping[str, Any] = MappingProxyType({"loc": 0})

    def log_mass(self, k: Any, *shapes: Any) -> Any:
        """The logarithm of the probability of k, within the support."""
        raise NotImplementedError

    def below(self, k: Any, *shapes: Any) -> Any:
        """The probability of k, or less, for a whole number k."""
        self.unknown("The distribution function")

    def above(self, k: Any, *shapes: Any) -> Any:
        """The probability of more than k, for a whole number k."""
        return 1 - self.below(k, *shapes)

    def bounds(self, *shapes: Any) -> tuple[Any, Any]:
        return 0, INFINITY

    @np.errstate(all="ignore")
    def logpmf(self, k: Any, *args: Any, **parameters: Any) -> Any:
        """The logarithm of the probability of k."""
        k, shapes = self._located(k, args, parameters)
        low, high = self.bounds(*shapes)
        is_outside = np.logical_or(_is_below(k, low), _is_above(k, high))
        is_between = np.logical_or(np.less(np.floor(k), k), is_outside)
        return select(is_between, MINUS_INFINITY, self.log_mass(k, *shapes))

    @np.errstate(all="ignore")
    def pmf(self, k: Any, *args: Any, **parameters: Any) -> Any:
        """The probability of k."""
        return np.exp(self.logpmf(k, *args, **parameters))

    @np.errstate(all="ignore")
    def cdf(self, k: Any, *args: Any, **parameters: Any) -> Any:
        """The probability of k, or less."""
        return self._cumulative(k, args, parameters, is_upper=False)

    @np.errstate(all="ignore")
    def sf(self, k: Any, *args: Any, **parameters: Any) -> Any:
        """The probability of more than k."""
        return self._cumulative(k, args, parameters, is_upper=True)

    @np.errstate(all="ignore")
    def logcdf(self, k: Any, *args: Any, **parameters: Any) -> Any:
        """The logarithm of the probability of k, or less."""
        return np.log(self.cdf(k, *args, **parameters))

    @np.errstate(all="ignore")
    def logsf(self, k: Any, *args: Any, **parameters: Any) -> Any:
        """The logarithm of the probability of more than k."""
        return np.log(self.sf(k, *args, **parameters))

    def _located(self, k: Any, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, list[Any]]:
        """k less loc, which is NaN where a parameter is out of range, and the shape parameters."""
        k, *shapes, loc = self.operands(k, args, named)
        return select(self.is_valid(*shapes), k - loc, np.nan), shapes

    def _cumulative(self, k: Any, args: tuple[Any, ...], named: dict[str, Any], is_upper: bool) -> Any:
        k, shapes = self._located(k, args, named)
        k = np.floor(k)
        low, high = self.bounds(*shapes)
        value = (self.above if is_upper else self.below)(k, *shapes)
        value = select(np.less(k, low), 1.0 if is_upper else 0.0, value)
        return select(np.greater_equal(k, high), 0.0 if is_upper else 1.0, value)


def _is_below(z: Any, low: Any) -> Any:
    """Whether z lies below the support, to which minus infinity never belongs."""
    return np.less_equal(z, low) if low is MINUS_INFINITY else np.less(z, low)


def _is_above(z: Any, high: Any) -> Any:
    """Whether z lies above the support, to which infinity never belongs."""
    return np.greater_equal(z, high) if high is INFINITY else np.greater(z, high)


def _all_of(conditions: Any) -> Any:
    found: Any = True
    for condition in conditions:
        found = condition if found is True else np.logical_and(found, condition)
    return found
