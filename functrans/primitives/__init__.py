"""The array primitives, one family or topic a file; importing this package defines all of them."""

from . import elementwise, foundation, structural

__all__ = ["elementwise", "foundation", "structural"]
