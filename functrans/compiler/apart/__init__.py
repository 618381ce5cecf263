"""Taking loops apart to statements over single numbers."""

from .elements import TooLarge
from .programs import Apart, take_apart
from .triangles import LARGEST_MATRIX

__all__ = ["LARGEST_MATRIX", "Apart", "TooLarge", "take_apart"]
