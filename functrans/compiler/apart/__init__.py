"""Taking loops apart to statements over single numbers."""

from .elements import TooLarge
from .programs import Apart, PlacedLoop, take_apart
from .triangles import LARGEST_MATRIX

__all__ = ["LARGEST_MATRIX", "Apart", "PlacedLoop", "TooLarge", "take_apart"]
