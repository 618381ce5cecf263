"""Why a traced value cannot become a Python number or a NumPy array, and what to do instead."""

from __future__ import annotations

from typing import Final, NoReturn

from ..errors import ConcretizationError, TracerConversionError
from .culprits import advice
from .libraries import about_scipy, kept_from_print
from .trace import Traced

_WANTED: Final = {
    "bool": "Its truth value decides which way Python goes (`if`, `while`, `and`, `not`, `assert`).",
    "index": "It is used as a Python integer (an index into a list or NumPy array, `range`, a shape).",
    "array": "It was passed to something that needs a NumPy array (np.asarray, or item assignment into an ndarray).",
    "format": "It is written into a text, by an f-string or `str.format`.",
}
_WHATEVER_WANTS_IT: Final = {
    "format": "To print it, use functrans.debug.print('{x:.2f}', x=x), which does so when its value is there.",
    "pickle": "Return the value, and pickle that; or have functrans.debug.callback do so when it is there.",
}
_REPAIRS: Final = {
    "bool": "Use functrans.lax.cond, functrans.numpy.where or functrans.lax.while_loop; or, if the argument may be "
    "part of the signature, mark it with static_argnums.",
    "index": "Index with `functrans.numpy.take(table, i)` or `functrans.numpy.asarray(table)[i]`; for shapes and "
    "ranges mark the argument with static_argnums.",
    "array": "Use functrans.numpy functions; put traced values together with np.stack or functrans.numpy.array; "
    "make arrays to assign into with np.zeros_like(x), np.zeros(n, like=x) or functrans.numpy.zeros(n), or of an array "
    "a with functrans.numpy.array(a) or np.array(a, like=x); index with functrans.numpy.take(table, i) or "
    "functrans.numpy.asarray(table)[i]; instead of np.vectorize take functrans.numpy.vectorize; for shapes and ranges "
    "mark the argument with static_argnums.",
    "float": "Keep the computation in arrays (float(x) is x); make arrays to assign into with np.zeros_like(x), "
    "np.zeros(n, like=x) or functrans.numpy.zeros(n), or of an array a with functrans.numpy.array(a) or "
    "np.array(a, like=x); use functrans.lax.cond, or mark the argument with static_argnums.",
}


def _repair(wanted: str, otherwise: str) -> str:
    """The repair where it is known what wanted a value; else nothing."""
    if wanted in _WHATEVER_WANTS_IT:
        return _WHATEVER_WANTS_IT[wanted]
    found = about_scipy() or ("" if wanted == "bool" else advice(wanted))
    return f"{found} {otherwise}".rstrip() if found else ""


def _article(wanted: str) -> str:
    return f"An {wanted}" if wanted[0] in "aeiou" else f"A {wanted}"


def abstract_value_error(tracer: Traced, wanted: str) -> NoReturn:
    """Raise for a value that is not known while tracing."""
    raise kept_from_print(ConcretizationError(
        f"{_article(wanted)} was wanted of a traced array of type {tracer.aval}, whose value is not known here.",
        _WANTED.get(wanted, f"It is converted to a Python value by `{wanted}`.")
        + " The function is traced once, for all values of its arguments.",
        _repair(wanted, "If the argument may be part of the signature, mark it with static_argnums.")
        or _REPAIRS.get(wanted, "Keep the computation in arrays (int(x) is x.astype(int)), use "
        "functrans.lax.cond, or mark the argument with static_argnums."),
    ))  # fmt: skip


def lossy_conversion_error(tracer: Traced, wanted: str, loss: str) -> NoReturn:
    """Raise for a value that is known, but is more than its value."""
    raise kept_from_print(TracerConversionError(
        f"{_article(wanted)} was wanted of a traced array of type {tracer.aval}, but its {loss} would be lost.",
        _WANTED["format"]
        if wanted == "format"
        else "This happens when it is stored in a plain NumPy array or converted to a Python number "
        "(`out[i] = x` calls `x.__float__`).",
        _repair(wanted, "Use functrans.lax.stop_gradient if no derivative is wanted." if loss == "derivative" else "")
        or "Make the array with np.zeros_like(x), np.zeros(n, like=x) or functrans.numpy.zeros(n), which can hold "
        "traced values; instead of a copy of an array a (`a.copy()`) take functrans.numpy.array(a) or "
        "np.array(a, like=x). "
        "Put values together with np.stack or functrans.numpy.array; index with functrans.numpy.asarray(table)[i] or "
        "functrans.numpy.take(table, i); instead of np.vectorize take functrans.numpy.vectorize. Use "
        "functrans.lax.stop_gradient if no derivative is wanted.",
    ))  # fmt: skip
