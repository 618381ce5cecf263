"""The shape that shapes broadcast to, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functrans.errors import ShapeMismatchError
from functrans.primitives.foundation import broadcast_shapes

SHAPE = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@given(st.lists(SHAPE, min_size=1, max_size=4))
def test_shapes_broadcast_as_in_numpy(shapes: list[tuple[int, ...]]) -> None:
    try:
        wanted = np.broadcast_shapes(*shapes)
    except ValueError:
        with pytest.raises(ShapeMismatchError):
            broadcast_shapes(*shapes)
    else:
        assert broadcast_shapes(*shapes) == wanted
