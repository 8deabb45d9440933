"""Counts what the backend compiles."""

import contextlib

import jax

EVENT = "/jax/core/compile/backend_compile_duration"
RECORDED = []


def _record(event, duration, **details):
    del duration, details
    if event == EVENT:
        RECORDED.append(event)


# JAX has no public way to remove one listener: it is registered once and stays.
jax.monitoring.register_event_duration_secs_listener(_record)


@contextlib.contextmanager
def compilations():
    """Collects how many programs the backend compiled, or read from its cache, inside the block."""
    before, count = len(RECORDED), []
    yield count
    count.append(len(RECORDED) - before)
