"""functrans: grad, jvp, vjp, vmap, jit and jet for functions written with NumPy."""

from .compiler.garbage import keep_what_is_imported as _keep_what_is_imported
from .compiler.garbage import no_collection as _no_collection

with _no_collection():  # nothing of what is imported is garbage, and a tenth of the time would go into looking for it
    from . import (
        checkpoint_policies,
        custom_batching,
        custom_derivatives,
        debug,
        errors,
        flatten_util,
        image,
        integrate,
        lax,
        nn,
        numpy,
        ops,
        optimize,
        random,
        scipy,
        testing,
        tree,
        tree_util,
    )
    from .api.caches import clear_caches
    from .api.callbacks import io_callback, pure_callback
    from .api.checkpoint import checkpoint, checkpoint_name
    from .api.custom_gradient import closure_convert, custom_gradient
    from .api.custom_rule import custom_rule
    from .api.custom_rules import custom_jvp, custom_vjp
    from .api.devices import block_until_ready, device_get, device_put, devices
    from .api.elementwise import elementwise
    from .api.grad import grad, jvp, linear_transpose, linearize, value_and_grad, vjp
    from .api.inspect import eval_shape, explain, make_jaxpr
    from .api.jacobian import hessian, hvp, jacfwd, jacobian, jacrev
    from .api.jet import jet
    from .api.jit import jit
    from .api.residuals import print_saved_residuals, saved_residuals
    from .api.vmap import vmap
    from .core.array import Array
    from .core.avals import ShapeDtypeStruct, float0
    from .core.libraries import absent_from as _absent_from
    from .core.trace import typeof
    from .settings import config, debug_nans, disable_jit

    _keep_what_is_imported()  # before the collector is back, who would look at all of it at once

remat = checkpoint  # JAX's other name for it
__getattr__ = _absent_from(__name__)

__all__ = [
    "Array", "ShapeDtypeStruct", "block_until_ready", "checkpoint", "checkpoint_name", "checkpoint_policies",
    "clear_caches", "closure_convert", "config", "custom_batching", "custom_derivatives", "custom_gradient",
    "custom_jvp", "custom_rule", "custom_vjp", "debug", "debug_nans", "device_get", "device_put", "devices",
    "disable_jit", "elementwise", "errors", "eval_shape", "explain", "flatten_util", "float0", "grad", "hessian", "hvp",
    "image", "integrate", "io_callback", "jacfwd", "jacobian", "jacrev", "jet", "jit", "jvp", "lax", "linear_transpose",
    "linearize", "make_jaxpr", "nn", "numpy", "ops", "optimize", "print_saved_residuals", "pure_callback", "random",
    "remat", "saved_residuals", "scipy", "testing", "tree", "tree_util", "typeof", "value_and_grad", "vjp", "vmap",
]  # fmt: skip
