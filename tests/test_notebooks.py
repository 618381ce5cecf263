"""Every notebook runs to its end, prints its key figures and shows its pictures; its stored form is clean."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"

# What a reader must find: key figures on the terminal, and the number of pictures on the page.
EXPECTED = {
    "gpu": (
        [
            r"GPUs +\d",
            r"loss after 100 steps +0\.\d+",
            r"kernels of a training step +[1-9]",
            r"kernels of a Hessian-vector product +[1-9]",
            r"kernels of the differential equation +[1-9]",
            r"largest difference between devices +[0-9]\.[0-9]e[+-]\d+",
        ],
        1,
    ),
    "loops_and_solvers": (
        [
            r"dE/de after 5 steps, through them +[0-9]e-08 off",
            r"dE/de after 5 steps, implicitly +[0-9]e-09 off",
            r"growth rate of hares a year +0\.5[0-9]+",
            r"death rate of lynxes a year +0\.[78][0-9]+",
            r"memory of 1,000 steps, plain +[0-9]+\.[0-9] MB",
            r"memory of 1,000 steps, on a budget +[0-9]\.[0-9]+ MB",
        ],
        3,
    ),
    "quickstart": (
        [
            r"test accuracy +9[5-9]\.\d%",
            r"final training loss +0\.\d+",
            r"largest Hessian eigenvalue +\d\.\d+",
            r"third derivative along u +-?\d\.\d+",
            r"median per-example norm +\d\.\d+",
        ],
        3,
    ),
}

every_notebook = pytest.mark.parametrize(
    "path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem
)


@every_notebook
def test_runs_and_shows_its_results(path, tmp_path):
    key_figures, pictures = EXPECTED[path.stem]
    command = [sys.executable, NOTEBOOKS / "run.py", path.stem, "--build", tmp_path]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr

    printed = result.stdout.partition("Key figures\n")[2]
    for figure in key_figures:
        assert re.search(figure, printed), f"{figure!r} is not among the key figures:\n{printed}"

    page = (tmp_path / f"{path.stem}.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/png;base64,') == pictures
    assert "No description has been provided" not in page


@every_notebook
def test_is_stored_without_outputs(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    clean = all(not cell.outputs and cell.execution_count is None for cell in cells)
    assert clean, f"run: jupyter nbconvert --clear-output --inplace notebooks/{path.name}"
