"""Execute notebooks, showing each cell's prints and time as they happen, and write the result as HTML.

python notebooks/run.py               every notebook in this folder
python notebooks/run.py quickstart    one of them, to notebooks/build/quickstart.html
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from jinja2 import DictLoader
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from traitlets.config import Config

FOLDER = Path(__file__).resolve().parent
CELL_TIMEOUT = 300  # seconds

# nbconvert's own page, but a cell's `alt` metadata describes its picture to readers who cannot see it.
PAGE = """
{% extends "index.html.j2" %}
{% block data_png scoped %}
<img src="data:image/png;base64,{{ output.data["image/png"] }}" alt="{{ cell.metadata.alt | escape_html }}">
{% endblock %}
"""


class LiveClient(NotebookClient):
    """A NotebookClient that narrates: heading and number of each code cell, its streams, its time."""

    def __init__(self, notebook, **options):
        super().__init__(notebook, on_cell_execute=self._announce, on_cell_executed=self._report, **options)
        self._code_cells = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]

    def _announce(self, cell, cell_index):
        number, total = self._code_cells.index(cell_index) + 1, len(self._code_cells)
        print(f"[{number:2}/{total}] {self._heading(cell_index)}", flush=True)
        self._started = time.perf_counter()

    def _heading(self, cell_index):
        above = "\n".join(cell.source for cell in self.nb.cells[:cell_index] if cell.cell_type == "markdown")
        headings = [line.lstrip("# ") for line in above.splitlines() if line.startswith("#")]
        return headings[-1] if headings else ""

    def _report(self, cell, cell_index, execute_reply):
        print(f"        {time.perf_counter() - self._started:.1f} s", flush=True)

    def output(self, outs, msg, display_id, cell_index):
        if msg["msg_type"] == "stream":
            lines = msg["content"]["text"].splitlines(keepends=True)
            print("".join(f"        {line}" for line in lines), end="", flush=True)
        return super().output(outs, msg, display_id, cell_index)


def run(path, build):
    """Execute one notebook; return whether it succeeded. The HTML is written either way."""
    notebook = nbformat.read(path, as_version=4)
    started = time.perf_counter()
    error = None
    with tempfile.TemporaryDirectory() as sockets:
        # The sockets of a kernel would lie in the working directory, where those of two runs at a time collide.
        ipc = {"transport": "ipc", "ip": str(Path(sockets) / "kernel")}
        # The kernel starts in the repository root, so that a checkout needs no installation.
        client = LiveClient(
            notebook,
            config=Config({"KernelManager": ipc if os.name == "posix" else {}}),
            timeout=CELL_TIMEOUT,
            coalesce_streams=True,
            resources={"metadata": {"path": str(FOLDER.parent)}},
        )
        try:
            client.execute()
        except CellExecutionError as raised:
            error = raised
    exporter = HTMLExporter(extra_loaders=[DictLoader({"page": PAGE})], template_file="page")
    html, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": path.stem}})
    build.mkdir(parents=True, exist_ok=True)
    target = build / f"{path.stem}.html"
    target.write_text(html, encoding="utf-8")
    print(f"{path.stem}: {time.perf_counter() - started:.1f} s, written to {target}", flush=True)
    if error:
        print(error, file=sys.stderr)
    return error is None


def main():
    # Matrices this small gain nothing from BLAS threads, which stall each other when the cores are busy.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="notebooks to run, by default all of them")
    parser.add_argument("--build", type=Path, default=FOLDER / "build", help="where the HTML goes")
    options = parser.parse_args()
    paths = [FOLDER / f"{name}.ipynb" for name in options.names] or sorted(FOLDER.glob("*.ipynb"))
    missing = [path.stem for path in paths if not path.exists()]
    if missing:
        parser.error(f"no such notebook: {', '.join(missing)}")
    results = [run(path, options.build) for path in paths]
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
