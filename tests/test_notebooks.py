"""Notebooks run from end to end, and their two forms hold the same cells."""

import contextlib
import io
import pathlib
import runpy

import jupytext
import matplotlib.pyplot as plt
import pytest

FOLDER = pathlib.Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("0*.py"))


@pytest.mark.slow  # `make test-notebooks`, which continuous integration calls too
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_from_end_to_end(path, monkeypatch):
    # In this process, so that its warnings are errors; what a notebook claims it asserts itself.
    monkeypatch.setenv("NTKRNN_SMALL", "1")
    plt.switch_backend("Agg")
    try:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            runpy.run_path(str(path))
        assert printed.getvalue()
        for number in plt.get_fignums():
            figure = plt.figure(number)
            figure.canvas.draw()  # what does not fit into the layout warns only here
            assert all(axes.get_xlabel() or axes.get_ylabel() for axes in figure.axes)
    finally:
        plt.close("all")


def test_every_notebook_is_there_in_both_forms():
    assert NOTEBOOKS
    assert [path.stem for path in sorted(FOLDER.glob("*.ipynb"))] == [path.stem for path in NOTEBOOKS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_both_forms_hold_the_same_cells(path):
    # `make notebooks` makes them so.
    script = jupytext.read(path, fmt="py:percent")
    stored = jupytext.read(path.with_suffix(".ipynb"))
    cells = [[(cell.cell_type, cell.source) for cell in one.cells] for one in (script, stored)]
    assert cells[0] == cells[1]
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert stored.metadata.kernelspec.name == "python3"
    assert len({cell.id for cell in stored.cells}) == len(stored.cells)
