"""What somebody says is done, decided or wanted: and what only sounds like it."""

from __future__ import annotations

import time

import pytest

from muster.domain.rules import statements
from muster.domain.rules.talk import is_courtesy
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("I fixed the deadlock.", "bugfix"),
        ("It took a day, but the deadlock is solved.", "bugfix"),
        ("The root cause of the outage was a stale cache.", "bugfix"),
        ("The bug is not fixed yet.", "error"),
        ("I have not solved the deadlock.", "error"),
        ("I could not fix the deadlock.", "error"),
        ("The deadlock isn't resolved.", "error"),
        ("Not resolved: the login loop.", "error"),
        ("This must be fixed before Monday.", "error"),
        ("The problem is that refunds are paid twice; nobody has looked at it.", "error"),
        ("The bug is not in cart.py.", "discovery"),
        ("The root cause is unknown.", "fact"),
        ("I have to find the root cause.", "fact"),
        ("The API has a fixed limit of 100.", "fact"),
        ("It does not need to be solved.", "fact"),
        ("Is the deadlock fixed?", "question"),
        ("Der Fehler beim Login ist noch nicht behoben.", "error"),
        ("Das Problem wurde nicht behoben, weil die Doku fehlt.", "error"),
        ("Der Absturz ist behoben, tritt aber wieder auf.", "error"),
        ("Die Doku war nicht aktuell, und der Absturz ist behoben.", "bugfix"),
        ("这个问题还没有修复了。", "error"),
        ("未处理的异常已经修复了。", "bugfix"),
        ("The README claims that the race condition is fixed, but it still happens.", "error"),
        ("The README claims that the race condition is fixed.", "fact"),
        ("I thought I had fixed the crash, but it came back.", "error"),
        ("We fixed the crash in 2.1, and 2.2 broke it again.", "error"),
        ("We fixed the outage, and it is back up.", "bugfix"),
        ("I fixed the crash, but the docs still show the old name.", "bugfix"),
    ],
)
def test_what_is_not_fixed_is_no_fix(text: str, kind: str) -> None:
    assert only(event(text)).type == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("We will keep the old format because customers use it.", "decision"),
        ("We will use Redis for sessions.", "decision"),
        ("We decided not to use Redis.", "decision"),
        ("We will switch to pnpm next week.", "decision"),
        ("We will use Redis from now on.", "decision"),
        ("It was not fast enough, so we chose Redis over Memcached.", "decision"),
        ("There was no decision on the cache yet.", "fact"),
        ("The decision on the cache is still open.", "fact"),
        ("We have not decided on a database.", "fact"),
        ("I decided nothing yet.", "fact"),
        ("Wir haben uns noch nicht entschieden.", "fact"),
        ("Wir haben uns entschieden, nicht zu warten.", "decision"),
        ("Bitte immer deutsche Kommentare schreiben, und nie Tabs.", "preference"),
        ("Niemals direkt auf main pushen.", "preference"),
        ("Schreibe Kommentare immer auf Deutsch.", "preference"),
        ("Ne pousse jamais sur main sans me demander.", "preference"),
        ("Toujours écrire les commentaires en français.", "preference"),
        ("Siempre escribe los comentarios en español.", "preference"),
        ("Nunca hagas push a main sin preguntarme.", "preference"),
        ("Immer noch Probleme mit den Tabs beim Laden.", "fact"),
        ("Nie haben wir das gesehen.", "fact"),
        ("Siempre falla en Safari.", "fact"),
        ("I'd like tabs.", "preference"),
        ("I would like to keep dates in UTC.", "fact"),
        ("Never deploy by hand.", "preference"),
        ("Remember: always go through the CI pipeline.", "preference"),
        ("We squash nothing, and please never force a push to main.", "preference"),
        ("Never seen this before in the logs.", "fact"),
        ("Always looked fine to me.", "fact"),
        ("Always great to see you!", "fact"),
        ("Never mind.", "fact"),
    ],
)
def test_what_is_decided_or_wanted(text: str, kind: str) -> None:
    assert only(event(text)).type == kind


@pytest.mark.parametrize(
    "text",
    [
        "I will use sed to change the file now.",
        "I will keep reading.",
        "We will keep looking.",
        "I'd like to check the logs first.",
        "I'll use Grep to look for the coupon code first.",
        "Great. Now I'll look at cart.py. Then I'll run the tests.",
    ],
)
def test_a_next_step_is_nothing_to_remember(text: str) -> None:
    assert made(event(text)) == []
    # People say what they want done in the same words, or what they do themselves.
    assert [one.type for one in made(event({"prompt": text}, "prompt"))] == ["request"]
    assert len(made(event({"speaker": "Ann", "text": text}))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "I found that the coupon is in cart.py. I'll check the tests.",
        "I'll see my doctor on Tuesday.",
        "I'll check the logs tomorrow.",
        "I will run the tests with Python 3.13 because 3.12 is broken.",
    ],
)
def test_a_next_step_with_something_beside_it_is_kept(text: str) -> None:
    assert len(made(event(text))) == 1


def test_rules_are_known_whatever_they_forbid() -> None:
    one = only(event({"prompt": "No, never deploy by hand! Always go through the CI pipeline."}, "prompt"))
    assert (one.type, one.title) == ("preference", "Never deploy by hand!")
    assert one.facts == ["Always go through the CI pipeline."]


def test_a_hostile_sentence_takes_no_longer_than_it_is() -> None:
    began = Stopwatch(time.process_time)
    for bit in (
        "no, ",
        "never ",
        "we will use ",
        "not ",
        "root cause ",
        "i'd like ",
        "ok, now ",
        "so ",
        "fixed ",
        "decision ",
        "fixed, but it now ",
        "immer schreiben ",
        "bitte ",
        "nicht behoben ",
        "没有修复了",
        "we thought ",
    ):
        text = bit * (20_000 // len(bit))
        for says in (statements.decides, statements.prefers, statements.mends, statements.breaks, statements.narrates):
            says(text)
        is_courtesy(text)
    assert began.fair < 5


@pytest.mark.parametrize(
    "said",
    [
        "Found: the wallaby sensor reports metres as feet.",
        "Root cause: the wallaby sensor reports metres as feet.",
        "We decided that the wallaby sensor is replaced.",
    ],
)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1.0])
def test_what_counts_in_a_long_message_is_kept_wherever_it_stands(said: str, share: float) -> None:
    lines = [f"plain remark {n} about nothing in particular" for n in range(1200)]
    lines.insert(int(len(lines) * share), said)
    found = made(event({"role": "assistant", "text": "\n".join(lines)}))
    assert len(found) <= 14
    assert any("wallaby" in one.title for one in found)


def test_the_end_of_a_very_long_message_is_kept() -> None:
    lines = [f"plain remark {n} about nothing in particular" for n in range(4000)]
    found = made(event({"role": "assistant", "text": "\n".join([*lines, "We decided that the wallaby goes."])}))
    assert "wallaby" in found[-1].content
    assert not any("…" in line for one in found for line in one.content.splitlines() if "remark" in line)
