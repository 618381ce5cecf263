"""functrans.numpy.vectorize against numpy.vectorize, and what it can do beyond: derivatives and lanes."""

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.errors import ShapeMismatchError
from tests.helpers.agreement import check_agreement
from tests.helpers.oracles import assert_all_close

X = np.array([1.0, 2.0, 3.0])
A = np.arange(12.0).reshape(3, 4)

# A function, the options of vectorize, and operands.
CASES = {
    "broadcast": (lambda a, b: a * b + 1, {}, (X, X[:, None])),
    "outer": (lambda a, b, c: a * b - c, {}, (X, X[:, None], X[:2, None, None])),
    "number": (lambda a, b: a * b, {}, (2.0, 3.0)),
    "extent one": (lambda a, b: a * b, {}, (X[:1], X[:1, None])),
    "empty": (lambda a: a * 2, {"otypes": [float]}, (X[:0],)),
    "if": (lambda a: 0.0 if a > 2.5 else a, {}, (X,)),
    "constant": (lambda a: 1.0, {}, (X,)),
    "two results": (lambda a: (a, a * 2), {}, (X,)),
    "integers": (lambda a: a + 1, {}, (np.arange(3),)),
    "single precision": (lambda a: a * 2, {}, (X.astype("f4"),)),
    "dtype of the result": (lambda a: a * 2, {"otypes": [np.float32]}, (X,)),
    "dtypes of the results": (lambda a: (a * 2, a), {"otypes": "di"}, (X,)),
    "excluded": (lambda a, p: a * p[0] + p[1], {"excluded": {1}}, (X, [2.0, 3.0])),
    "dot": (lambda a, b: a @ b, {"signature": "(n),(n)->()"}, (A, A[:, None])),
    "matrices": (lambda a, b: a @ b, {"signature": "(m,n), (n) -> (m)"}, (np.ones((2, 3, 4)), A[:, None, :1] + np.ones(4))),
    "new axis": (lambda a: (a.sum(), a[:2]), {"signature": "(n)->(),(k)"}, (A,)),
    "no axes": (lambda a: a * 2, {"signature": "()->()"}, (A,)),
}


@pytest.mark.parametrize(("function", "options", "args"), CASES.values(), ids=CASES)
def test_agrees_with_numpy(function, options, args):
    wanted = np.vectorize(function, **options)(*args)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    ours = fnp.vectorize(function, **options)
    for found in (ours(*args), ft.jit(ours)(*args)):
        assert_all_close(list(found) if isinstance(found, tuple) else [found], list(map(np.asarray, wanted)))
    if "excluded" not in options:
        check_agreement(ours, *args, smooth="otypes" not in options)


def test_keywords():
    for options, kwargs in (({}, {"p": X}), ({"excluded": ["p"]}, {"p": 2.0})):
        wanted = np.vectorize(lambda a, p: a * p, **options)(X, **kwargs)
        np.testing.assert_array_equal(fnp.vectorize(lambda a, p: a * p, **options)(X, **kwargs), wanted)


def test_the_function_runs_once():
    calls = []
    fnp.vectorize(lambda a: calls.append(a) or a * 2)(A)
    assert len(calls) == 1


def test_decorator():
    @fnp.vectorize(signature="(n)->()")
    def total(v):
        """The sum."""
        return v.sum()

    np.testing.assert_array_equal(total(A), A.sum(1))
    assert (total.__name__, total.__doc__) == ("total", "The sum.")
    assert fnp.vectorize(np.sin, doc="Sines.").__doc__ == "Sines."


@pytest.mark.parametrize(
    ("function", "options", "args", "phrases"),
    [
        (lambda a, b: a, {"signature": "(n),(n)->()"}, (A, X), r"Argument 1 .*\(3,\).*\(n\), with n=4"),
        (lambda a: a, {"signature": "(n)->(n)"}, (2.0,), r"Argument 0 .*\(\).*\(n\)"),
        (lambda a: a[:2], {"signature": "(n)->(n)"}, (A,), r"Result 0 .*\(2,\).*n=4"),
        (lambda a: a, {"signature": "(n)->()"}, (A,), r"Result 0 .*\(4,\)"),
        (lambda a: (a, a), {"signature": "(n)->(n)"}, (A,), "2 results, but its signature has 1"),
        (lambda a: a, {"otypes": "dd"}, (A,), "1 result, but its otypes has 2"),
        (lambda a, b: a, {}, (X, X[:2]), "broadcast"),
    ],
)
def test_shapes_that_do_not_fit(function, options, args, phrases):
    with pytest.raises(ShapeMismatchError, match=phrases):
        fnp.vectorize(function, **options)(*args)


def test_arguments_that_do_not_fit():
    with pytest.raises(ValueError, match="not a valid gufunc signature"):
        fnp.vectorize(np.sin, signature="(n->(n)")
    with pytest.raises(TypeError, match="expected 2, got 1"):
        fnp.vectorize(np.dot, signature="(n),(n)->()")(A)
    with pytest.raises(TypeError, match="function"):
        fnp.vectorize(3)
