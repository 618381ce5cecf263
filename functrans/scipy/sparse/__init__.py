"""Linear equations of operators; there are no sparse arrays."""

from . import linalg

__all__ = ["linalg"]
