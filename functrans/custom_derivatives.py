"""Functions with derivative rules of their own, under the names of `jax.custom_derivatives`."""

from .api.custom_gradient import closure_convert, custom_gradient
from .api.custom_rule import custom_rule
from .api.custom_rules import custom_jvp, custom_vjp
from .api.symbolic_zeros import CustomVJPPrimal, SymbolicZero

__all__ = [
    "CustomVJPPrimal", "SymbolicZero", "closure_convert", "custom_gradient", "custom_jvp", "custom_rule", "custom_vjp",
]  # fmt: skip
