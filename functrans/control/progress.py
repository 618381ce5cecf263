"""Progress bars of loops: tqdm, imported when the first one is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

#: How often at most a bar is redrawn, as a share of the loop.
UPDATES = 200


def steps_shown(steps: Iterable[int], text: str | None) -> Iterable[int]:
    """The steps of a loop, with a progress bar if there is a text for it."""
    return steps if text is None else _shown(steps, text)


def _shown(steps: Any, text: str) -> Iterator[int]:
    import tqdm

    total = len(steps) if hasattr(steps, "__len__") else None
    every = max(1, total // UPDATES) if total is not None else 1000
    with tqdm.tqdm(total=total, desc=text) as bar:
        done = 0
        for done, step in enumerate(steps, 1):
            yield step
            if done % every == 0:
                bar.update(every)
        bar.update(done % every)
