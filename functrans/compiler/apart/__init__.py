"""Taking loops apart to statements over single numbers."""

from .elements import TooLarge
from .programs import Apart, Loop, take_apart
from .triangles import LARGEST_MATRIX

__all__ = ["LARGEST_MATRIX", "Apart", "Loop", "TooLarge", "take_apart"]
