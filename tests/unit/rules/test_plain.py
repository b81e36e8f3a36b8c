"""Plain sentences of plain life, that sound like decisions, fixes and failures, and the real ones beside them."""

from __future__ import annotations

import time

import pytest

from muster.domain.rules import statements
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, only


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("We never decided on a name for the dog", "fact"),
        ("We never agreed on a colour for the kitchen.", "fact"),
        ("We never made up our minds about the dog.", "fact"),
        ("We never went to Rome together.", "fact"),
        ("We always enjoyed the lake in June.", "fact"),
        ("We never deploy on Fridays.", "decision"),
        ("We always use UTC in the database.", "decision"),
        ("Fixed costs are 4,300 euros a month, the rent included.", "fact"),
        ("Fixed prices are printed on the menu of the café.", "fact"),
        ("My uncle was fixed up with a new hip", "fact"),
        ("The shelf is fixed to the wall with six screws.", "fact"),
        ("Fixed cost centre import: empty rows are skipped.", "fact"),
        ("Fixed pricing page: the euro sign is shown again.", "bugfix"),
        ("Fixed the costs report: it sums all months.", "bugfix"),
        ("Resolved: the assembly elects Ms. Achebe as treasurer.", "decision"),
        ("Resolved, that the dues rise to 40 euros.", "decision"),
        ("The board has resolved to sell the boat.", "decision"),
        ("Resolved: the login page no longer loops.", "bugfix"),
        ("Resolved that bug in the parser.", "bugfix"),
        ("root cause analysis was the title of yesterday's lecture by Prof. Lindqvist", "fact"),
        ("The root cause was a stale cache.", "bugfix"),
        ("The meeting failed to produce a decision about the kindergarten.", "fact"),
        ("The talks failed to reach an agreement on wages.", "fact"),
        ("The committee failed to elect a chair.", "fact"),
        ("The build failed to produce a wheel.", "error"),
        ("The worker failed to reach the database.", "error"),
        ("The app fails to start on Windows.", "error"),
        ("Проблему з рахунками вирішено: оновили сертифікат.", "bugfix"),
        ("Проблему со счетами решили: обновили сертификат.", "bugfix"),
        ("Вирішено не використовувати Redis.", "decision"),
        ("Решили перейти на PostgreSQL.", "decision"),
        ("インフラはTerraformではなくPulumiにすることにしました", "decision"),
        ("来月からは金曜日にデプロイしないことにした。", "decision"),
        ("昨日の件はなかったことにしました。", "fact"),
        ("Pulumiにすることにした場合の費用は月に3万円です。", "fact"),
    ],
)
def test_what_people_say_is_what_they_mean(text: str, kind: str) -> None:
    assert only(event({"role": "user", "content": text})).type == kind


def test_hostile_plain_sentences_take_no_longer_than_they_are() -> None:
    began = Stopwatch(time.process_time)
    for bit in (
        "we never ",
        "resolved: the ",
        "failed to ",
        "meeting ",
        "проблема ",
        "вирішили ",
        "ことにし",
        "root cause ",
    ):
        text = bit * (20_000 // len(bit))
        for says in (statements.decides, statements.mends, statements.breaks):
            says(text)
    assert began.fair < 5
