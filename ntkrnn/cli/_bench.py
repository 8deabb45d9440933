"""``ntkrnn bench``."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import typer

from ntkrnn import bench
from ntkrnn._files import write_json
from ntkrnn.cli._console import out, progress_bar, user_errors
from ntkrnn.cli._options import out_folder
from ntkrnn.report import write_figure


def bench_command(
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes, to see that everything runs.")
    ] = False,
    all_peers: Annotated[
        bool,
        typer.Option("--all-peers", help="Also the implementations of peers that take minutes."),
    ] = False,
    only: Annotated[
        str,
        typer.Option(metavar="TEXT,..", help="Only rows whose name contains this, or one of these."),
    ] = "",
    out_dir: Annotated[
        str, typer.Option("--out", metavar="DIR", help="Folder for bench.json and the figure.")
    ] = "out/bench",
) -> None:
    """Measure the kernels and their peers in one run, and say which targets are met."""
    rows, fresh = bench.rows(quick, all_peers), bench.fresh_rows(quick)
    parts = only.split(",")

    def wanted(row: Any) -> bool:
        return any(part in row.name for part in parts)

    chosen, chosen_fresh = list(filter(wanted, rows)), list(filter(wanted, fresh))
    with user_errors(ValueError, OSError):
        for part in parts:
            named = [*(row.name for row in rows), *(row.name for row in fresh), "sampling"]
            if not any(part in name for name in named):
                names = ", ".join(named)
                raise ValueError(f"--only: got {part!r}, expected part of one of {names}.")
        folder = out_folder(out_dir)
    results, started, extra, sampling = [], [], {}, None
    sampled = not only or "sampling" in parts
    with progress_bar("rows") as bar:
        total = len(chosen) + len(chosen_fresh) + sampled + (0 if only else 3)
        task = bar.add_task("", total=total)
        for row in chosen:
            bar.update(task, description=f"{row.name}")
            results.append(bench.measure(row))
            bar.advance(task)
        for row in chosen_fresh:
            bar.update(task, description=f"{row.name}")
            started.append(bench.measure_fresh(row))
            bar.advance(task)
        curves = []
        if sampled:
            bar.update(task, description="sampling")
            sampling = bench.sampling(quick)
            extra["sampling"] = sampling.record()
            bar.advance(task)
        if not only:
            bar.update(task, description="memory")
            extra["memory"] = bench.memory(quick)
            bar.advance(task)
            bar.update(task, description="ceilings")
            extra["ceilings"] = bench.ceilings(results)
            bar.advance(task)
            bar.update(task, description="scaling")
            curves = bench.scaling(quick)
            extra["scaling"] = [curve._asdict() for curve in curves]
            bar.advance(task)
    console = out()
    if not console.is_terminal:  # in a file nothing has to fit a screen
        console.width = max(console.width, 170)
    if results:
        console.print(bench.table(results))
    if started:
        console.print(bench.fresh_table(started))
        extra["fresh"] = bench.fresh_record(started)
    for line in [] if sampling is None else sampling.lines():
        console.print(line, highlight=False, soft_wrap=True)
    _say(extra, console)
    with user_errors(OSError):
        files = [write_json(folder / "bench.json", bench.record(results, {"quick": quick, **extra}))]
        if sampling is not None:
            figure = bench.costs_figure(sampling.costs, jax.devices()[0].device_kind)
            files.append(write_figure(folder / "sampling.png", figure))
        if curves:
            figure = bench.scaling_figure(curves, jax.devices()[0].device_kind)
            files.append(write_figure(folder / "scaling.png", figure))
    console.print("Wrote:")
    for file in files:
        console.print(f"  {file}", highlight=False, soft_wrap=True)


def _say(extra: dict[str, Any], console: Any) -> None:
    """Memory and ceilings, a line each."""
    if "memory" in extra:
        mean, finite, gradient = (
            extra["memory"][name]
            for name in ("mean_readout", "finite_temporaries", "gradient_temporaries")
        )
        console.print(
            f"Memory: readout mean at N={mean['N']} T={mean['T']} "
            f"{mean['megabytes_above_import']:.0f} MB above the import (target: below "
            f"{mean['target']:.0f}); temporaries of a gradient at N={gradient['N']} T={gradient['T']} "
            f"{gradient['megabytes']:.0f} MB (target: below {gradient['target']:.0f}); finite NTK at "
            f"N={finite['N']} T={finite['T']} m={finite['m']}: "
            f"the leanest peer keeps {finite['leanest_peer_over_ours']:.0f} times our temporaries "
            f"(target: {finite['target']:.0f}).",
            highlight=False,
        )
    if "ceilings" in extra:
        found = extra["ceilings"]
        console.print(
            f"Ceilings: multiply-adds {found['multiply_add'] / 1e9:.0f} GFLOP/s, matrix product "
            f"{found['matrix_product'] / 1e9:.0f} GFLOP/s, stream {found['stream'] / 1e9:.0f} GB/s.",
            highlight=False,
        )
        for name, value in found.items():
            if isinstance(value, dict) and "operations_per_second" in value:
                console.print(
                    f"{name}: {value['operations_per_second'] / 1e9:.0f} GFLOP/s in products with W, "
                    f"{100 * value['share_of_matrix_product']:.0f}% of the matrix-product ceiling.",
                    highlight=False,
                )
            elif isinstance(value, dict):
                console.print(
                    f"{name}: {value['pair_steps_per_second'] / 1e9:.2f} G pair-steps/s, "
                    f"{100 * value['share_of_multiply_add']:.0f}% of the multiply-add ceiling.",
                    highlight=False,
                )
