"""Following: nothing is lost when the API goes away under it."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest

from muster.cli.stream import Message, messages

from .conftest import Cli

STREAM = (
    b"\xef\xbb\xbfretry: 1000\nid: 4\n\n: comment\n"
    b"id: 5\r\nevent: line\r\ndata: a\xe2\x80\xa8b\x0c\x85\r\ndata:c\r\n\r\n"
    b"event: end\rdata:  x\r\rid: 6\ndata: cut o"
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_stream_is_the_same_however_it_is_cut(size: int) -> None:
    chunks = [STREAM[place : place + size] for place in range(0, len(STREAM), size)]
    assert list(messages(chunks)) == [
        Message("message", None, "4"),
        Message("line", "a\u2028b\x0c\ufffd\nc", "5"),
        Message("end", " x"),
    ]


def test_the_api_goes_away_and_comes_back(cli: Cli) -> None:
    script = "for n in $(seq 50); do echo $n; sleep 0.1; done"
    latest = cli("events", "--last", "1", "--json").stdout
    position = str(json.loads(latest)["position"]) if latest else "0"
    with (
        cli.open("events", "-f", "--json", "--after", position) as events,
        cli.open("spawn", "-f", "--retries", "1", "--backoff", "0.2", "--", "bash", "-c", f"{script}; exit 4") as spawn,
    ):
        assert spawn.stdout
        assert events.stdout
        first = spawn.stdout.readline()
        (agent,) = cli.json("ps")
        with cli.open("logs", "-f", agent["id"]) as logs:
            assert logs.stdout
            assert logs.stderr
            begin = logs.stdout.readline()
            os.kill(cli.status()["children"]["api"]["pid"], signal.SIGKILL)
            seen, said = begin + logs.stdout.read(), logs.stderr.read()
        assert seen.split() == [str(n) for n in range(1, 51)]
        assert "the API is away" in said
        assert logs.returncode == 0
        seen = first + spawn.stdout.read()
        assert seen.split() == [str(n) for n in range(1, 51)] * 2
        assert spawn.wait(10) == 4
        heard: list[dict[str, Any]] = []
        while not heard or heard[-1]["type"] != "task.failed":
            heard.append(json.loads(events.stdout.readline()))
        events.send_signal(signal.SIGINT)
        assert events.stderr
        assert "Traceback" not in events.stderr.read()
        assert events.wait(10) == 130
    positions = [event["position"] for event in heard]
    assert positions == list(range(positions[0], positions[0] + len(positions)))
    assert len(heard) == 11
