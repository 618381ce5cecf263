"""Primitives whose parameters hold programs."""

from . import joining

__all__ = ["joining"]
