"""Examples of the Hurwitz zeta function, and of digamma and its derivatives at complex numbers."""

from __future__ import annotations

import numpy as np

from tests.helpers.examples import Example

X = np.array([1.5, 2.0, 3.3, 7.0])
Q = np.array([[0.4], [1.0], [12.5]])
Z = np.array([0.3 + 0.2j, 2 - 1j, -3.3 + 0.5j, -10.2 - 7j, 5 + 40j, -0.5 + 30j])

EXAMPLES = [
    Example("zeta", (X, Q)),
    Example("zeta", (X, 2.0)),
    Example("zeta", (3.5, Q)),
    Example("zeta", (X.astype("f4"), Q.astype("f4"))),
    Example("zeta", (X, np.zeros((0, 1)))),
    Example("zeta", (np.array([2, 3]), np.array([1, 4]))),
    Example("digamma", (Z,)),
    Example("digamma", (Z.astype("c8"),)),
    *[Example("polygamma", (Z,), {"order": order}) for order in (1, 2, 3)],
    Example("polygamma", (Z.astype("c8"),), {"order": 1}),
]
