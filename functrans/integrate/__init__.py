"""Differential equations, solved and differentiated."""

from .odeint import odeint

__all__ = ["odeint"]
