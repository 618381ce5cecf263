"""Settings for every test and doctest: which slow tests run, and how hard Hypothesis tries."""

import zlib

import pytest
from hypothesis import settings

SLOW_SHARE = 10  # without --slow, one slow test in this many runs

settings.register_profile("reproducible", deadline=None, derandomize=True)
settings.register_profile("searching", deadline=None, max_examples=1000, print_blob=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run every slow test, and search harder")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("searching" if config.getoption("--slow") else "reproducible")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out most slow tests. The choice depends on the name alone: all workers and runs agree."""
    if config.getoption("--slow"):
        return
    kept, left_out = [], []
    for item in items:
        slow = item.get_closest_marker("slow")
        (left_out if slow and zlib.crc32(item.nodeid.encode()) % SLOW_SHARE else kept).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept
