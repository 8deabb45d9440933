"""What an error of the library has to be, wherever it is raised."""

import re
import traceback
from pathlib import Path

import pytest

import ntkrnn

PACKAGE = Path(ntkrnn.__file__).parent


def refused(call, argument, *patterns, error=(ValueError, TypeError)):
    """The call raises, from a ``raise`` in ntkrnn, a message that opens with the argument's name."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert message.startswith(f"{argument}: "), message
    for pattern in patterns:
        assert re.search(pattern, message), (pattern, message)
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert Path(last.filename).is_relative_to(PACKAGE), last
    assert last.line.startswith("raise"), last
