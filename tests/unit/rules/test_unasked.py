"""An answer whose call is not known: code, a listing and "it was done" tell nothing, a failure does."""

from __future__ import annotations

from typing import Any

import pytest

from muster.domain.memory import Event
from muster.domain.rules.observing import observe
from muster.domain.rules.unasked import is_refused, says_nothing
from tests.unit.rules.observing import event, made, only
from tests.unit.rules.sent import item


def sent(payload: Any) -> Event:
    return event(payload, "response_item", "codex")


def answer(text: str) -> Event:
    return sent(item("function_call_output", call_id="gone", output=text))


TYPESCRIPT = """\
async function findCart(id: string): Promise<Cart | undefined> {
  const carts = await load();
  if (!carts.length) {
    return undefined;
  }
  return carts.find((cart) => cart.id === id);
}"""
PYTHON = "def total(cart):\n    if not cart:\n        return 0\n    return sum(one.price for one in cart)\n"
PAGE = "   12\tThe carts are kept for a day.\n   13\tThen they are emptied.\n   14\t\n   15\tNobody is told."
FOUND = "src/cart.ts:12:  const carts = load();\nsrc/pay.ts:3:import { carts } from './cart';"
DIFF = "diff --git a/cart.ts b/cart.ts\nindex 8bf114a..ae6f24d 100644\n--- a/cart.ts\n+++ b/cart.ts\n@@ -1 +1 @@\n-a();"
CSS = ".cart {\n  width: 100%;\n  overflow: hidden;\n}\n.cart-row {\n  display: flex;\n}"
JSX = '<div className="cart">\n  <button type="button" onClick={() => pay()}>\n    Pay\n  </button>\n</div>'


@pytest.mark.parametrize(
    "text",
    [
        TYPESCRIPT, PYTHON, PAGE, FOUND, DIFF, CSS, JSX,
        "M extension/src/sidepanel/App.tsx\nM src/cart.ts",
        "Success. Updated the following files:\nM src/cart.ts\nA src/pay.ts",
        "File created successfully at: /app/src/cart.ts",
        "The file /app/src/cart.ts has been updated successfully.",
        "Todos have been modified successfully. Ensure that you continue to use the list",
        "Updated task #1 status",
        "Wrote 312 bytes to src/cart.ts",
        " src/cart.ts | 12 ++++++------\n src/pay.ts  |  3 +++\n 2 files changed, 9 insertions(+), 6 deletions(-)",
        "src/cart.ts\nsrc/pay.ts\npackage.json",
    ],
)  # fmt: skip
def test_it_tells_nothing(text: str) -> None:
    assert says_nothing(text)
    assert made(answer(text)) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("apply_patch verification failed: Failed to find expected lines in src/cart.ts:\n  const carts = load();",
         "apply_patch verification failed"),
        ("To github.com:a/b.git\n ! [rejected]        main -> main (fetch first)\nerror: failed to push some refs",
         "failed to push some refs"),
        ("error: pathspec 'carts' did not match any file(s) known to git", "pathspec 'carts' did not match"),
        ("zsh: command not found: grind", "command not found: grind"),
        ("fatal: not a git repository", "not a git repository"),
    ],
)  # fmt: skip
def test_what_went_wrong_is_told(text: str, what: str) -> None:
    one = only(answer(text))
    assert one.type == "error"
    assert what in one.title


@pytest.mark.parametrize(
    "text",
    [
        "The carts of guests are kept for one day only, and then they are emptied by a job at night.",
        "# Carts\n- [x] Keep them for a day\n- [ ] Empty them at night\nThe job runs on web1.",
        "[main abc1234] Keep the carts for a day\n 2 files changed\n create mode 100644 a.py\n create mode 100644 b.py",
        '{"status": "running", "preview": "https://carts.shop.example"}',
        "Tests: 30 passed, 30 total",
        "Total: 1759, merged: 1712",
    ],
)
def test_what_tells_something_is_kept(text: str) -> None:
    assert not says_nothing(text)
    assert not is_refused(text)
    assert made(answer(text))


def test_an_answer_with_its_call_is_read_as_before() -> None:
    call = item("function_call", name="shell", arguments='{"command": ["cat", "src/cart.ts"]}', call_id="gone")
    (one,) = observe([sent(call), answer(TYPESCRIPT)]).observations
    assert one.title == "Read cart.ts"


def test_long_answers_are_read_in_time() -> None:
    for part in ("a", "a.", "a/", " a:", "(", "a b,\n", "<"):
        text = part * (250_000 // len(part))
        says_nothing(text)
        is_refused(text)


def test_printed_code_weighs_little() -> None:
    one = only(event({"stream": "stdout", "text": PYTHON + TYPESCRIPT}, "agent.output", "muster"))
    assert (one.type, one.importance) == ("discovery", 0.2)
    said = "The carts of guests are kept for one day only, because the shop closes at night."
    one = only(event({"stream": "stdout", "text": f"{TYPESCRIPT}\n{said}"}, "agent.output", "muster"))
    assert one.importance > 0.2
