"""Integrals of samples."""

from ..numpy import trapezoid

__all__ = ["trapezoid"]
