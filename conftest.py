"""Settings for every test and doctest: which slow tests run, how hard Hypothesis tries, where machine code is kept."""

import gc
import os
import shutil
import signal
import tempfile
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from functrans.compiler.backends.cuda import nvrtc
from tests.helpers.cuda.cubins import check_pending

_cache: list[str] = []
SLOW_SHARE = 10  # without --slow, one slow test in this many runs

# No outcome depends on how busy the machine is, nor by default on chance.
TIMELESS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("reproducible", TIMELESS, derandomize=True)
settings.register_profile("searching", TIMELESS, max_examples=1000, print_blob=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run every slow test, and search harder")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("searching" if config.getoption("--slow") else "reproducible")
    gc.set_threshold(10_000, 10, 100)  # most of what a file makes is kept until its end: a tenth of the time went there
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as of what a shell starts in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)  # tests of Ctrl-C would wait for ever
    if "PYTEST_XDIST_WORKER" not in os.environ:  # workers and other processes share the folder of the run
        _cache.append(tempfile.mkdtemp(prefix="functrans-tests-"))
        os.environ["FUNCTRANS_CACHE_DIR"] = _cache[0]


def pytest_report_header() -> str:
    """How kernels for GPUs are tested here; tests that are skipped for want of something are counted at the end."""
    compiler = f"compiled by NVRTC {'.'.join(map(str, nvrtc.version()))}" if nvrtc.is_available() else "not compiled"
    return f"kernels for GPUs: {compiler}, {'run' if shutil.which('g++') else 'not run'} on the host"


@pytest.fixture(autouse=True, scope="module")
def survivors() -> None:
    """What has been imported, and is left of the files before, stays: the collector of garbage need not look at it each
    time that a test calls it, which takes seconds."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def kernels_for_gpus(request: pytest.FixtureRequest) -> Iterator[None]:
    """Kernels that tests run on the host are compiled for GPUs too, all those of a file together."""
    yield
    check_pending(thoroughly=request.config.getoption("--slow"))


def pytest_unconfigure() -> None:
    """No run depends on an earlier one, nor on what the user has."""
    for folder in _cache:
        shutil.rmtree(folder, ignore_errors=True)


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
