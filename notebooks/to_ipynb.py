"""Write the .ipynb file of every notebook, without outputs: `make notebooks`.

The .py files are the source. A notebook that has not changed gives the same file, byte for byte: the
identifiers of its cells are made of what is in them.
"""

import hashlib
import pathlib

import jupytext

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def notebook(path: pathlib.Path) -> str:
    """The text of the .ipynb file of a .py file in percent format."""
    found = jupytext.read(path, fmt="py:percent")
    for i, cell in enumerate(found.cells):
        cell["id"] = hashlib.sha256(f"{i} {cell.source}".encode()).hexdigest()[:8]
    found.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return jupytext.writes(found, fmt="ipynb")


def main() -> None:
    """Write them all."""
    for path in sorted(pathlib.Path(__file__).parent.glob("0*.py")):
        path.with_suffix(".ipynb").write_text(notebook(path), encoding="utf-8")
        print(path.with_suffix(".ipynb").name)


if __name__ == "__main__":
    main()
