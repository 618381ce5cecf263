"""Every ```python block in a Markdown file runs.

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
    for pattern in ("*.md", "docs/**/*.md", "functrans/**/*.md", "notebooks/*.md")
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
