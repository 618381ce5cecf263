"""Passes from jaxpr to jaxpr that keep every value as it is."""

from __future__ import annotations

from ..core.jaxpr import Jaxpr, prune


def simplify(jaxpr: Jaxpr) -> Jaxpr:
    """An equivalent jaxpr with less to do."""
    return Jaxpr(jaxpr.inputs, prune(jaxpr.eqns, jaxpr.outputs), jaxpr.outputs)
