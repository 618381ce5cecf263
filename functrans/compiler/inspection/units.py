"""Figures and tables that a person can read, as text and as HTML."""

from __future__ import annotations

from collections.abc import Sequence

#: Letters before units, and how many they stand for.
UNITS = (("k", 1e3), ("M", 1e6), ("G", 1e9))


def bytes_text(number: float) -> str:
    """`1.5 MB`; a kB is 1000 bytes."""
    return f"{amount(number)}B" if number >= 1000 else f"{number:.0f} B"


def amount(number: float) -> str:
    """`1.5 M`."""
    if number < 999.5:
        return f"{number:.0f}"
    number, unit = next(((number / s, u) for u, s in UNITS if number / s < 999.5), (number / 1e12, "T"))
    return f"{number:.3g} {unit}"


def seconds_text(seconds: float) -> str:
    """`1.5 ms`."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "us")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def plural(number: int, noun: str) -> str:
    """`1 kernel`, `2 kernels`."""
    return f"{number} {noun}" + ("" if number == 1 else "es" if noun.endswith(("s", "ch")) else "s")


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """Columns in line; so many of the first begin at the left, the others end at the right."""
    lines = [*([head] if head else []), *rows]
    widths = [max(len(row[k]) for row in lines) for k in range(len(lines[0]))]
    aligned = [
        "  ".join(x.ljust(w) if k < left else x.rjust(w) for k, (x, w) in enumerate(zip(row, widths)))
        for row in lines
    ]
    return "\n".join(line.rstrip() for line in aligned)


def escaped(text: str) -> str:
    """Text for HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def preformatted(text: str) -> str:
    """Text in HTML as it stands."""
    return f'<pre style="line-height: 1.3; overflow-x: auto">{escaped(text)}</pre>'


def section(title: str, body: str, is_open: bool = False) -> str:
    """A part of a page that opens and closes."""
    return f"<details{' open' * is_open}><summary>{escaped(title)}</summary>{body}</details>"


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A table in HTML; so many of the first columns begin at the left, the others end at the right."""

    def row(cells: Sequence[str], tag: str) -> str:
        sides = ("left" if k < left else "right" for k in range(len(cells)))
        return "".join(f'<{tag} style="text-align: {s}">{escaped(c)}</{tag}>' for c, s in zip(cells, sides))

    lines = [f"<tr>{row(head, 'th')}</tr>"] if head else []
    return "<table>" + "".join([*lines, *(f"<tr>{row(r, 'td')}</tr>" for r in rows)]) + "</table>"
