"""A linen module as a pure function of its parameters."""

from __future__ import annotations

from typing import Any

import flax.errors
import flax.linen as nn

from ntkrnn import _checks
from ntkrnn._types import Outputs, Params
from ntkrnn.flax._steps import lengths_name, lengths_option, read_out, without_padding

_UNFITTING = (
    flax.errors.ScopeParamNotFoundError,
    flax.errors.ScopeParamShapeError,
    flax.errors.ApplyScopeInvalidVariablesStructureError,
    flax.errors.ApplyScopeInvalidVariablesTypeError,
)
_OTHER_VARIABLES = (
    flax.errors.ScopeCollectionNotFound,
    flax.errors.ScopeVariableNotFoundError,
    flax.errors.ModifyScopeVariableError,
)


class LinenApply:
    """``apply_fn(params, x, lengths=None)`` of a linen module; equal for equal modules."""

    def __init__(self, module: nn.Module, readout: str | None) -> None:
        self.module, self.readout = module, readout
        self._lengths_name = lengths_name(module)
        try:
            self._key: Any = (hash(module), module, readout)
        except TypeError:  # a field that cannot be hashed: only the same object is known to be equal
            self._key = (id(module), readout)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LinenApply) and self._key == other._key

    def __hash__(self) -> int:
        return hash((LinenApply, self._key[0], self.readout))

    def __repr__(self) -> str:
        return f"apply_fn_from_module({self.module!r}, readout={self.readout!r})"

    def __call__(self, params: Params, x: Any, lengths: Any = None) -> Outputs:
        """Outputs ``[N, O]`` or ``[N, T, O]``."""
        x, lengths = _checks.side("x", x, lengths)
        option = lengths_option(self.module, self._lengths_name, lengths)
        try:
            y = self.module.apply({"params": params}, without_padding(x, lengths), **option)
        except flax.errors.InvalidRngError as error:
            raise ValueError(
                f"module: {type(self.module).__name__} draws random numbers ({_first(error)}), "
                "expected a deterministic one; build it with deterministic=True in its Dropout layers."
            ) from error
        except flax.errors.FlaxError as error:
            if 'collection "params"' in str(error) or isinstance(error, _UNFITTING):
                raise ValueError(
                    f"params: got parameters that do not fit {type(self.module).__name__} "
                    f"({_first(error)}), expected module.init(key, x)['params'] for x with "
                    f"d={x.shape[2]} channels."
                ) from error
            if isinstance(error, _OTHER_VARIABLES):
                raise ValueError(
                    f"module: {type(self.module).__name__} has variables beside its parameters "
                    f"({_first(error)}), expected 'params' only; write the function yourself, "
                    "`lambda params, x: module.apply({'params': params, **others}, x)`, with the "
                    "others held fixed, and no statistics over the batch."
                ) from error
            raise
        return read_out(y, x, lengths, self.readout)


def _first(error: Exception) -> str:
    """The first sentence of a message of flax."""
    return str(error).partition(". ")[0].partition(" (https")[0]
