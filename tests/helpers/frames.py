"""Eigenvectors and singular vectors, which are determined up to phases, and where values are equal up to rotations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.helpers.cases import Case


def has_frames(case: Case) -> bool:
    """Whether a case is a primitive whose results are such vectors."""
    return case.direct and case.primitive.name in ("eigh", "svd")


def settled(case: Case, results: Sequence[Any]) -> list[Any]:
    """Results as they are, but of such vectors what does not depend on how they are chosen."""
    if not has_frames(case) or len(results) == 1:
        return list(results)
    if case.primitive.name == "eigh":
        w, v = results
        return [w, (v * w[..., None, :]) @ adjoint(v), adjoint(v) @ v]
    u, s, vh = results
    k = s.shape[-1]
    return [s, (u[..., :k] * s[..., None, :]) @ vh[..., :k, :], adjoint(u) @ u, vh @ adjoint(vh)]


def adjoint(x: Any) -> Any:
    return np.conj(np.swapaxes(x, -1, -2))
