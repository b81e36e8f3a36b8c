"""What a session was asked, and what is open when it ends: each once, and nothing that was done another way."""

from __future__ import annotations

import time

import pytest

from muster.domain.memory import Event
from muster.domain.rules.summary import summarise
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, tool


def opened(*events: Event) -> str:
    (one,) = summarise("A session", events, made(*events)).observations
    return (one.narrative or "").partition("Open:\n")[2].partition("\n\n")[0]


def test_a_summary_says_once_what_was_asked() -> None:
    words = ("ok, use port 8443 for now", "Good. Where do the nightly logs go?", "great work, now push it",
             "thanks a lot, that is all for now")  # fmt: skip
    events = [
        each
        for said in words
        for each in (event({"prompt": said}, "prompt"), event({"role": "assistant", "text": "It is in mocks/pay.ts."}))
    ]
    (one,) = summarise(None, events, made(*events)).observations
    assert one.title == "Summary: Use port 8443 for now"
    asked = (one.narrative or "").partition("Asked:\n")[2].partition("\n\n")[0]
    assert asked.split("\n") == ["- Use port 8443 for now", "- Where do the nightly logs go?", "- Push it"]


@pytest.mark.parametrize("text", ["Please move the server.", "Bitte den Server umziehen.", "送料を追加してください。"])
def test_what_a_person_asked_in_a_message_was_asked(text: str) -> None:
    events = [event({"role": "user", "content": text}), event({"role": "assistant", "content": "The disk is full."})]
    (one,) = summarise(None, events, made(*events)).observations
    assert (one.narrative or "").startswith(f"Asked:\n- {text}\n\n")


NO_PACKAGE = "ERROR: No matching distribution found for reportlab"
NO_UNIT = "Unit parcel-print.service could not be found."
NO_HOST = "curl: (6) Could not resolve host: db.example"


@pytest.mark.parametrize(
    ("failed", "said", "later", "still_open"),
    [
        ("pip install reportlab", NO_PACKAGE, "pip install --index-url https://x.example/s reportlab==4.2.5", False),
        ("pip install reportlab", NO_PACKAGE, "python -m pip install -q reportlab", False),
        ("pip install reportlab", NO_PACKAGE, "pip install reportlab2", True),
        ("pip install reportlab", NO_PACKAGE, "pip uninstall -y reportlab", True),
        ("pip install reportlab", NO_PACKAGE, "pip install --dry-run reportlab", True),
        ("pip install reportlab", NO_PACKAGE, "pip index versions reportlab", True),
        ("ssh a-02 systemctl status parcel-print", NO_UNIT,
         "scp p a-02:/etc && ssh a-02 systemctl enable --now parcel-print", False),
        ("ssh a-02 systemctl status parcel-print", NO_UNIT, "ssh a-02 'systemctl restart parcel-print.service'", False),
        ("ssh a-02 systemctl status parcel-print", NO_UNIT, "ssh a-03 systemctl enable parcel-print", True),
        ("ssh a-02 systemctl status parcel-print", NO_UNIT, "ssh a-02 systemctl enable parcel-scan", True),
        ("systemctl restart parcel-print", NO_UNIT, "systemctl enable parcel-print", True),
        ("curl http://db.example/a", NO_HOST, "curl -s -o /dev/null http://db.example/b", False),
        ("curl http://db.example/a", NO_HOST, "curl http://dc.example/a", True),
        ("kubectl apply -f a.yaml", "error: unable to read a.yaml", "kubectl apply -n web -f a.yaml", False),
        ("terraform apply", "Error: Invalid reference", "terraform apply -var a=b", True),
    ],
)  # fmt: skip
def test_what_was_done_another_way_is_done(failed: str, said: str, later: str, still_open: bool) -> None:
    first = tool("Bash", {"command": failed}, {"stdout": said}, exit_code=1)
    then = tool("Bash", {"command": later}, {"stdout": "it went well"}, exit_code=0)
    assert (" fails: " in opened(first, then)) is still_open
    again = tool("Bash", {"command": later}, {"stdout": said}, exit_code=1)
    assert " fails: " in opened(first, again)


@pytest.mark.parametrize(
    "text",
    [
        "To do: backfill the old rows.",
        "Next steps: measure LCP on mobile.",
        "Still open: the alert on failure is not configured.",
        "Open: the alert on failure.",
        "Remaining work: the alert.",
        "The alert is not configured yet.",
        "Later we need an alert.",
        "I could not remove legacy.js because two pages still import it.",
        "We were not able to reach the host.",
        "Offen: Backup einrichten.",
        "Das Backup der neuen Datenbank ist noch nicht eingerichtet.",
        "Ich konnte legacy.js nicht entfernen.",
        "Il reste à configurer l'alerte.",
        "L'alerte n'est pas encore configurée.",
        "Queda pendiente configurar la alerta.",
        "Todavía no hay una alerta.",
        "離島の追加料金はまだ未対応です。",
        "警报尚未配置。",
        "경보는 아직 설정되지 않았습니다.",
        "Оповещение ещё не настроено.",
    ],
)
def test_what_is_left_is_open_in_any_language(text: str) -> None:
    talk = (
        event({"prompt": "Move the cron job."}, "prompt"),
        event({"role": "assistant", "text": f"It moved. {text}"}),
    )
    assert text in opened(*talk)


@pytest.mark.parametrize(
    "text",
    [
        "Still open: nothing.",
        "Offen: nichts.",
        "There is nothing left to do.",
        "No open questions remain.",
        "The queue is no longer blocked.",
        "The shop is open: people buy.",
        "The todos.py module is unused.",
        "Later we fixed the flaky login test by waiting for the redirect.",
        "Later we found the cause.",
    ],
)
def test_what_is_not_left_is_not_open(text: str) -> None:
    assert opened(event({"prompt": "Move the cron job."}, "prompt"), event({"role": "assistant", "text": text})) == ""


def test_what_people_want_next_is_done_next() -> None:
    asked = event({"prompt": "Next: labels should be real PDFs. Use reportlab."}, "prompt")
    assert opened(asked, event({"role": "assistant", "text": "PDF labels work."})) == ""
    assert "real PDFs" in opened(event({"role": "assistant", "text": "It prints."}), asked), "nobody has answered"


def test_a_list_of_what_is_left_is_open_as_a_list() -> None:
    first, then = "Still open:\n- the alert\n- the backup", "Next steps:\n1. Measure it\n2. Drop it"
    text = f"All moved.\n\n{first}\n\nThat was the night.\n\n{then}"
    assert opened(event({"prompt": "Go on with it all"}, "prompt"), event({"role": "assistant", "text": text})) == (
        "- the alert\n- the backup\n- Measure it\n- Drop it"
    )


def test_a_long_talk_takes_no_longer_than_it_is() -> None:
    began = Stopwatch(time.process_time)
    for bit in (
        "open ",
        "not yet ",
        "still ",
        "noch ",
        "no a a a ",
        "ich konnte ",
        "まだ",
        "1. a\n",
        "- a\n",
        ": ",
        "I can ",
    ):
        opened(
            event({"prompt": "Go on with it all"}, "prompt"), event({"text": f"The end. {bit * (20_000 // len(bit))}"})
        )
    assert began.fair < 8


def edits(count: int) -> list[Event]:
    return [tool("Write", {"file_path": f"a{n}.py", "content": f"A = {n}"}, {"ok": True}) for n in range(count)]


def says(text: str) -> Event:
    return event({"role": "assistant", "content": text})


TALKED = [each for n in range(4) for each in (event({"prompt": f"Say it in {n} words."}, "prompt"), says("Said."))]


@pytest.mark.parametrize(
    "text",
    [
        "Next step: load the rates of each country from the table.",
        "Next steps:\n- load the rates of each country\n- measure the pages",
        "Still pending:\n1. Record the rates in `NOTES.md` (names, *why* they are so)?\n2. Build it per `PLAN.md`?",
    ],
)
def test_what_was_to_come_next_is_over_when_much_was_done(text: str) -> None:
    asks = event({"prompt": "Add the rates to the shop."}, "prompt")
    assert opened(asks, says(text), event({"prompt": "Yes, please do."}, "prompt"), *edits(30), *TALKED) == ""
    assert opened(asks, says(text), event({"prompt": "Not today."}, "prompt"), *edits(2), *TALKED) != ""


@pytest.mark.parametrize(
    "text",
    [
        "To do: backfill the old rows of the table of rates.",
        "Still open:\n- Which rates are valid in May?\n- Who pays for the old rows of the table?",
        "Known issue: the totals of old invoices are wrong by a cent.",
    ],
)
def test_what_is_left_stays_open_however_much_is_done(text: str) -> None:
    asks = event({"prompt": "Add the rates to the shop."}, "prompt")
    assert opened(asks, says(text), event({"prompt": "Yes, please do."}, "prompt"), *edits(30), *TALKED) != ""


def plan(*items: str) -> Event:
    return tool("TodoWrite", {"todos": [{"content": item, "status": "pending"} for item in items]}, {"ok": True})


def test_what_is_open_is_told_once_in_whatever_words() -> None:
    todo = plan("Add a test that the query of the rates has the `valid_from` column", "Build the !draft filter logic",
                "Run all tests")  # fmt: skip
    left = says(
        "Still pending:\n- Test for the rates query column (`valid_from`)\n- Build the !draft filter\n- Ask Ana"
    )
    assert opened(todo, left).split("\n") == [
        "- Add a test that the query of the rates has the `valid_from` column", "- Build the !draft filter logic",
        "- Run all tests", "- Ask Ana",
    ]  # fmt: skip
    longer = says("Still pending:\n- Run all tests of the shop and of its rates")
    assert "- Run all tests of the shop and of its rates" in opened(todo, longer)
    assert "- Run all tests\n" not in opened(todo, longer)
    for one, other in (
        ("Add tests for the rates of 2025", "Add tests for the rates of 2026"),
        ("Write the rates of May", "Write the rates of June"),
        ("Move the docs", "Move the pages"),
    ):
        assert opened(plan(one, other)) == f"- {one}\n- {other}"


@pytest.mark.parametrize(
    ("text", "still_open"),
    [
        ("Is there anything else you'd like me to help with?", False),
        ("How can I help you further?", False),
        ("What would you like me to do next?", False),
        ("Do you have any other questions about the rates?", False),
        ("Would you like me to load the rates of June, too?", True),
        ("Which of the two tables holds the rates of June?", True),
    ],
)
def test_a_courtesy_is_no_open_question(text: str, still_open: bool) -> None:
    asks = event({"prompt": "Add the rates to the shop."}, "prompt")
    assert (text in opened(asks, *edits(1), says(f"The rates are in the table. {text}"))) is still_open
