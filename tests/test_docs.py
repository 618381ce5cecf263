"""Every ```python block in a Markdown file runs, and every link between pages leads somewhere.

A session (>>>) must print what it shows, a program must not raise. The blocks of one file share their names,
from top to bottom, as a reader would type them.
"""

import doctest
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "functrans/**/*.md", "benchmarks/*.md", "notebooks/*.md")
    for path in ROOT.glob(pattern)
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
FENCED = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str) -> Iterator[tuple[int, str]]:
    """The number of lines before each block, and its text."""
    for match in FENCED.finditer(text):
        yield text.count("\n", 0, match.start(1)), match.group(1)


def run_page(text: str, name: str) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    report: list[str] = []
    for line, block in blocks(text):
        if ">>>" in block:
            session = doctest.DocTestParser().get_doctest(block, names, name, name, line)
            doctest.DocTestRunner(optionflags=FLAGS).run(session, out=report.append, clear_globs=False)
            names |= session.globs
        else:
            exec(compile("\n" * line + block, name, "exec"), names)
    assert not report, "".join(report)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_page(page: Path) -> None:
    run_page(page.read_text(encoding="utf-8"), str(page))


def headings(text: str) -> set[str]:
    """What links call the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def dead_links(page: Path) -> list[str]:
    """The links of a page to files, or to headings, that are not there; those of code are none."""
    dead = []
    text = re.sub(r"`[^`\n]*`", "", FENCED.sub("", page.read_text(encoding="utf-8")))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, heading = link.partition("#")
        target = page.parent / file if file else page
        is_known = not heading or heading in headings(target.read_text(encoding="utf-8") if target.is_file() else "")
        if not link.startswith("http") and not (target.exists() and is_known):
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert not dead_links(page)


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# The one\n[a](page.md#the-one) [b](#the-one) [c](page.md#other) [d](none.md) `[e](none.md)`")
    assert dead_links(page) == ["page.md#other", "none.md"]


SESSION = """
```python
def double(x):
    return 2 * x
```
Then
```python
>>> double(3)
6
```
"""


def test_blocks_share_their_names() -> None:
    run_page(SESSION, "page.md")


def test_wrong_output_is_reported_with_its_line() -> None:
    with pytest.raises(AssertionError, match=r'page\.md", line 8'):
        run_page(SESSION.replace("6", "7"), "page.md")


def test_a_failing_program_is_reported() -> None:
    with pytest.raises(NameError):
        run_page("```python\nabsent\n```\n", "page.md")
