"""Prose that runs: the README's example and its output, examples in documents and docstrings."""

import contextlib
import doctest
import importlib
import io
import pathlib
import pkgutil
import re

import jax
import pytest

import ntkrnn

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
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / target).exists(), target
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make ([a-z-]+)", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


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
