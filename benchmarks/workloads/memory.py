"""Peak memory of the gradient of a scan of 10,000 steps."""

from __future__ import annotations

import numpy as np

from .row import JAX, MEMORY, OURS, Row


class ScanGradient(Row):
    """A reaction in 1000 cells, 10,000 steps; checkpointed in JAX by two nested scans of 100."""

    kind = MEMORY
    peers = (JAX,)
    factor = 1.0
    slack = 2.0**18
    issue = "JAX 250 MiB, checkpointed 27; no more than either"
    steps, cells = 10_000, 1_000

    def __init__(self, is_checkpointed: bool):
        self.is_checkpointed = is_checkpointed
        self.label = f"memory: gradient of a scan of 1e4 steps{', checkpointed' if is_checkpointed else ''}"

    def data(self):
        return (np.linspace(-1.0, 1.0, self.cells),)

    def function(self, lib):
        np, scan = lib.np, lib.lax.scan

        def step(u, _):
            return u + 0.01 * np.sin(u) * np.exp(-u * u), None

        def plain(u):
            return np.sum(scan(step, u, None, length=self.steps)[0] ** 2)

        def ours(u):
            return np.sum(scan(step, u, None, length=self.steps, checkpoint=100)[0] ** 2)

        def theirs(u):
            block = lib.checkpoint(lambda u, _: scan(lib.checkpoint(step), u, None, length=100))
            return np.sum(scan(block, u, None, length=self.steps // 100)[0] ** 2)

        if not self.is_checkpointed:
            return lib.grad(plain)
        return lib.grad(ours if lib.name == OURS else theirs)


ROWS: list[Row] = [ScanGradient(False), ScanGradient(True)]
