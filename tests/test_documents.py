"""Prose that runs: the README's example and its output, examples in documents and docstrings."""

import contextlib
import doctest
import importlib
import io
import json
import pathlib
import pkgutil
import re

import jax
import pytest

import ntkrnn
from ntkrnn.studies.learnability import EXPERIMENTS

ROOT = pathlib.Path(__file__).parent.parent
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(ntkrnn.__path__, "ntkrnn.")
    if module.name != "ntkrnn.__main__"
)
# benchmarks.md is tables and commands
DOCUMENTS = sorted(path.name for path in (ROOT / "docs").glob("*.md") if ">>> " in path.read_text())
NUMBER = re.compile(r"-?\d+\.?\d*(?:e[+-]?\d+)?")


def test_readme_example_prints_what_it_shows():
    text = (ROOT / "README.md").read_text()
    code, shown = re.search(r"```python\n(.*?)```\s+```\n(.*?)```", text, re.DOTALL).groups()
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    got, want = (list(map(float, NUMBER.findall(t))) for t in (printed.getvalue(), shown))
    assert len(got) == len(want)
    if not jax.config.jax_enable_x64:  # the random numbers of float64 are others
        assert got == pytest.approx(want, abs=2e-3)


def test_readme_names_existing_files_and_targets():
    text = (ROOT / "README.md").read_text()
    for target in re.findall(r"\]\((?!https:)([^)#]+)\)", text):
        assert (ROOT / target).exists(), target
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make ([a-z-]+)", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_documents_name_existing_files(path):
    for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_documents_have_examples():
    assert len(DOCUMENTS) >= 4


@pytest.mark.parametrize("name", DOCUMENTS)
def test_examples_in_documents(name):
    result = doctest.testfile(str(ROOT / "docs" / name), module_relative=False)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def rows_of_findings(record, names):
    """The lines of a document's table, from the stored results; bars within a cell are escaped."""
    signs = {"equals": "=", "at most": "≤", "at least": "≥"}
    number = lambda value: f"{value:.3g}".replace("-", "−")  # noqa: E731
    for name in names:
        first = f"`{name}`"
        for one in record[name]["findings"]:
            quantity = one["quantity"].replace("|", r"\|")
            low, high = map(number, one["interval"])
            margin = f" ± {number(one['margin'])}" if one["margin"] else ""
            found = f"{number(one['value'])} ({low}, {high})"
            predicted = f"{signs[one['relation']]} {number(one['predicted'])}{margin}"
            yield f"| {first} | {quantity} | {found} | {predicted} | {one['verdict']} |"
            first = ""


def test_tables_of_findings_are_those_of_the_stored_results():
    record = json.loads((ROOT / "benchmarks/results/learnability-2-cores.json").read_text())
    record, shown = record["experiments"], []
    for document in ("theory-al19-wshc21.md", "theory-ce24.md", "gated-kernels.md"):
        lines = (ROOT / "docs" / document).read_text().splitlines()
        start = 2 + lines.index(
            "| experiment | quantity | found (95% interval) | predicted | verdict |"
        )
        table = lines[start : lines.index("", start)]
        names = re.findall(r"^\| `(.*?)`", "\n".join(table), re.MULTILINE)
        assert table == list(rows_of_findings(record, names)), document
        shown += names
    assert sorted(shown) == sorted(record) == sorted(EXPERIMENTS)
    assert not any(one["quick"] for one in record.values())


def test_every_promise_is_held_by_a_test():
    """The page of promises names a test in each row, and the test is there."""
    text = (ROOT / "docs/promises.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ") and "held by" not in line]
    assert len(rows) > 30
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", row)
        assert named, row
        for file, function in named:
            assert f"\ndef {function}(" in (ROOT / "tests" / file).read_text(), (file, function)
