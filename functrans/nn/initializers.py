"""Where the weights of networks begin: functions that make initializers, and each is called `(key, shape, dtype)`.

    >>> from functrans import random
    >>> from functrans.nn import initializers
    >>> initializers.he_normal()(random.key(0), (784, 100)).std().round(3)    # about sqrt(2 / 784)
    np.float64(0.05)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod, sqrt
from typing import Any, Final

import numpy as np

from .. import random
from ..errors import InvalidShapeError, UnsupportedArgumentError
from ..numpy import creation

Initializer = Callable[..., Any]

#: The standard deviation of a standard normal number on condition that it lies in (-2, 2).
_TRUNCATED_DEVIATION: Final = 0.8796256610342398


def zeros(key: Any, shape: Sequence[int], dtype: Any = float) -> Any:
    """Zeros; the key is not used.

    Example:
        >>> from functrans import random
        >>> from functrans.nn import initializers
        >>> initializers.zeros(random.key(0), (2,))
        array([0., 0.])
    """
    return creation.zeros(shape, dtype)


def ones(key: Any, shape: Sequence[int], dtype: Any = float) -> Any:
    """Ones; the key is not used."""
    return creation.ones(shape, dtype)


def constant(value: Any, dtype: Any = float) -> Initializer:
    """One value everywhere.

    Example:
        >>> from functrans import random
        >>> from functrans.nn import initializers
        >>> initializers.constant(0.5)(random.key(0), (2,))
        array([0.5, 0.5])
    """

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        return creation.full(shape, value, dtype)

    return init


def uniform(scale: Any = 1e-2, dtype: Any = float) -> Initializer:
    """Uniform numbers of [0, scale).

    Example:
        >>> from functrans import random
        >>> from functrans.nn import initializers
        >>> initializers.uniform(0.1)(random.key(0), (1000,)).max().round(2)
        np.float64(0.1)
    """

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        return _scaled(random.uniform(key, shape, dtype), scale)

    return init


def normal(stddev: Any = 1e-2, dtype: Any = float) -> Initializer:
    """Normal numbers of a standard deviation.

    Example:
        >>> from functrans import random
        >>> from functrans.nn import initializers
        >>> initializers.normal(0.1)(random.key(0), (1000,)).std().round(2)
        np.float64(0.1)
    """

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        return _scaled(random.normal(key, shape, dtype), stddev)

    return init


def truncated_normal(stddev: Any = 1e-2, dtype: Any = float, lower: Any = -2.0, upper: Any = 2.0) -> Initializer:
    """stddev times standard normal numbers on condition that these lie in (lower, upper).

    Example:
        >>> from functrans import random
        >>> from functrans.nn import initializers
        >>> bool(abs(initializers.truncated_normal(0.1)(random.key(0), (1000,))).max() < 0.2)
        True
    """

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        return _scaled(random.truncated_normal(key, lower, upper, shape, dtype), stddev)

    return init


def variance_scaling(
    scale: float,
    mode: str,
    distribution: str,
    in_axis: int | Sequence[int] = -2,
    out_axis: int | Sequence[int] = -1,
    batch_axis: int | Sequence[int] = (),
    dtype: Any = float,
) -> Initializer:
    """Numbers of mean zero and variance scale / n, n being the number of inputs or outputs of a unit.

    Args:
        mode: n: "fan_in", "fan_out", "fan_avg" (their mean) or "fan_geo_avg" (their geometric mean).
        distribution: "truncated_normal" (within two standard deviations before it is scaled), "normal" or "uniform".
        in_axis, out_axis, batch_axis: the axes of inputs, of outputs, and those to ignore; the others, such as those
            of a window, count for both.

    Raises:
        UnsupportedArgumentError: another mode or distribution.

    Example:
        >>> from functrans import random
        >>> from functrans.nn import initializers
        >>> init = initializers.variance_scaling(1.0, "fan_in", "uniform")
        >>> bool(abs(init(random.key(0), (4, 3))).max() < (3 / 4) ** 0.5)
        True
    """
    if mode not in _FANS or distribution not in ("truncated_normal", "normal", "uniform"):
        raise UnsupportedArgumentError(
            f"variance_scaling was called with mode={mode!r} and distribution={distribution!r}.",
            f"The modes are {', '.join(_FANS)}, the distributions truncated_normal, normal and uniform.",
            "Choose of these.",
        )

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        fan = _FANS[mode](*_fans(shape, in_axis, out_axis, batch_axis))
        variance = scale / max(fan, 1e-300)
        if distribution == "uniform":
            return _scaled(random.uniform(key, shape, dtype, -1.0, 1.0), sqrt(3 * variance))
        if distribution == "normal":
            return _scaled(random.normal(key, shape, dtype), sqrt(variance))
        return _scaled(random.truncated_normal(key, -2.0, 2.0, shape, dtype), sqrt(variance) / _TRUNCATED_DEVIATION)

    return init


_FANS: Final[dict[str, Callable[[float, float], float]]] = {
    "fan_in": lambda inputs, outputs: inputs,
    "fan_out": lambda inputs, outputs: outputs,
    "fan_avg": lambda inputs, outputs: (inputs + outputs) / 2,
    "fan_geo_avg": lambda inputs, outputs: sqrt(inputs * outputs),
}


def _fans(
    shape: Sequence[int], in_axis: int | Sequence[int], out_axis: int | Sequence[int], batch_axis: int | Sequence[int]
) -> tuple[float, float]:
    """How many inputs and outputs a unit has."""
    if len(shape) < 2:
        raise InvalidShapeError(
            f"Weights of shape {tuple(shape)} were asked for.",
            "To know how many inputs there are, it has to have two axes at least.",
            "Use initializers.normal or initializers.uniform.",
        )

    def extent(axes: int | Sequence[int]) -> int:
        return prod(shape[axis] for axis in ((axes,) if isinstance(axes, int) else axes))

    inputs, outputs = extent(in_axis), extent(out_axis)
    window = prod(shape) / max(inputs * outputs * extent(batch_axis), 1)
    return inputs * window, outputs * window


def _scaled(x: Any, scale: Any) -> Any:
    return x * np.asarray(scale, x.dtype) if isinstance(scale, float | int) else x * scale


def orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = float) -> Initializer:
    """scale times orthonormal columns (or rows, where there are more of these), along the column axis.

    Example:
        >>> import numpy as np
        >>> from functrans import random
        >>> from functrans.nn import initializers
        >>> q = initializers.orthogonal()(random.key(0), (3, 3))
        >>> bool(np.allclose(q.T @ q, np.eye(3)))
        True
    """

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        rows = shape[column_axis]
        q = random.orthogonal(key, rows, (), dtype, m=prod(shape) // max(rows, 1))
        others = tuple(np.delete(shape, column_axis).tolist())
        return _scaled(np.moveaxis(np.reshape(q, (rows, *others)), 0, column_axis), scale)

    return init


def delta_orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = float) -> Initializer:
    """For convolutions: an orthogonal matrix in the middle of the window, and zeros elsewhere.

    L. Xiao et al., "Dynamical isometry and a mean field theory of CNNs", ICML 2018. Shapes are (*window, inputs,
    outputs), with no more inputs than outputs.
    """

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        *window, inputs, outputs = shape
        if not window or inputs > outputs:
            raise InvalidShapeError(
                f"delta_orthogonal was asked for weights of shape {tuple(shape)}.",
                "The last two axes are inputs and outputs, with no more inputs than outputs, after those of a window.",
                "Use initializers.orthogonal.",
            )
        q = orthogonal(scale, column_axis, dtype)(key, (inputs, outputs), dtype)
        pads = [((extent - 1) // 2, extent - 1 - (extent - 1) // 2) for extent in window]
        return np.pad(np.reshape(q, (*(1 for _ in window), inputs, outputs)), [*pads, (0, 0), (0, 0)])

    return init


def _named(scale: float, mode: str, distribution: str, name: str, text: str) -> Callable[..., Initializer]:
    def make(
        in_axis: int | Sequence[int] = -2,
        out_axis: int | Sequence[int] = -1,
        batch_axis: int | Sequence[int] = (),
        dtype: Any = float,
    ) -> Initializer:
        return variance_scaling(scale, mode, distribution, in_axis, out_axis, batch_axis, dtype)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"{text}: variance_scaling({scale}, {mode!r}, {distribution!r})."
    return make


_GLOROT = "X. Glorot and Y. Bengio, 2010"
_HE = "K. He et al., 2015"
_LECUN = "Y. LeCun et al., 1998"
glorot_uniform = xavier_uniform = _named(1.0, "fan_avg", "uniform", "glorot_uniform", _GLOROT)
glorot_normal = xavier_normal = _named(1.0, "fan_avg", "truncated_normal", "glorot_normal", _GLOROT)
lecun_uniform = _named(1.0, "fan_in", "uniform", "lecun_uniform", _LECUN)
lecun_normal = _named(1.0, "fan_in", "truncated_normal", "lecun_normal", _LECUN)
he_uniform = kaiming_uniform = _named(2.0, "fan_in", "uniform", "he_uniform", _HE)
he_normal = kaiming_normal = _named(2.0, "fan_in", "truncated_normal", "he_normal", _HE)

__all__ = [
    "Initializer", "constant", "delta_orthogonal", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform",
    "kaiming_normal", "kaiming_uniform", "lecun_normal", "lecun_uniform", "normal", "ones", "orthogonal",
    "truncated_normal", "uniform", "variance_scaling", "xavier_normal", "xavier_uniform", "zeros",
]  # fmt: skip
