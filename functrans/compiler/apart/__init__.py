"""Taking loops apart to statements over single numbers."""

from .elements import TooLarge
from .programs import Apart, take_apart

__all__ = ["Apart", "TooLarge", "take_apart"]
