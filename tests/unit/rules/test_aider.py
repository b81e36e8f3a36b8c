"""What aider prints around a chat is no knowledge; what it applies, commits and fails at is."""

from __future__ import annotations

import pytest

from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only

BANNER = (
    "/home/ann/.local/bin/aider\n"
    "Warning for openai/x-7b.gguf: Unknown context window size and costs, using sane defaults.\n"
    "You can skip this check with --no-show-model-warnings\n\nhttps://aider.chat/docs/llms/warnings.html\n"
    "Open documentation url for more info? (Y)es/(N)o/(D)on't ask again [Yes]: n\n"
    "Aider v0.86.1\nModel: openai/x-7b.gguf with architect edit format\n"
    "Editor model: openai/x-7b.gguf with editor-whole\n"
    "Git repo: .git with 1,204 files\nRepo-map: using 4096 tokens, auto refresh\n"
    "Repo-map can't include /srv/shop/lib/forge-std\nHas it been deleted from the file system but not from git?\n"
    "Added instructions.md to the chat (read-only)."
)


@pytest.mark.parametrize(
    "text",
    [BANNER, "\n".join(f"> {line}" for line in BANNER.split("\n")), "Tokens: 3.7k sent, 37 received.",
     "Tokens: 12k sent, 1.2k received. Cost: $0.04 message, $0.11 session.", "^C KeyboardInterrupt\n^C again to exit",
     "Repo-map can't include /srv/shop/lib/forge-std", "Add file to the chat? (Y)es/(N)o/(A)ll/(S)kip all [Yes]: y",
     "You can use /undo to undo and discard each aider commit.", "Commit 1a2b3c4 ```", "Aider v0.86.1"],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_decoration_is_nothing(text: str) -> None:
    assert made(event({"text": text}, "output")) == []
    assert made(event({"stream": "stdout", "text": text}, "agent.output", "muster")) == []


def test_what_went_wrong_between_is_told() -> None:
    text = "litellm.APIConnectionError: the peer closed the connection\nRetrying in 0.2 seconds...\nTokens: 1k sent, 3"
    one = only(event({"text": text}, "output"))
    assert one.type == "error"
    assert "the peer closed the connection" in one.title
    assert "Tokens" not in one.content


def test_what_was_committed_is_told() -> None:
    text = "Applied edit to shop/pay.py\nCommit 1a2b3c4 fix: Round the refund only once\nYou can use /undo to undo"
    found = made(event({"text": text}, "output"))
    assert any("ound the refund only once" in one.title for one in found)
    alone = made(
        event({"text": "Commit 1a2b3c4 feat: Let the owner approve roles\nTokens: 1k sent, 3 received."}, "output")
    )
    assert any("the owner approve roles" in one.title for one in alone)
    odd = "Commit 1a2b3c4 Here is the one-line commit message for the changes:\nTokens: 1k sent, 3 received."
    assert made(event({"text": odd}, "output")) == []


@pytest.mark.parametrize(
    "text",
    ["Retrying in 5 seconds, since the disk of db-2 is full.",
     "See https://aider.chat/docs/ for how the map is made of it.",
     "Delete the index of orders? (Y)es/(N)o: y\nThe index of orders was deleted, since nobody asks it."],
)  # fmt: skip
def test_what_others_print_is_kept(text: str) -> None:
    assert made(event({"text": text}, "output"))


@pytest.mark.parametrize("bit", ["Commit 1a2b3c4 a:\n", "Commit 1a2b3c4 " + "a " * 200 + ":\n", "x" * 299 + "? (Y)e\n",
                                 "/aider -" * 9, "Added "])  # fmt: skip
def test_hostile_chats_take_no_longer_than_they_are(bit: str) -> None:
    watch = Stopwatch()
    made(event({"text": "Aider v1\n" + bit * (200_000 // len(bit))}, "output"))
    assert watch.fair < 4
