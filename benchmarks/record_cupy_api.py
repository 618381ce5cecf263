"""Records what CuPy has, for the stand-in of tests/helpers/stand_in_cupy.py: names, signatures, loops of ufuncs.

Run it where a CuPy and CUDA's libraries are installed, driver or not: `python benchmarks/record_cupy_api.py`.
"""

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import cupy

MODULES = ("cupy", "cupy.linalg", "cupy.fft", "cupyx.scipy.special", "cupyx.scipy.linalg", "cupy.lib.stride_tricks")


def described(value: Any) -> dict[str, Any] | None:
    """A function or ufunc, as the stand-in needs to know it; None for what is neither."""
    loops = getattr(value, "types", None)
    if isinstance(value, cupy.ufunc):
        return {"kind": "ufunc", "nin": value.nin, "nout": value.nout, "loops": loops}
    if isinstance(value, type) or not callable(value):
        return None
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return {"kind": "function", "parameters": None}
    return {"kind": "function", "parameters": [[p.name, p.kind.value, p.default is not p.empty] for p in parameters]}


def public(name: str) -> dict[str, Any]:
    """The functions of a module."""
    module = importlib.import_module(name)
    found = {key: described(value) for key, value in sorted(vars(module).items()) if not key.startswith("_")}
    return {key: value for key, value in found.items() if value is not None}


if __name__ == "__main__":
    record = {
        "version": cupy.__version__,
        "modules": {name: public(name) for name in MODULES},
        "methods": sorted(name for name in dir(cupy.ndarray) if not name.startswith("__")),
        "protocols": sorted(name for name in dir(cupy.ndarray) if name.startswith("__")),
    }
    target = Path(__file__).parents[1] / "tests" / "helpers" / "cupy_api.json"
    target.write_text(json.dumps(record, indent=0).replace("\n", "") + "\n")
