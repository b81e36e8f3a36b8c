"""What an agent hands on to another in a person's name is no request, and a bare answer no knowledge."""

from __future__ import annotations

import pytest

from muster.domain.rules.observing import observe
from tests.unit.rules.observing import event, made, only

PLAN = "To round the refund only once, do this.\n\n1. Add a lock in pay/queue.py.\n2. Test it with two workers."


def test_what_was_said_and_is_handed_on_is_no_request() -> None:
    told = event({"role": "assistant", "content": PLAN}, "assistant")
    handed = event({"role": "user", "content": PLAN.replace("\n\n", "\n")}, "user")
    printed = event({"text": "Tokens: 3.7k sent, 37 received."}, "output")
    assert "request" not in {one.type for one in made(told, printed, handed)}
    assert only(handed).type == "request"
    more = event({"role": "user", "content": f"{PLAN}\n3. Then ship it."}, "user")
    assert "request" in {one.type for one in made(told, more)}
    other = handed.model_copy(update={"session_id": event({}).id})
    assert "request" in {one.type for one in made(told, other)}


@pytest.mark.parametrize(
    "text",
    ["The file /srv/shop/pay.py has been updated successfully.", "File created successfully at: /srv/shop/pay.py",
     "Updated task #8 status", "Success. Updated the following files:\nM shop/pay.py\nA shop/tax.py",
     "Todos have been modified successfully. Ensure that you go on with them."],
)  # fmt: skip
def test_that_it_was_done_which_nobody_saw_called_says_nothing(text: str) -> None:
    told = {"type": "tool_result", "tool_use_id": "t1", "content": text}
    assert made(event({"role": "user", "content": [told]})) == []
    failed = {**told, "content": f"{text}\nError: the disk is full", "is_error": True}
    assert only(event({"role": "user", "content": [failed]})).type == "error"
    assert observe(
        [
            event(
                {
                    "role": "user",
                    "content": [{**told, "content": "Three of the orders are late, since the carrier is closed."}],
                }
            )
        ]
    ).observations
