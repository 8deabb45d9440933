"""A linen module as a pure function of its parameters."""

from __future__ import annotations

from typing import Any

import flax.errors
import flax.linen as nn
import jax
import numpy as np

from ntkrnn._types import Outputs, Params
from ntkrnn.flax._recurrent import check_carry, check_time_axis
from ntkrnn.flax._steps import lengths_name, lengths_option, read_out
from ntkrnn.flax._tokens import check_sequences, check_tokens_known, entering, need_of_tokens

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

    def __init__(self, module: nn.Module, readout: Any, tokens: bool) -> None:
        self.module, self.readout, self.tokens = module, readout, tokens
        self._lengths_name = lengths_name(module)
        try:
            self._key: Any = (hash(module), module, readout, tokens)
        except TypeError:  # a field that cannot be hashed: only the same object is known to be equal
            self._key = (id(module), readout, tokens)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LinenApply) and self._key == other._key

    def __hash__(self) -> int:
        return hash((LinenApply, self._key[0], self.readout))

    def __repr__(self) -> str:
        return f"apply_fn_from_module({self.module!r}, readout={self.readout!r})"

    def __call__(self, params: Params, x: Any, lengths: Any = None) -> Outputs:
        """Outputs ``[N, O]`` or ``[N, T, O]``."""
        x, lengths = check_sequences(x, lengths, self.tokens)
        option = lengths_option(self.module, self._lengths_name, lengths)
        try:
            with nn.intercept_methods(_refuse), need_of_tokens(self.tokens):
                y = self.module.apply({"params": params}, entering(x, lengths, self.tokens), **option)
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
        check_tokens_known(y, self.tokens)
        return read_out(y, x, lengths, self.readout)


def _refuse(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
    """Look at every recurrent layer and cell as it is called: a compact module makes them then."""
    module = context.module
    if context.method_name == "__call__":
        if isinstance(module, nn.RNN):
            check_time_axis(kwargs.get("time_major"), module)
        elif isinstance(module, nn.RNNCellBase) and len(args) > 1:
            shape = np.shape(args[1])

            def initial(seed: int) -> Any:
                two = (2, *shape[len(shape) - module.num_feature_axes :])
                return module.initialize_carry(jax.random.key(seed), two)

            check_carry(module, initial)
    return call(*args, **kwargs)


def _first(error: Exception) -> str:
    """The first sentence of a message of flax."""
    return str(error).partition(". ")[0].partition(" (https")[0]
