"""Fewer examples of what takes long, by default as with --slow."""

from __future__ import annotations

from hypothesis import settings


def share(percent: int) -> settings:
    """Some of the examples that a test has elsewhere."""
    return settings(max_examples=settings.default.max_examples * percent // 100)
