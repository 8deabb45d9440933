"""All layers of a network along the diagonals of a block, in one direction or in two."""

from __future__ import annotations

from typing import Any

from ntkrnn._types import add_up
from ntkrnn.infinite.pairs._step import Pair, Plan, open_
from ntkrnn.infinite.recursion._sweep import Block, Sweep, Visit, store


def run_diagonal(
    plan: Plan, block: Block, visit: Visit | None, start: Any
) -> dict[str, tuple[Pair, Any]]:
    """Run all layers along the diagonals of one block and fold the top layer's states.

    With several layers in one direction all of them advance together and nothing is stored. With two
    directions a layer must be known along the whole diagonal before the next can start, so that the
    layers below the last are stored, for one block at a time.

    Args:
        plan: what to compute.
        block: its data.
        visit: applied to the top state at every position, or None for the final states alone.
        start: the initial value.

    Returns:
        For each direction, the final state of the top layer (without ``visit``; one position further
        with it) and the folded value.

    Cost: O(S L) passes over the block for S positions; memory O(block), or O(S block) for depth above
    1 with two directions.
    """
    form, sweep = plan.form, plan.sweep
    assert sweep is not None
    if not form.bidirectional:
        state, value = sweep(Sweep(plan, range(form.depth), "forward", block, None, visit), start)
        return {"forward": (open_(state), value)}

    stored = None
    for layer in range(form.depth - 1):
        empty = block.zero(block.capacity)
        both = [
            sweep(Sweep(plan, range(layer, layer + 1), d, block, stored, store), empty)[1]
            for d in form.directions
        ]
        stored = add_up(both) / len(both)
    top = range(form.depth - 1, form.depth)
    result = {}
    for direction in form.directions:
        state, value = sweep(Sweep(plan, top, direction, block, stored, visit), start)
        result[direction] = (open_(state), value)
    return result
