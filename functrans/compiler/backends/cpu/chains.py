"""Chains as what `run_rows` is told of them: some rows, kernel by kernel (or product by product), and then the next."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import groupby
from math import prod
from typing import Any, NamedTuple

from ...chains import GROUP
from ...instructions import ChainRun, KernelRun, ProductRun, ScanRun
from ...overlap import accessed
from ...places import Place
from ...staggered import strip_rows
from .engine import NAME
from .layouts import LANES
from .library import gemm_arguments, product_work
from .links import Link, links_of
from .runtime import HEADER
from .scans import scan_link
from .side_by_side import side_by_side
from .streams import apart, in_groups
from .tiers import Written

#: The part of the second-level cache that rows of a chain may take, in bytes.
CACHE = 192 * 1024
#: The part of the first-level cache that rows of a staggered chain may take.
FIRST_CACHE = 32 * 1024
#: Into at least so many blocks of rows a chain is divided, as long as each of them has so much work, in nanoseconds.
MANY_BLOCKS, WORTH_BLOCK = 64, 2000
#: Where rows are columns of an array that is read, and lie side by side in memory, so many are run together at least.
FEWEST_COLUMNS = LANES


class EncodedChain(NamedTuple):
    """The arguments of `run_rows`, or of what runs a staggered chain.

    Attributes:
        links: kernels by the places in `numbers` where the addresses of their functions belong.
        work: that of all kernels, about in nanoseconds.
    """

    numbers: list[int]
    links: dict[int, Link]
    work: int

    def written(self, arguments: array[int], start: int) -> list[Written]:
        """The functions of the links, for the arguments that are in an array from some place on."""
        return [Written(arguments, start + place, link.writer, link.work) for place, link in self.links.items()]


def encoded_chain(
    encoder: Any, runs: Sequence[KernelRun | ProductRun | ScanRun], rows: int, own: Sequence[Place]
) -> EncodedChain:
    """Links over the same rows; neighbours of which each has several rows in every row are a chain in the chain."""
    pieces = [piece for run in runs for piece in (apart(run) if isinstance(run, KernelRun) else [run])]
    at_a_time = rows_at_a_time(pieces, rows)
    turned = side_by_side(pieces, rows, own if 2 * at_a_time >= GROUP else ())
    pieces = [turned.moved(piece) for piece in pieces]
    ways: list[int] = []
    for place in own:
        row = place.strides[0] * (place.shape[0] // rows)
        ways += [HEADER + place.slot, row, turned.way(place, row)]
    found: list[int] = []
    links: dict[int, Link] = {}
    work = 0
    for extent, group in groupby(pieces, key=lambda run: run.rows):
        inside = list(group)
        if extent > rows and len(inside) > 1:
            inner = encoded_chain(encoder, inside, extent, ())
            arguments = encoder.keep(inner.numbers)
            encoder.kernels += inner.written(arguments, 0)
            work += inner.work
            found += [encoder.runtime["run_rows"], arguments.buffer_info()[0], extent // rows]
            continue
        for run in inside:
            if isinstance(run, ProductRun):
                work += product_work(run)
                found += [encoder.runtime["run_gemm"], encoder.address(gemm_arguments(run, 0)), extent // rows]
                continue
            for link in links_of(run, True) if isinstance(run, KernelRun) else [scan_link(run, NAME, True)]:
                links[4 + len(ways) + len(found)] = link
                work += link.work
                found += [0, encoder.address(link.arguments), link.extent // rows]
    fewest = FEWEST_COLUMNS if any(map(reads_columns, pieces)) else 1
    block = GROUP if turned.rows else in_blocks(at_a_time, rows, work, fewest)
    head = [block, encoder.slot_count, len(own), len(found) // 3]
    return EncodedChain([*head, *ways, *found], links, work)


def encoded_staggered(encoder: Any, run: ChainRun) -> EncodedChain:
    """The arguments of `run_strips` and `run_borders`."""
    found: list[int] = []
    links: dict[int, Link] = {}
    for kernel, shift in zip(run.links, run.shifts):
        for link in links_of(kernel, True):
            links[4 + len(found)] = link
            found += [0, encoder.address(link.arguments), link.extent // kernel.rows, kernel.rows, *shift]
    sizes = [_sizes_of_rows(kernel, kernel.rows) for kernel in run.links]
    block = max(1, FIRST_CACHE // max(1, sum(_largest(sizes).values())))
    head = [strip_rows(run.rows, run.shifts), run.rows, block, len(links)]
    return EncodedChain([*head, *found], links, sum(link.work for link in links.values()))


def rows_at_a_time(links: Sequence[KernelRun | ProductRun | ScanRun], rows: int) -> int:
    """How many rows of a chain are in the cache together, with all that links touch that have to do with each other."""
    found = [_sizes_of_rows(link, rows) for link in links]
    size = max(sum(_largest([found[k] for k in group]).values()) for group in in_groups(map(set, found)))
    return CACHE // max(1, size)


def reads_columns(link: KernelRun | ProductRun | ScanRun) -> bool:
    """Whether a kernel reads an array whose rows lie closer together than the elements of one."""
    return isinstance(link, KernelRun) and any(place.shape and _has_columns(place) for place in _read(link))


def _has_columns(place: Place) -> bool:
    apart, *inside = [abs(stride) if n > 1 else 0 for n, stride in zip(place.shape, place.strides)]
    return 0 < apart < max(inside, default=0)


def in_blocks(most: int, rows: int, work: int, fewest: int = 1) -> int:
    """How many rows of a chain are run together, at most so many: that depends on the shapes and layouts only.

    There are blocks for many threads, as long as each has the fewest rows.
    """
    blocks = max(1, min(MANY_BLOCKS, work // WORTH_BLOCK))
    most = min(most, max(fewest, -(-rows // blocks)))
    return max(1, most if most < LANES else most // LANES * LANES)


def _sizes_of_rows(link: KernelRun | ProductRun, rows: int) -> dict[int, int]:
    """The bytes of a row in each of the arrays that a link touches, by slot."""
    places = [p for p in (*_read(link), *link.targets) if p.shape[0] == link.rows and p.strides[0]]
    return _largest([{place.slot: _size_of_row(place, rows)} for place in places])


def _largest(sizes: Sequence[dict[int, int]]) -> dict[int, int]:
    """The largest of some numbers, key by key."""
    found: dict[int, int] = {}
    for own in sizes:
        for key, size in own.items():
            found[key] = max(found.get(key, 0), size)
    return found


def _read(link: KernelRun | ProductRun | ScanRun) -> Sequence[Place]:
    """What a link reads, over all rows."""
    if not isinstance(link, KernelRun):
        return link.sources
    places = dict(zip(link.kernel.operands, link.sources))
    return [accessed(load, places[load.operand], link.kernel.shape) for load in link.kernel.loads()]


def _size_of_row(place: Place, rows: int) -> int:
    """The bytes of a row, or of some rows that count as one, that are touched."""
    inside = prod(n for n, stride in zip(place.shape[1:], place.strides[1:]) if stride) * place.dtype.itemsize
    return min(inside, abs(place.strides[0])) * (place.shape[0] // rows)
