"""What people ask for and want to know, in their languages, and what is only polite."""

from __future__ import annotations

import time

import pytest

from muster.domain.memory import NewObservation
from muster.domain.rules import asking
from muster.domain.rules.talk import is_courtesy
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only


@pytest.mark.parametrize(
    "text",
    [
        "thanks a lot, that is all for now",
        "that's it for today, see you",
        "perfect, thank you!",
        "Great work! See you tomorrow.",
        "I think that's all I need for today, have a nice weekend!",
        "Vielen Dank, das war's für heute!",
        "alles klar, bis morgen",
        "Merci beaucoup, à demain !",
        "Muchas gracias, eso es todo por hoy.",
        "お疲れ様でした。ありがとうございました。",
        "谢谢，就这样。",
        "works now, thanks!",
    ],
)
def test_who_is_polite_asks_for_nothing(text: str) -> None:
    for payload, kind in (({"prompt": text}, "prompt"), ({"role": "user", "content": text}, "message")):
        assert made(event(payload, kind)) == []


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("great work, now push it", "Push it"),
        ("Great work! Now push it.", "Now push it."),
        ("Thanks for the fix, now deploy it", "Deploy it"),
        ("ok, use port 8443 for now", "Use port 8443 for now"),
        ("danke, und jetzt pushen", "Pushen"),
        ("No lock files in there", "No lock files in there"),
        ("Until tomorrow, keep the old server", "Until tomorrow, keep the old server"),
        ("Right click the thing", "Right click the thing"),
    ],
)
def test_a_request_begins_where_the_courtesy_ends(text: str, title: str) -> None:
    one = only(event({"prompt": text}, "prompt"))
    assert (one.type, one.title) == ("request", title)


@pytest.mark.parametrize(
    "text",
    [
        "Please move the server to drucker-02. The keys are in the vault.",
        "The checkout is slow. Can you find out why?",
        "Bitte den Server umziehen. Die Zugangsdaten liegen im Vault.",
        "Kannst du den Index anlegen? Er fehlt seit gestern.",
        "Ajoute un index sur la table des commandes.",
        "Añade un índice a la tabla de pedidos, por favor.",
        "Добавь индекс к таблице заказов.",
        "日本向けの送料を追加してください。ゾーンは5です。",
        "另外,请把标签打印机的重试次数改成三次,间隔十秒。",
        "주문 테이블에 인덱스를 추가해 주세요.",
    ],
)
def test_a_persons_message_asks_in_its_language(text: str) -> None:
    assert only(event({"role": "user", "content": text})).type == "request"


@pytest.mark.parametrize(
    "text",
    [
        "Einverstanden. Aber der alte Server bleibt als Reserve an.",
        "東京のオフィスは来月渋谷に移転します。",
        "我们的办公室下个月搬到上海。",
        "My sister moved to Lyon in March.",
    ],
)
def test_a_persons_message_that_tells_is_no_request(text: str) -> None:
    assert only(event({"role": "user", "content": text})).type == "fact"


# -- What is done, in a word -----------------------------------------------------------------------------------------


def after(asked: str, answered: str) -> NewObservation:
    return made(event({"prompt": asked}, "prompt"), event({"role": "assistant", "text": answered}))[-1]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Fixed. The export skipped rows because the join was inner.",
         "Fixed: The export skipped rows because the join was inner."),
        ("Fixed! The helper is called fetchPrice everywhere.", "Fixed: The helper is called fetchPrice everywhere."),
        ("Solved. All 42 tests pass. The queue acks first.", "Solved: The queue acks first."),
        ("Resolved.\n\nThe CI cache was stale.", "Resolved: The CI cache was stale."),
        ("Works now. The port was taken.", "Works now: The port was taken."),
        ("Behoben. Der Port war belegt.", "Behoben: Der Port war belegt."),
    ],
)  # fmt: skip
def test_what_is_fixed_is_in_the_title(text: str, title: str) -> None:
    one = only(event({"role": "assistant", "text": text}))
    assert (one.type, one.title, one.narrative) == ("bugfix", title, text)


@pytest.mark.parametrize(
    "text", ["Fixed.", "Fixed!", "Solved.", "Resolved.", "Works now.", "It's fixed now.", "Behoben."]
)
def test_that_something_is_fixed_is_told_where_it_is_known_what(text: str) -> None:
    assert made(event({"role": "assistant", "text": text})) == []
    one = after("The coupon is ignored. Can you fix it?", text)
    assert (one.type, one.title) == ("bugfix", f"{text.rstrip('.!')}: The coupon is ignored.")
    assert len(one.sources) == 2


# -- Titles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("node:18-alpine is the image of it.", "node:18-alpine is the image of it."),
        ("parcel.rates holds the table of zones.", "parcel.rates holds the table of zones."),
        ("getUserById is used by nobody.", "getUserById is used by nobody."),
        ("max_retries is seven in worker/config.py.", "max_retries is seven in worker/config.py."),
        ("npm install takes a minute here.", "npm install takes a minute here."),
        ("src/main.ts imports the polyfill.", "src/main.ts imports the polyfill."),
        ("the table holds the zones.", "The table holds the zones."),
        ("re-reading the table takes long.", "Re-reading the table takes long."),
    ],
)
def test_a_name_stays_as_it_is_written(text: str, title: str) -> None:
    assert only(event({"role": "assistant", "text": text})).title == title


def test_a_hostile_courtesy_takes_no_longer_than_it_is() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("ok ", "no", "thanks ", "that is all ", "good ", "haha", "dank", "for now ", "please ", "see you ",
                "vale", "thank for a", "well - ", "ok, ", "ok,now ", "bitte", "ja", "hmm", "(-", "请"):  # fmt: skip
        text = bit * (20_000 // len(bit))
        for one in (text, f"{text[:198]}~"):
            is_courtesy(one)
            asking.begins_politely(one)
            asking.without_courtesy(one)
            asking.asks(one)
            asking.asks_to_know(one)
    assert began.fair < 3
