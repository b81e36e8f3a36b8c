"""Passwords as words of commands: which option takes one depends on the command before it."""

from __future__ import annotations

import re

from muster.domain.secrets.stores import TAKES_INPUT, is_stored
from muster.domain.secrets.tokens import NOT_WITHIN_A_WORD, Shape, mark
from muster.domain.secrets.values import CODE, PLACE

_QUOTE = r"\\{0,7}[\"']"
_OPTION = re.compile(
    r"(?<![^\s\"'])(?P<flag>-[aPpwNkK]|--pass)(?P<space>[ \t]{1,4}|=?)(?:(?P<open>"
    + _QUOTE
    + r")(?P<quoted>[^\"'\\\n]{1,512}+)"
    r"(?=(?P=open))|(?P<value>[^\s\"'`\\|;&<>]{1,512}+))"
)
_DATABASES = r"mongo(?:sh|dump|restore|export|import)?|cqlsh"
_TAKES = {
    flag: re.compile(rf"(?:^|[\s\"'`(/])(?:{commands})(?:\.exe)?[\"']?\s")
    for flag, commands in {
        "-a": "redis-cli", "--pass": "redis-cli", "-P": r"sqlcmd|bcp|(?:un)?zip|mosquitto_[ps]ub", "-p": _DATABASES,
        "-w": r"ldap[a-z]{3,12}", "-N": "ssh-keygen", "-k": "openssl[\"']?\\s+(?:enc|aes-[\\w-]+)",
        "-K": "openssl[\"']?\\s+(?:enc|aes-[\\w-]+)",
    }.items()
}  # fmt: skip
_ATTACHED = {
    "-p": re.compile(r"(?:^|[\s\"'`(/])(?:7z[arz]?|(?:un)?rar)(?:\.exe)?[\"']?\s"), "-a": _TAKES["-a"],
    "-P": re.compile(r"(?:^|[\s\"'`(/])(?:sqlcmd|bcp|unzip)(?:\.exe)?[\"']?\s"),
}  # fmt: skip
_NEXT = re.compile(r"[|;\n]|&&")
_BEFORE = 160
_PIPED = re.compile(
    rf"(?P<echo>{NOT_WITHIN_A_WORD}(?:echo|printf)"
    r"[ \t]{1,4}(?:-[neE]{1,3}[ \t]{1,4}|\\{0,7}[\"']%s(?:\\{1,7}n)?\\{0,7}[\"'][ \t]{1,4}"
    r"|%s(?:\\{1,7}n)?[ \t]{1,4})?)"
    r"(?:(?P<open>" + _QUOTE + r")(?P<quoted>[^\"'\\\n]{1,512}+)(?:\\{1,7}n)?(?=(?P=open))"
    r"|(?P<value>[^\s\"'`\\|;&<>]{1,512}+))"
    r"(?=" + f"(?:{_QUOTE})?" + r"[ \t]{0,4}\|[ \t]{0,4}(?P<to>[^|;&\n]{0,200}))"
)
_HERE = re.compile(
    r"(?P<here><<<[ \t]{0,4})(?:(?P<open>" + _QUOTE + r")(?P<quoted>[^\"'\\\n]{1,512}+)(?=(?P=open))"
    r"|(?P<value>[^\s\"'`\\|;&<>]{1,512}+))"
)


def _option(found: re.Match[str]) -> str:
    flag, space = found["flag"], found["space"].strip("=")
    takes = (_TAKES if space or found["space"] or flag == "--pass" else _ATTACHED).get(flag)
    text, at = found.string, found.start()
    command = _NEXT.split(text[max(0, at - _BEFORE) : at])[-1]
    if takes is None or not takes.search(command):
        return found[0]
    value = found["quoted"] or found["value"]
    if value.startswith(("-", "[removed:")) or CODE.match(value) or PLACE.fullmatch(value):
        return found[0]
    return f"{flag}{found['space']}{found['open'] or ''}{mark('password')}"


def _piped(found: re.Match[str]) -> str:
    value, who = found["quoted"] or found["value"], ""
    if re.search(r"\bchpasswd\b", found["to"]):
        who, colon, value = value.partition(":")
        who += colon
    elif not TAKES_INPUT.search(found["to"]):
        return found[0]
    if not value or value.startswith("[removed:") or CODE.match(value) or PLACE.fullmatch(value):
        return found[0]
    return f"{found['echo']}{found['open'] or ''}{who}{mark('password')}"


def _here(found: re.Match[str]) -> str:
    value, at = found["quoted"] or found["value"], found.start()
    command = _NEXT.split(found.string[max(0, at - _BEFORE) : at])[-1]
    if not TAKES_INPUT.search(command) or not is_stored(value):
        return found[0]
    return f"{found['here']}{found['open'] or ''}{mark('password')}"


_READ = ("with-token", "secret", "env add", "pass insert", "vault", "variable set")
COMMANDS: tuple[Shape, ...] = (
    Shape(
        ("redis-cli", "sqlcmd", "bcp", "zip", "mosquitto_", "mongo", "cqlsh", "ldap", "ssh-keygen", "openssl", "7z",
         "rar"),
        _OPTION, _option, "password",
    ),
    Shape(("-stdin", "--stdin", "chpasswd", "sudo", *_READ), _PIPED, _piped, "password"),
    Shape(("<<<",), _HERE, _here, "password"),
)  # fmt: skip
_NEEDLES = COMMANDS[0].needles
_MAY_BE_OPTION = re.compile(r"(?:[\s\"']|\\[nrt])-(?:[apwnk]|-pass[\s=])")


def may_be_commands(low: str) -> bool:
    """In lower case."""
    if ("echo" in low or "printf" in low) and ("sudo" in low or any(word in low for word in _READ)):
        return True
    if "<<<" in low and any(word in low for word in _READ):
        return True
    return any(needle in low for needle in _NEEDLES) and _MAY_BE_OPTION.search(low) is not None
