"""Integrals of samples."""

from ..core.libraries import absent_from
from ..numpy import trapezoid

__getattr__ = absent_from(__name__)

__all__ = ["trapezoid"]
