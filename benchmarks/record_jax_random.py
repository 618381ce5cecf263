"""Record what JAX draws: `python benchmarks/record_jax_random.py > tests/data/jax_random.json`.

tests/test_random.py compares with it and needs no JAX. Primitive by primitive (`jax.disable_jit`) every result is
correctly rounded; compiled for a CPU, XLA fuses the multiply and add of `uniform` for ranges whose width is not a power
of two, which `... record_jax_random.py compiled` shows.
"""

import json
import sys

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

FLOATS = ["float64", "float32", "float16", "bfloat16"]
LOGITS = [[0.0, 1.0, -1.0, 0.5], [2.0, 0.0, 0.0, -3.0]]
COVARIANCE = [[2.0, 0.5, 0.0], [0.5, 1.0, -0.2], [0.0, -0.2, 0.7]]
ARRAY = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]

#: function, seed, keyword arguments; lists become arrays unless they are shapes.
CALLS = [
    *[("key", seed, {}) for seed in (0, 42, 2**32 + 5, -1, 2**63 - 1, -(2**63))],
    *[("split", 42, {"num": num}) for num in (1, 2, 5, 20, [2, 3])],
    *[("fold_in", 42, {"data": data}) for data in (0, 1, 12345, 2**32 - 1)],
    *[("bits", 7, {"shape": [5], "dtype": f"uint{n}"}) for n in (8, 16, 32, 64)],
    *[("bits", 7, {"shape": shape}) for shape in ([], [2, 3], [20], [0])],
    *[("uniform", 1, {"shape": shape}) for shape in ([], [2, 3], [20])],
    *[("uniform", 2, {"shape": [5], "dtype": dtype}) for dtype in FLOATS],
    *[("uniform", 2, {"shape": [5], "dtype": dtype, "minval": -3.25, "maxval": 7.9}) for dtype in FLOATS],
    ("uniform", 3, {"shape": [2, 3], "minval": [-1.0, 0.0, 1.0], "maxval": [[2.0], [3.0]]}),
    *[("normal", 4, {"shape": [8], "dtype": dtype}) for dtype in [*FLOATS, "complex128", "complex64"]],
    *[("normal", 5, {"shape": shape}) for shape in ([], [2, 3], [20])],
    *[
        ("randint", 6, {"shape": [6], "minval": low, "maxval": high})
        for low, high in ((0, 10), (-5, 6), (0, 64), (0, 10**6), (3, 2**40), (-(2**63), 2**63 - 1), (0, 2**32), (7, 8))
    ],
    *[("randint", 6, {"shape": [6], "minval": 3, "maxval": 100, "dtype": f"int{n}"}) for n in (8, 16, 32, 64)],
    *[("randint", 6, {"shape": [6], "minval": 3, "maxval": 100, "dtype": f"uint{n}"}) for n in (8, 16, 32, 64)],
    *[("randint", 6, {"shape": [6], "minval": -128, "maxval": 128, "dtype": "int8"})],
    *[("randint", 6, {"shape": [6], "minval": -(2**31), "maxval": 2**31, "dtype": "int32"})],
    ("randint", 8, {"shape": [2, 3], "minval": [-10, 0, 10], "maxval": [[20], [1000]]}),
    *[("permutation", 9, {"x": n}) for n in (0, 1, 10, 40)],
    ("permutation", 9, {"x": 2000, "take": 20}),
    ("permutation", 9, {"x": ARRAY}),
    ("permutation", 9, {"x": ARRAY, "axis": 1}),
    ("permutation", 9, {"x": ARRAY, "axis": 1, "independent": True}),
    ("choice", 10, {"a": 10, "shape": [6]}),
    ("choice", 10, {"a": 10, "shape": [6], "replace": False}),
    ("choice", 10, {"a": 4, "shape": [6], "p": [0.1, 0.2, 0.3, 0.4]}),
    ("choice", 10, {"a": 4, "shape": [3], "replace": False, "p": [0.1, 0.2, 0.3, 0.4]}),
    ("choice", 10, {"a": ARRAY, "shape": [2, 2], "axis": 1}),
    ("bernoulli", 11, {"shape": [10]}),
    ("bernoulli", 11, {"p": [0.1, 0.5, 0.9], "shape": [2, 3]}),
    ("rademacher", 12, {"shape": [10]}),
    ("categorical", 13, {"logits": LOGITS}),
    ("categorical", 13, {"logits": LOGITS, "axis": 0, "shape": [3, 4]}),
    ("categorical", 13, {"logits": LOGITS, "shape": [3, 2], "replace": False}),
    *[
        (name, 14, {"shape": [5], "dtype": dtype})
        for name in ("exponential", "gumbel", "laplace", "logistic", "cauchy")
        for dtype in ("float64", "float32")
    ],
    ("truncated_normal", 15, {"lower": -1.0, "upper": 2.0, "shape": [5]}),
    ("truncated_normal", 15, {"lower": [-1.0, 0.0, 1.0], "upper": 2.5}),
    ("gamma", 16, {"a": [0.01, 0.3, 1.0, 2.5, 100.0], "shape": [4, 5]}),
    ("gamma", 16, {"a": 2.5, "dtype": "float32", "shape": [4]}),
    ("loggamma", 17, {"a": [0.001, 0.3, 1.0, 2.5, 100.0], "shape": [4, 5]}),
    ("beta", 18, {"a": [0.2, 2.0], "b": 3.0, "shape": [3, 2]}),
    ("dirichlet", 19, {"alpha": [0.5, 1.0, 3.0], "shape": [2]}),
    ("lognormal", 21, {"sigma": [0.5, 2.0], "shape": [3, 2]}),
    ("rayleigh", 22, {"scale": [0.5, 2.0], "shape": [3, 2]}),
    ("pareto", 23, {"b": [0.5, 2.0], "shape": [3, 2]}),
    ("weibull_min", 24, {"scale": 1.5, "concentration": 2.5, "shape": [4]}),
    ("maxwell", 25, {"shape": [3, 2]}),
    ("double_sided_maxwell", 26, {"loc": [0.5, 1.0], "scale": 2.0, "shape": [3]}),
    ("chisquare", 27, {"df": [0.5, 5.0], "shape": [3, 2]}),
    ("f", 28, {"dfnum": 5.0, "dfden": 3.0, "shape": [5]}),
    ("t", 29, {"df": [0.5, 5.0], "shape": [3, 2]}),
    ("generalized_normal", 30, {"p": 1.5, "shape": [5]}),
    ("ball", 31, {"d": 3, "p": 1.5, "shape": [2]}),
    ("triangular", 32, {"left": -1.0, "mode": [0.0, 1.5], "right": 2.0, "shape": [3, 2]}),
    ("wald", 33, {"mean": [0.5, 3.0], "shape": [3, 2]}),
    ("orthogonal", 34, {"n": 3, "shape": [2]}),
    ("orthogonal", 34, {"n": 2, "m": 3}),
    ("poisson", 35, {"lam": [0.0, 0.3, 4.0, 9.9, 10.0, 50.0, 1e6], "shape": [5, 7]}),
    ("binomial", 36, {"n": [0.0, 5.0, 30.0, 100.0, 1000.0], "p": 0.3, "shape": [5, 5]}),
    ("binomial", 36, {"n": 40.0, "p": [0.0, 0.1, 0.5, 0.9, 1.0], "shape": [5, 5]}),
    ("geometric", 37, {"p": [0.05, 0.5, 1.0], "shape": [5, 3]}),
    ("multinomial", 38, {"n": [20.0, 100.0], "p": [[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]]}),
    ("multivariate_normal", 20, {"mean": [0.0, 1.0, 2.0], "cov": COVARIANCE, "shape": [2]}),
]


def record(name: str, seed: int, arguments: dict) -> dict:
    arguments = dict(arguments)
    case = {"function": name, "seed": seed, "arguments": dict(arguments)}
    take = arguments.pop("take", None)
    for argument, value in arguments.items():
        if isinstance(value, list):
            arguments[argument] = tuple(value) if argument in ("shape", "num") else np.array(value)
    key = () if name == "key" else (jax.random.PRNGKey(seed),)
    values = np.asarray(jax.random.PRNGKey(seed) if name == "key" else getattr(jax.random, name)(*key, **arguments))
    values = values.astype(int) if name == "categorical" else values  # without replacement JAX has int32
    shown = values[:take] if take else values
    parts = [shown.real.tolist(), shown.imag.tolist()] if values.dtype.kind == "c" else shown.tolist()
    return case | {"dtype": values.dtype.name, "shape": values.shape, "values": parts}


if __name__ == "__main__":
    with jax.disable_jit("compiled" not in sys.argv):
        cases = [json.dumps(record(*call)) for call in CALLS]
    print(f'{{"jax": "{jax.__version__}", "cases": [\n' + ",\n".join(cases) + "\n]}")
