"""What is said of errors: those that are there, and those that are handled, wanted, gone, or only spoken of."""

from __future__ import annotations

import time

import pytest

from muster.domain.rules import statements
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, only


@pytest.mark.parametrize(
    "text",
    [
        "It now fails with a KeyError.",
        "We are getting TimeoutError in CI.",
        "KeyError in checkout since the deploy",
        "`quote('CH')` raises KeyError.",
        "The upload test still fails with a TimeoutError.",
        "The new import fails with KeyError.",
        "The retry fails with a `ConnectionError`.",
        "The request fails because of a TimeoutError.",
        "After the upgrade it throws a NullPointerException.",
        "It still throws a ValidationError.",
        "The parser said ValueError: invalid literal for int()",
        "sqlite3.OperationalError: database is locked",
        "We see a ConnectionError every night.",
        "The NullPointerException occurs on login.",
        "There is an uncaught TypeError in the console.",
        "It does not work as expected.",
        "The export does not work any more.",
        "Nobody knows why it crashes.",
        "When I save it, it crashes.",
        "The upload times out.",
        "There is a random crash on login.",
        "Done. But the upload test still fails with a TimeoutError.",
    ],
)
def test_an_error_that_is_there_is_one(text: str) -> None:
    assert only(event({"role": "assistant", "text": text})).type == "error"


@pytest.mark.parametrize(
    "text",
    [
        "Negative quantities now raise a ValueError with a clear message.",
        "Done. Negative quantities now raise a ValueError. All 58 tests pass.",
        "Added a RateLimitError class. Committed as 3f2a1bc.",
        "The NullPointerException no longer occurs after the upgrade to 2.4.",
        "Retries now cover TimeoutError and ConnectionError. All 42 tests pass.",
        "The upload request times out after 30 s by design.",
        "The TimeoutError is handled by the client.",
        "The client catches KeyError: the answer is a 404 then.",
        "It used to crash when the list was empty.",
        "The parser raises a ParseError on bad input.",
        "The client throws a RangeError if n is negative.",
        "ApiError is called ClientError now.",
        "Unknown countries raise `UnknownCountryError`, a ValueError.",
        "A test checks that it fails with a KeyError.",
        "When the upload fails with 413, the client shows a message.",
        "If the request times out, it is retried.",
        "It no longer crashes when the list is empty.",
        "The login should not crash.",
        "There is a regression test for it.",
        "The KeyError is gone.",
        "The crash came from structuredClone, which Safari lacks.",
        "The guard prevents the crash when the cart is empty.",
        "parse() was changed so that it raises TypeError for strings.",
        "The script makes sure it fails with a ValueError.",
        "There are no TimeoutErrors any more.",
        "Negative amounts are rejected with a ValueError.",
        "The request would fail with a KeyError.",
        "Done. The checkout crashed because the cart was empty; it now looks first.",
    ],
)
def test_an_error_that_is_spoken_of_is_none(text: str) -> None:
    assert only(event({"role": "assistant", "text": text})).type in ("fact", "bugfix", "change", "feature")


def test_what_happens_no_longer_is_mended() -> None:
    assert only(event("The NullPointerException no longer occurs after the upgrade.")).type == "bugfix"
    assert only(event("The crash should no longer occur.")).type == "fact"
    assert only(event("The old key no longer works.")).type == "fact"


def test_a_hostile_sentence_takes_no_longer_than_it_is() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("A.", "Error ", "fails with ", "AError ", "a AError ", "still a a ", "if the ", "fails a b ", "is a ",
                "KeyError: x ", "tests that ", "A", "work ", "crash ", "raises ", "it is ", "fixed "):  # fmt: skip
        text = bit * (20_000 // len(bit))
        statements.breaks(text)
        statements.mends(text)
        statements.is_done(text)
    assert began.fair < 3
