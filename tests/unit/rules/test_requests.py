"""Requests that are sent to see what comes back, and how long commands are told apart."""

from __future__ import annotations

import pytest

from muster.domain.memory import Event
from tests.unit.rules.observing import made, only, tool

PAGE = "<!DOCTYPE html>\n<html><head><title>Upload</title></head><body>nothing was sent</body></html>"


def ran(command: str, said: str) -> Event:
    return tool("Bash", {"command": command}, {"stdout": said, "stderr": ""})


@pytest.mark.parametrize(
    ("command", "said", "kind"),
    [
        ("curl -X POST -d 'name=a' http://shop.example/form", PAGE, "discovery"),
        ("curl -s -F file=@a.txt http://shop.example/upload | head", PAGE, "discovery"),
        ("cd /tmp && curl -i -X POST http://shop.example/a", f"HTTP/1.1 200 OK\nServer: nginx\n\n{PAGE}", "discovery"),
        ("curl -X POST http://shop.example/jobs", '{"id": 7, "state": "queued"}', "change"),
        ("curl -X POST http://shop.example/jobs", '{"id": 7, "template": "<html></html>"}', "change"),
        ("curl -X POST http://shop.example/jobs && kubectl apply -f a.yaml", PAGE, "change"),
        ("curl -X POST http://shop.example/a > a.html; cat a.html", PAGE, "change"),
    ],
)
def test_a_request_that_is_answered_with_a_page_changes_nothing(command: str, said: str, kind: str) -> None:
    assert only(ran(command, said)).type == kind


def test_long_commands_are_told_apart_by_their_ends() -> None:
    long = "curl -X POST " + "-F 'file=ARGV' " * 9
    ends = [f"http://shop.example/cgi/file.pl?/etc/{name}" for name in ("passwd", "hosts")]
    first, then = (one.title for one in made(*(ran(f"{long}{end}", PAGE) for end in ends)))
    assert first != then
    assert first.endswith("/etc/passwd`")
    assert len(first) < 170
    assert only(ran("frob --all", "it is so and so")).title == "Run `frob --all`"
