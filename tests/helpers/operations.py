"""Every scalar operation of kernels on operands of every dtype, and how it is held against NumPy."""

import numpy as np

from functrans.compiler.operations.complexes import COMPLEXES
from functrans.compiler.operations.integers import BOOLEANS, INTEGERS
from functrans.compiler.operations.reals import REALS
from functrans.compiler.operations.values import SPECIAL
from functrans.core.primitive import registry
from tests.helpers.native import supported, ulps

BOOL, HALF, SINGLE, DOUBLE = (np.dtype(t) for t in "?efd")
SIGNED, UNSIGNED, FLOATS, COMPLEX = ([np.dtype(c) for c in codes] for codes in ("bhiq", "BHIQ", "efd", "FD"))
DTYPES = {"b": [BOOL], "i": SIGNED, "u": UNSIGNED, "f": FLOATS, "c": COMPLEX}
TABLES = {"b": BOOLEANS, "i": INTEGERS, "u": INTEGERS, "f": REALS, "c": COMPLEXES}
KIND_NAMES = {"b": "bool", "i": "signed", "u": "unsigned", "f": "float", "c": "complex"}

#: Functions of which NumPy's values have errors of their own; test_vector_math.py says how accurate ours are.
INEXACT = {
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh",
    "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "cbrt", "erf", "erfc", "arctan2", "hypot", "power", "float_power",
    "erfinv", "expit", "log_expit", "logit", "entr", "xlogy", "xlog1py", "logaddexp", "logaddexp2", "ndtr", "sinc",
    *SPECIAL,
}  # fmt: skip
#: Of these SciPy's errors are larger.
BESSEL = {"i0", "i1", "i0e", "i1e"}
#: Which of two zeros they return depends on how NumPy was compiled, or on other elements.
ANY_ZERO = {"maximum", "minimum", "fmax", "fmin", "scale", "scale_both"}


class Case:
    """One operation on operands of some dtypes."""

    def __init__(self, name, dtypes, result):
        self.name, self.dtypes, self.result = name, dtypes, result

    def __repr__(self):
        return f"{self.name}({', '.join(map(str, self.dtypes))})"

    def expected(self, *operands):
        params = {"order": 0} if self.name == "sinc" else {}
        with np.errstate(all="ignore"):
            return registry[self.name].impl(*operands, **params)[0]


def cases(kind, name):
    """The dtypes for which NumPy and kernels have an operation as such."""
    for dtype in DTYPES[kind]:
        primitive = registry[name]
        if name in ("real", "imag", "scale", "scale_both", "sinc"):
            part = np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" and name in ("real", "imag") else dtype
            dtypes = (dtype,) * (2 if name.startswith("scale") else 1), part
        elif name == "ldexp":
            dtypes = (dtype, np.dtype(np.int64)), dtype
        else:
            try:
                ufunc = primitive.ufunc
                found = ufunc.resolve_dtypes((*(dtype,) * ufunc.nin, *(None,) * ufunc.nout))
            except TypeError:
                continue
            dtypes = found[: ufunc.nin], found[-1]
        if name == "ldexp" or set(dtypes[0]) == {dtype}:
            operands = [np.zeros(1, d) for d in dtypes[0]]
            if supported(name, operands, dtypes[1]) and not (name == "sinc" and dtype == HALF):
                yield Case(name, *dtypes)


#: All operations but those that only the compiler writes (test_native_convolutions.py has multiply_add).
ALL = {
    kind: {name: list(cases(kind, name)) for name in table if name in registry} for kind, table in TABLES.items()
}


def special_numbers(dtype):
    """What operations treat as special, and their neighbours."""
    if dtype == BOOL:
        return np.array([False, True])
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        low = [limits.min, limits.min + 1, -64, -8, -7, -3, -2, -1] if dtype.kind == "i" else []
        return np.array([*low, 0, 1, 2, 3, 5, 7, 8, 15, 16, 31, 32, 63, 64, limits.max - 1, limits.max], dtype)
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        numbers = [
            0, 0.25, 0.3, 0.5, 0.65, 1, 1.5, 2, 2.5, 3, 7, 10, 40, 88.5, 127.5, 600, 2049, limits.eps, 1 + limits.eps,
            1 - limits.epsneg, limits.max, limits.tiny, limits.tiny / 2, limits.smallest_subnormal, np.inf, np.nan,
        ]  # fmt: skip
        return np.array([*numbers, *(-x for x in numbers)], dtype)
    part = np.array([0, -0.0, 0.5, 1, -1, -3, 1e-3, 20, np.inf, -np.inf, np.nan], f"f{dtype.itemsize // 2}")
    re, im = np.meshgrid(part, part)
    return as_complex(re.ravel(), im.ravel())


def as_complex(re, im):
    z = np.empty(re.shape, np.result_type(re, np.complex64))
    z.real, z.imag = re, im
    return z


def random_numbers(dtype, count, seed):
    random = np.random.default_rng(seed)
    if dtype == BOOL:
        return random.random(count) < 0.5
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        wide = random.integers(limits.min, limits.max, count, dtype=dtype, endpoint=True)
        return np.where(random.random(count) < 0.5, wide, random.integers(0, 20, count).astype(dtype))
    if dtype.kind == "f":
        parts = [random.normal(size=count), 30 * random.normal(size=count), np.rint(10 * random.normal(size=count))]
        return random.choice(np.concatenate(parts), count).astype(dtype)
    part = np.dtype(f"f{dtype.itemsize // 2}")
    return as_complex(random_numbers(part, count, seed), random_numbers(part, count, seed + 1))


#: What SciPy sums up term by term, without a bound on how many, or by functions that call themselves.
SERIES = ("hyp1f1", "hyp2f1")


def operands_of(case):
    """All pairs of special numbers, and random ones: more than a vector, not a multiple of one."""
    if case.name == "ldexp":
        exponents = np.array([0, 1, -1, 10, -24, 130, -149, -1074, 1023, 1024, -1022, 2100, -2100, 2**40, -(2**40)])
        grid = np.meshgrid(special_numbers(case.dtypes[0]), exponents)
        return [a.ravel() for a in grid]
    if case.name in SERIES:
        return [np.clip(random_numbers(dtype, 333, seed), -20, 20) for seed, dtype in enumerate(case.dtypes)]
    special = np.meshgrid(*(special_numbers(dtype) for dtype in case.dtypes))
    return [
        np.concatenate([s.ravel(), random_numbers(dtype, 333, seed)])
        for seed, (s, dtype) in enumerate(zip(special, case.dtypes))
    ]


def difference(case, got, want, operands):
    if case.dtypes[0].kind == "c" and got.dtype.kind in "fc" and case.name not in ("real", "imag"):
        check_complex(case, got, want, operands)
    elif got.dtype.kind != "f":
        defined = operands[0] != 0 if case.name == "reciprocal" else slice(None)  # 1 / 0 is as the compiler pleases
        np.testing.assert_array_equal(got[defined], want[defined], repr(case))
    elif case.name in INEXACT:
        check_inexact(case, got, want, operands)
    else:
        np.testing.assert_array_equal(got, want, repr(case))
        if case.name not in ANY_ZERO:
            zero = want == 0
            np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(want[zero]), repr(case))


def check_inexact(case, got, want, operands):
    if case.name in ("ndtr", "erfc", "expit"):  # SciPy has no subnormal numbers, and large errors before them
        usual = ~(want < 1e-10)
        got, want, operands = got[usual], want[usual], [x[usual] for x in operands]
        tolerance = 200
    else:
        tolerance = 1 if got.dtype == HALF else 10 if case.name in BESSEL else 6
    error = ulps(got, want)
    if case.name.startswith("logaddexp"):  # it may be a small difference
        size = np.maximum(np.abs(operands[0]), np.abs(operands[1]))
        error = np.where(np.isfinite(size) & np.isfinite(want), error * np.minimum(1, np.abs(want) / size), error)
        error = np.nan_to_num(error, posinf=np.inf)
    bad = np.flatnonzero(~(error <= tolerance))
    assert not bad.size, (case, [x[bad[0]] for x in operands], got[bad[0]], want[bad[0]])


def check_complex(case, got, want, operands):
    """Infinite parts and NaN are the same; errors are small against the size of the result or its terms."""
    eps = np.finfo(got.dtype).eps
    size = np.abs(want)
    if case.name in ("multiply", "square", "scale", "scale_both"):
        size = np.abs(operands[0]) * np.abs(operands[-1])
    elif case.name == "power":  # NumPy rounds the logarithm, and so the exponent of the result
        size = size * (1 + np.abs(operands[1]) * (4 + np.abs(np.log(np.abs(operands[0])))))
    elif case.name in ("expm1", "log1p"):
        size = 1 + size + np.abs(operands[0])
    for g, w in ((got.real, want.real), (got.imag, want.imag)):
        same = (g == w) | (np.isnan(g) & np.isnan(w)) | (np.abs(g - w) <= 10 * eps * size)
        bad = np.flatnonzero(~same)
        assert not bad.size, (case, [x[bad[0]] for x in operands], got[bad[0]], want[bad[0]])
