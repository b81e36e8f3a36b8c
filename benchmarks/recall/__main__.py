"""`python -m benchmarks.recall`: tell a memory the set, ask it every question, and print how well it answered."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table as Lines

from benchmarks.recall import locomo, scores, xquad
from benchmarks.recall.loading import MODES, Memory
from benchmarks.recall.material import SETS
from benchmarks.recall.questions import Question, RecallSet, recall_set


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--set", "names", type=click.Choice([*SETS]), multiple=True, help="What is told: both, one after the other."
)
@click.option("--turns", "one_each", is_flag=True, help="One observation a turn, instead of what the rules make of it.")
@click.option(
    "--half", type=click.Choice(["tuning", "held out"]), help="Only these questions. Weights are set on tuning."
)
@click.option(
    "--locomo",
    "talks",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Instead of the sets: conversations in a file of LoCoMo's form (locomo10.json).",
)
@click.option(
    "--xquad",
    "paragraphs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Instead of the sets: paragraphs in a folder of XQuAD's files (xquad.el.json), in as many languages.",
)
@click.option("--misses", metavar="KIND", help="Show what fused did not find among the first five; `all` of it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--check", is_flag=True, help="Exit with 1 unless fused is ahead of both on every kind.")
def main(
    names: tuple[str, ...],
    one_each: bool,
    half: str | None,
    talks: Path | None,
    paragraphs: Path | None,
    misses: str | None,
    as_json: bool,
    check: bool,
) -> None:
    """Measure how well memory finds what it was told.

    A set: questions of six kinds over the turns of seven projects in a year, with the turns that answer them marked.
    Weights were chosen with both in sight; "unseen" is about other things in other words. The turns go through
    the door of agent events and the rules generator into a PostgreSQL of their own, embedded, and get the embedder's
    vectors; with --turns each turn is stored as it is. Each question is asked in its project, by words alone, by
    vectors alone, and fused. Printed are, by kind: the share of the evidence among the first 5 and the first 10, and
    the mean reciprocal rank of the first that is (MRR). Fused is ahead where the mean of the three is higher than that
    of words and that of vectors. About two minutes.
    """
    given = [(talks.stem, locomo.read(talks))] if talks else []
    given += [(paragraphs.name, xquad.read(paragraphs))] if paragraphs else []
    given = given or [(name, recall_set(name)) for name in names or SETS]
    behind = [_of(name, told, one_each, half, misses, as_json) for name, told in given]
    if check and any(behind):
        print(f"fused is not ahead on: {', '.join(kind for kinds in behind for kind in kinds)}", file=sys.stderr)
        raise SystemExit(1)


def _of(name: str, given: RecallSet, one_each: bool, half: str | None, misses: str | None, as_json: bool) -> list[str]:
    """The kinds on which fused is not ahead."""
    questions = [question for question in given.questions if half in (None, question.half)]
    if not questions:
        return []
    began = time.monotonic()
    made, found, rankings = asyncio.run(_measure(given, questions, one_each=one_each))
    behind = scores.lost(found)
    seconds = round(time.monotonic() - began, 1)
    if as_json:
        print(json.dumps({
            "set": name, "turns": len(given.turns), "observations": made, "questions": len(questions),
            "seconds": seconds,
            "kinds": {kind: {mode: score._asdict() for mode, score in row.items()} for kind, row in found.items()},
            "fused_ahead": not behind, "behind": behind,
        }))  # fmt: skip
    else:
        _print(name, given, questions, made, found, seconds)
        if misses:
            _print_misses(given, questions, rankings, misses)
    return [f"{kind} of {name}" for kind in behind]


async def _measure(
    given: RecallSet, questions: list[Question], *, one_each: bool
) -> tuple[int, scores.Table, list[scores.Ranking]]:
    async with Memory() as memory:
        made = await memory.tell(given.turns, as_events=not one_each)
        rankings = {mode: [await memory.ask(question, mode) for question in questions] for mode in MODES}
    judged = {
        mode: [scores.of(ranking, question.evidence) for question, ranking in zip(questions, given_back, strict=True)]
        for mode, given_back in rankings.items()
    }
    return made, scores.table(questions, judged), list(rankings["fused"])


def _print(
    name: str, given: RecallSet, questions: list[Question], made: int, found: scores.Table, seconds: float
) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    sessions = len({turn.session for turn in given.turns})
    console.print(
        f"{name}: {len(questions)} questions, {len(given.turns)} turns in {sessions} sessions, "
        f"{made} observations, {seconds} s"
    )
    lines = Lines("kind", "questions", *MODES, "fused", caption="recall@5  recall@10  MRR", header_style="bold")
    behind = scores.lost(found)
    for kind, row in found.items():
        count = sum(kind in ("all", question.kind) for question in questions)
        cells = ["  ".join(f"{figure:.2f}" for figure in row[mode]) for mode in MODES]
        lines.add_row(kind, str(count), *cells, "behind" if kind in behind else "ahead of both")
    console.print(lines)


def _print_misses(given: RecallSet, questions: list[Question], rankings: list[scores.Ranking], kind: str) -> None:
    said = {turn.id: turn.said.replace("\n", " ") for turn in given.turns}
    for question, ranking in zip(questions, rankings, strict=True):
        if kind in ("all", question.kind) and scores.of(ranking, question.evidence).recall_5 < 1:
            print(f"\n{question.kind}, {question.half}: {question.text}")
            for turn in question.evidence:
                place = next((rank for rank, made_of in enumerate(ranking, 1) if turn in made_of), "not found")
                print(f"   wanted, at {place}: {said[turn][:140]}")
            for made_of in ranking[:3]:
                print(f"     instead: {' | '.join(said[turn][:100] for turn in made_of[:2])}")


if __name__ == "__main__":
    main()
