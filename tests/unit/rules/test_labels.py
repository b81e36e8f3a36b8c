"""What is labelled as left to do: open for as long as nobody says that it is done, and told once."""

from __future__ import annotations

import time

import pytest

from muster.domain.memory import Event
from muster.domain.rules.labels import label_of, unlabelled
from muster.domain.rules.summary import summarise
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, tool
from tests.unit.rules.test_unfinished import opened

MARK = "todo".upper()
"""What is left to do, as it is marked in code."""

TALK = (
    "The museum opens at nine.", "The new badge printer is in room 4.", "Lunch is at noon in the big hall.",
    "The guide for visitors has 12 pages.", "Apple's portal is down till noon.", "The lift holds eight people.",
    "Ms. Okafor leads the tour on Friday.", "The shop sells 40 postcards a day.", "The roof is made of copper.",
    "The school class has 23 children.",
)  # fmt: skip


def talk(*texts: str) -> list[Event]:
    return [event({"role": "assistant", "text": text}) for text in texts]


@pytest.mark.parametrize(
    "text",
    [
        "Open: the CSV export loses umlauts on Windows.",
        f"{MARK}: rotate the signing key",
        f"**{MARK}:** rotate the signing key",
        f"- [ ] {MARK}: rotate the signing key",
        f"{MARK}(anna): rotate the signing key",
        f"{MARK} rotate the signing key",
        "Still open: the PDF logo is blurry.",
        "Blocked: waiting for Legal to approve the DPA with Twilio",
        "Blocked by: the missing contract with Twilio",
        "Next step: measure LCP on mobile.",
        "Next steps: measure LCP on mobile.",
        "Known issue: dark mode flickers in Firefox 130",
        "Still to do: the invoices of October.",
        "Open question: who signs the lease of the hall?",
        "Offen: das Backup der neuen Datenbank.",
        "Noch zu erledigen: das Backup der neuen Datenbank.",
        "À faire : configurer l'alerte du musée.",
        "Pendiente: configurar la alerta del museo.",
        "待办：给新数据库设置 backup alert",
    ],
)
def test_what_is_labelled_is_open_until_it_is_done(text: str) -> None:
    bare = text.lstrip("- ")
    for more in (0, 4, len(TALK)):
        assert unlabelled(bare)[:20].casefold() in opened(*talk("We began.", text, *TALK[:more])).casefold()


def test_a_list_of_what_is_left_is_open_until_there_is_another() -> None:
    first, then = (
        "Still open:\n- the alert of the cellar\n- the backup of the shop",
        "Still open:\n- the backup of the shop",
    )
    assert opened(*talk(first, *TALK)) == "- the alert of the cellar\n- the backup of the shop"
    later = opened(*talk(first, *TALK, then, *TALK))
    assert "alert" not in later
    assert "backup" in later


@pytest.mark.parametrize(
    "text",
    [
        "The shop is not yet painted in blue.",
        "I could not find the key of the cellar.",
        "Open: 9:00",
        "The shop is open: people buy.",
        f"{MARK}: nothing.",
        f"[x] {MARK}: rotate the signing key",
        f"The {MARK} list hangs in the kitchen.",
    ],
)
def test_what_is_only_phrased_so_is_open_at_the_end_alone(text: str) -> None:
    assert opened(*talk("We began.", text, *TALK)) == ""


def test_what_is_asked_for_or_done_at_once_is_not_left() -> None:
    asked = event({"prompt": "Next: label the real PDFs of the museum."}, "prompt")
    to_do = event({"prompt": f"{MARK}: label the real PDFs of the museum."}, "prompt")
    assert opened(asked, *talk(*TALK)) == ""
    assert opened(to_do, *talk(*TALK)) == ""
    blocked = event({"prompt": "Blocked: the labels wait for the paper of the museum."}, "prompt")
    assert "paper" in opened(blocked, *talk(*TALK))
    ran = tool("Bash", {"command": "make labels"}, {"stdout": "12 labels"}, exit_code=0)
    assert opened(*talk("Next step: print the labels of the museum."), ran, *talk(*TALK)) == ""
    assert opened(*talk(f"{MARK}: print the labels of the museum.", *TALK[:3], f"All {MARK}s are done.", *TALK)) == ""
    assert opened(*talk(f"{MARK}: print the labels of the museum.", *TALK[:3], "Nothing is left to do.", *TALK)) == ""


DPA = "Blocked: waiting for Legal to approve the DPA with Twilio"
COLUMN = f"{MARK}: rename the column custmer_name"
LOGO = "Still open: the PDF logo is blurry."
FLICKERS = "Known issue: dark mode flickers in Firefox 130"
EXPORT = "Open: the CSV export loses umlauts on Windows."


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (COLUMN, "Renamed the column custmer_name to customer_name."),
        (COLUMN, "Anna renamed the column custmer_name this morning."),
        (COLUMN, "The column custmer_name is renamed."),
        (DPA, "Legal approved the DPA with Twilio this morning"),
        (DPA, "Legal has approved the DPA with Twilio."),
        (DPA, "The DPA with Twilio was approved."),
        (LOGO, "The PDF logo is sharp now, fixed by embedding the SVG."),
        (LOGO, "Fixed the blurry PDF logo."),
        (LOGO, "The PDF logo is no longer blurry."),
        (FLICKERS, "Dark mode no longer flickers in Firefox 130."),
        (FLICKERS, "Fixed: dark mode flickers in Firefox 130."),
        (FLICKERS, "Dark mode in Firefox 130 is fixed."),
        (EXPORT, "The CSV export no longer loses umlauts on Windows."),
        ("Open: the invoices of May are missing", "The invoices of May are no longer missing."),
        (f"{MARK}: write the docs of the parser", "Wrote the docs of the parser."),
        (f"{MARK}: send the invoice to Northwind", "Sent the invoice to Northwind."),
    ],
)
def test_what_is_said_to_be_done_is_closed_wherever_it_stands(left: str, said: str) -> None:
    assert opened(*talk("We began.", left, *TALK)) != ""
    assert unlabelled(left)[4:] not in opened(*talk("We began.", left, said, *TALK))
    assert opened(*talk("We began.", left, *TALK, said)) == ""


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (COLUMN, "Renamed the column order_name to orders_name."),
        (COLUMN, "The column custmer_name is used in three reports."),
        (COLUMN, "Anna wanted the column custmer_name renamed."),
        (DPA, "Legal read the DPA with Twilio."),
        (DPA, "Legal approved the DPA with Stripe."),
        (DPA, "Legal has not approved the DPA with Twilio yet."),
        (LOGO, "The web logo is sharp now, fixed by embedding the SVG."),
        (LOGO, "The PDF logo is printed on every page."),
        (FLICKERS, "Dark mode no longer flickers in Chrome 130."),
        (FLICKERS, "Dark mode flickered in Firefox 130 again."),
        (FLICKERS, "Dark mode is fixed in Firefox 131."),
        (EXPORT, "The CSV export is fixed on Linux."),
        (EXPORT, "The CSV export no longer works on Windows."),
        ("Known issue: uploads of photos crash on Windows", "Uploads of photos crashed on Windows."),
        ("Open: the invoices of May are missing", "The invoices of June are no longer missing."),
        ("Open: the invoices of May are missing", "The invoices of the shop may be no longer missing."),
        ("Still open: the footer logo is blurry.", "Fixed the blurry header logo."),
    ],
)
def test_what_is_said_of_another_closes_nothing(left: str, said: str) -> None:
    assert unlabelled(left).casefold() in opened(*talk("We began.", left, said, *TALK)).casefold()


def test_what_is_open_is_told_once_and_labelled_once() -> None:
    events = talk(FLICKERS, EXPORT, COLUMN, LOGO, DPA, *TALK)
    (one,) = summarise("A session", events, made(*events)).observations
    left = (one.narrative or "").partition("Open:\n")[2].partition("\n\n")[0]
    assert left.casefold().count("dark mode flickers") == 1
    facts = [fact for fact in one.facts if fact.startswith("Open: ")]
    assert "Open: the CSV export loses umlauts on Windows." in facts
    assert "Open: rename the column custmer_name" in facts
    assert "Open: the PDF logo is blurry." in facts
    assert f"Open: {DPA}" in facts
    assert len(facts) == 5


def test_what_was_open_and_is_done_is_not_learned() -> None:
    events = talk(LOGO, *TALK[:3], "The PDF logo is sharp now, fixed by embedding the SVG.")
    (one,) = summarise("A session", events, made(*events)).observations
    assert (one.narrative or "").count("PDF logo") == 1
    assert "Still open" not in (one.narrative or "")


@pytest.mark.parametrize(
    ("text", "put_right"),
    [
        ("السبب هو أن الشهادة انتهت صلاحيتها يوم الأحد", False),
        ("원인은 일요일에 만료된 인증서였습니다.", False),
        ("Sorunun nedeni pazar günü süresi dolan sertifikaydı.", False),
        ("Przyczyną był certyfikat, który wygasł w niedzielę.", False),
        ("Причина була в сертифікаті, що сплив у неділю.", False),
        ("Nguyên nhân là chứng chỉ hết hạn hôm Chủ nhật.", False),
        ("สาเหตุคือใบรับรองหมดอายุเมื่อวันอาทิตย์", False),
        ("The root cause of the outage was a certificate that expired on Sunday.", False),
        ("The root cause was a stale certificate; I renewed it.", True),
        ("원인은 시간대 설정이었고 수정했습니다.", True),
        ("Причина була в сертифікаті, ми виправили помилку.", True),
        ("Przyczyną był certyfikat. Naprawiliśmy błąd logowania.", True),
        ("أصلحنا الخطأ في صفحة الدخول.", True),
        ("I fixed the deadlock.", True),
    ],
)
def test_what_only_explains_is_learned_and_not_done(text: str, put_right: bool) -> None:
    events = talk("We looked at the shop.", text)
    (one,) = summarise("A session", events, made(*events)).observations
    done = (one.narrative or "").partition("Done:\n")[2].partition("\n\n")[0]
    learned = (one.narrative or "").partition("Learned:\n")[2].partition("\n\n")[0]
    assert (text[:12] in done, text[:12] in learned) == (put_right, not put_right)


def test_long_lines_are_labelled_in_no_time() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("open ", f"{MARK}: ", "todo ", "- ", "known issue ", "(a", "* ", "blocked by "):
        text = bit * (200_000 // len(bit))
        label_of(text)
        unlabelled(text)
    events = talk(
        *(f"{MARK}: print the label {n} of the hall. Printed the label {n} of the roof. " * 20 for n in range(300))
    )
    summarise("A session", events, [])
    assert began.fair < 8
