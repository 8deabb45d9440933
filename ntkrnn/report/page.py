"""Pages that need nothing beside themselves: HTML with its style and its figures inside."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
img { max-width: 100%; border: 1px solid #ddd; }
table { border-collapse: collapse; margin: 0.8rem 0; font-size: 0.9rem; }
th, td { border-bottom: 1px solid #ddd; padding: 0.25rem 0.7rem; text-align: left; }
th { border-bottom: 2px solid #888; }
.agrees { color: #1b6b37; font-weight: 600; } .disagrees { color: #a3271c; font-weight: 600; }
.inconclusive { color: #8a6100; font-weight: 600; }
.small { color: #666; font-size: 0.85rem; }
"""


def page(title: str, heading: str, body: str) -> bytes:
    """A document of HTML, in UTF-8.

    Args:
        title: of the window, plain text.
        heading: the first line, plain text.
        body: HTML.

    Example:
        >>> page("a < b", "One", "<p>two</p>")[:15]
        b'<!doctype html>'
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>{html.escape(heading)}</h1>\n{body}\n</body></html>\n"
    ).encode()


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; its cells are HTML.

    Example:
        >>> table(["a"], [["1"]])
        '<table><tr><th>a</th></tr><tr><td>1</td></tr></table>\\n'
    """
    line = lambda cells, tag: "".join(f"<{tag}>{cell}</{tag}>" for cell in cells)  # noqa: E731
    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f"<table><tr>{line(columns, 'th')}</tr>{body}</table>\n"


def escaped(cells: Sequence[object]) -> list[str]:
    """Plain values as cells of a table."""
    return [html.escape(str(cell)) for cell in cells]


def image(path: Path, words: str) -> str:
    """A PNG within the page, and what it shows in words, for who does not see it.

    Raises:
        OSError: if it cannot be read.
    """
    content = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{html.escape(words)}" src="data:image/png;base64,{content}">\n'
