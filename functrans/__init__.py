"""functrans: grad, jvp, vjp, vmap, jit and jet for functions written with NumPy."""

from . import errors, lax, nn, numpy, random, testing, tree, tree_util
from .api.custom_rules import custom_jvp, custom_vjp
from .api.grad import grad, jvp, linear_transpose, linearize, value_and_grad, vjp
from .api.inspect import eval_shape, make_jaxpr
from .api.jacobian import hessian, hvp, jacfwd, jacobian, jacrev
from .api.jet import jet
from .api.jit import checkpoint, jit
from .api.vmap import vmap
from .config import config
from .core.array import Array
from .core.avals import ShapeDtypeStruct, float0

__all__ = [
    "Array", "ShapeDtypeStruct", "checkpoint", "config", "custom_jvp", "custom_vjp", "errors", "eval_shape", "float0", "grad",
    "hessian", "hvp", "jacfwd", "jacobian", "jacrev", "jet", "jit", "jvp", "lax", "linear_transpose", "linearize",
    "make_jaxpr", "nn", "numpy", "random", "testing", "tree", "tree_util", "value_and_grad", "vjp", "vmap",
]  # fmt: skip
