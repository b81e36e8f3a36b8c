"""`python -m benchmarks`: measure, print a table, keep the figures."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import sys
import time
import traceback
from pathlib import Path

import click
import uvloop
from rich.console import Console

from benchmarks import usage
from benchmarks.bench import Bench
from benchmarks.report import Figure, Report, machine
from benchmarks.system import RESULTS
from muster.services.errors import StartupError

ROW_SECONDS = 1200  # a row that hangs is to be seen beside the others, too
NOISE = 0.15  # cores that others may take before the figures are worth little
ROWS = (
    "lives", "spawn", "kill", "delivery", "reads", "auth", "memory", "recovery", "fairness", "backlog", "durability",
    "ingest", "memory_drain", "search",
)  # fmt: skip
PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="Shorter, and less exact.")
@click.option("--only", multiple=True, type=click.Choice(ROWS), help="This row alone; may be repeated.")
@click.option("--durability", type=click.Choice(["full", "normal"]), default="full", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default=RESULTS / "latest.json", help="Where the JSON goes.")
@click.option("--docs", is_flag=True, help=f"Also write {PAGE.parent.name}/{PAGE.name}.")
def main(quick: bool, only: tuple[str, ...], durability: str, output: Path, docs: bool) -> None:
    """Measure Muster beside bare yardsticks on real servers in throw-away homes. About 15 minutes; --quick: 5."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    rows = [row for row in ROWS if row in only or not only]
    try:
        report = uvloop.run(run(rows, quick=quick, durability=durability))
    except asyncio.CancelledError:  # SIGTERM: everything was stopped on the way here
        raise click.Abort from None
    except StartupError as error:
        raise click.ClickException(str(error)) from None
    report.print(console)
    report.write_json(output)
    console.print(f"figures: {output}")
    if docs:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(report.page())
        console.print(f"page: {PAGE}")


async def run(rows: list[str], *, quick: bool, durability: str) -> Report:
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {what}", file=sys.stderr, flush=True)

    if task := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    figures: list[Figure] = []
    machine_before = usage.machine_seconds()
    async with Bench(quick=quick, durability=durability, say=say) as bench:
        for row in rows:
            say(row)
            module = importlib.import_module(f"benchmarks.rows.{row}")
            try:
                async with asyncio.timeout(ROW_SECONDS):
                    figures += await module.measure(bench)
            except StartupError:
                raise
            except Exception as error:  # one row that cannot be measured is to be seen beside the others
                traceback.print_exc()
                figures.append(Figure(row, "not measured", "", None, note=f"{type(error).__name__}: {error}"))
    took = time.monotonic() - began
    # Every process of ours has ended by now, and is counted with us.
    others = (usage.machine_seconds() - machine_before - usage.seconds([os.getpid()])) / took
    options = {
        "Temporal's SQLite": f"synchronous={durability.upper()}",
        "Run": f"{'quick' if quick else 'full length'}, {took / 60:.0f} minutes",
        "Others on the machine": f"took {max(others, 0.0):.2f} cores meanwhile"
        + (": too much, do not trust these figures" if others > NOISE else ""),
    }
    return Report(machine(bench.versions), options, figures)


if __name__ == "__main__":
    main()
