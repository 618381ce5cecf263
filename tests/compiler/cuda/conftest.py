"""Tests of kernels for GPUs on a machine that has none: the text of kernels is run on the host, and compiled by NVRTC."""

from __future__ import annotations

import pytest

from tests.helpers.cuda.device import is_possible


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where kernels cannot be run on the host, the tests that do so are skipped, and counted as such."""
    if is_possible():
        return
    for item in items:
        if "cuda" in item.path.parts and "nvrtc" not in item.path.name:
            item.add_marker(pytest.mark.skip(reason="the emulator of GPUs needs g++ and an x86-64 processor"))
