"""Where sentences end, and where only a word is cut short."""

from __future__ import annotations

import time

import pytest

from muster.domain.rules.sentences import sentences
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, only


@pytest.mark.parametrize(
    "sentence",
    [
        "The change was approved by Dr. Weber.",
        "It allows approx. 500 requests per minute per key.",
        "For this see issue No. 12 of the tracker.",
        "Mr. and Mrs. Smith of Acme Inc. Berlin pay by card.",
        "It was J. R. Smith who did it.",
        "J.R.R. Tolkien is in the list of names.",
        "Use a cache, e.g. Redis, or i.e. Valkey.",
        "See St. Gallen, Fig. 3 on p. 5, and Vol. 2 of it.",
        "We compared Redis vs. Valkey.",
        "Der Server bleibt bis 15. Dezember an.",
        "Am 15. 12. 2026 ist Schluss.",
        "Im 2. Versuch ging es.",
        "Die Wartung ist am 15. Dezember um 22 Uhr, z. B. nach dem Nachtlauf.",
        "Das gilt z.B. Kunden bzw. Nutzern mit ca. 50 Konten.",
        "Laut Art. 6 Abs. 1 ist das Nr. 3 der Liste.",
        "Claim them with UPDATE … RETURNING.",
        "Claim them with UPDATE ... RETURNING.",
        "Upgrade to Python 3.13.2 and .NET 8 in main.py.",
        "Logs etc. are gone.",
    ],
)
def test_a_sentence_goes_on_behind_what_is_cut_short(sentence: str) -> None:
    assert sentences(f"Hello there. {sentence} It is so.") == ["Hello there.", sentence, "It is so."]
    assert only(event(sentence)).title.endswith(sentence[1:])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The answer is no. We go on.", ["The answer is no.", "We go on."]),
        ("Logs, caches, etc. The rest stays.", ["Logs, caches, etc.", "The rest stays."]),
        ("They sold it to Acme Inc. The contract ends.", ["They sold it to Acme Inc.", "The contract ends."]),
        ("We left at 5 p.m. It rained.", ["We left at 5 p.m.", "It rained."]),
        ("It took 5 min. 3 of them failed.", ["It took 5 min.", "3 of them failed."]),
        ("It took 5 ms. Then it ended.", ["It took 5 ms.", "Then it ended."]),
        ("We go with plan B. Migration starts.", ["We go with plan B.", "Migration starts."]),
        ("She and I. Then we.", ["She and I.", "Then we."]),
        ("Upgrade to 2.4. All is good.", ["Upgrade to 2.4.", "All is good."]),
        ("Look at main.py. Rename it.", ["Look at main.py.", "Rename it."]),
        ("There are 15. That is enough.", ["There are 15.", "That is enough."]),
        ("Hmm… Let me see.", ["Hmm…", "Let me see."]),
        ("Hmm... Let me see.", ["Hmm...", "Let me see."]),
        ("Really? Yes! So be it.", ["Really?", "Yes!", "So be it."]),
        ("1. Add it\n2. Remove it", ["Add it", "Remove it"]),
        ("今日は。明日は。", ["今日は。", "明日は。"]),
        ("by Dr.\n\nThe end", ["by Dr.", "The end"]),
        (
            'decided: only LF is sent\ntoken: 7 was seen\n{"ok": true}',
            ["decided: only LF is sent", "token: 7 was seen", '{"ok": true}'],
        ),
        ("one,\ntwo", ["one, two"]),
        (
            "The two queues are kept apart, since the slow one held up\nthe other one for minutes.",
            ["The two queues are kept apart, since the slow one held up the other one for minutes."],
        ),
        (
            "We decided to run the migration again on all of the shards there are.\nstep 71: done",
            ["We decided to run the migration again on all of the shards there are.", "step 71: done"],
        ),
        (
            "It runs on every machine that has more of memory than it needs, e.g.\nthe one here",
            ["It runs on every machine that has more of memory than it needs, e.g. the one here"],
        ),
        (
            "She waits for whoever was asked to come to it on the day before...\nand then she goes",
            ["She waits for whoever was asked to come to it on the day before... and then she goes"],
        ),
    ],
)
def test_a_sentence_ends_where_it_ends(text: str, found: list[str]) -> None:
    assert sentences(text) == found


def test_many_ends_take_no_longer_than_they_are() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("a. A", "… A", "1. ", "z. B. ", "J. ", ". ", "Dr. W ", "am 1. ", "1\n. ", "a\nb", '." ', "\n", " "):
        sentences(bit * (20_000 // len(bit)), 10**9)
    assert began.fair < 2
