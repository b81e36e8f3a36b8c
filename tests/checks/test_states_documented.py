"""ARCHITECTURE.md shows the states and moves as the domain has them. `python tests/checks/test_states_documented.py`
writes them anew. That SQL agrees is tested in tests/storage, against a real database."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from muster.domain.events import EventType
from muster.domain.states import AGENT_MOVES, RETRYABLE, TASK_MOVES, Reason

PAGE = Path(__file__).parents[2] / "ARCHITECTURE.md"
BEGIN, END = "<!-- states: generated -->", "<!-- states: end -->"


def table(name: str, moves: dict[StrEnum, frozenset[StrEnum]]) -> list[str]:
    lines = [f"| {name} | may become |", "|---|---|"]
    for state, following in moves.items():
        names = ", ".join(f"`{other}`" for other in type(state) if other in following)
        lines.append(f"| `{state}` | {names or '—'} |")
    return lines


def section() -> str:
    lines = [
        *table("task", TASK_MOVES),  # type: ignore[arg-type]
        "",
        *table("agent", AGENT_MOVES),  # type: ignore[arg-type]
        "",
        "Events: " + " ".join(f"`{event}`" for event in EventType) + ".",
        "",
        "Reasons of a failure, those after which another attempt may follow in bold: "
        + ", ".join(f"**`{reason}`**" if reason in RETRYABLE else f"`{reason}`" for reason in Reason)
        + ".",
    ]
    return f"{BEGIN}\n\n" + "\n".join(lines) + f"\n\n{END}"


def with_section(page: str) -> str:
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return head + section() + tail


def test_the_page_shows_the_states_as_they_are() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert BEGIN in page
    assert END in page
    assert page == with_section(page), "stale: run `python tests/checks/test_states_documented.py`"


if __name__ == "__main__":
    PAGE.write_text(with_section(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
