"""Secrets in tables: below the name of one, and in a row that is a name and its value."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from muster.domain.secrets.code import ATTRIBUTE
from muster.domain.secrets.names import holds_secrets, is_secret
from muster.domain.secrets.tokens import mark
from muster.domain.secrets.values import ABOUT_IT, CODE, PLACE, TYPES, is_jagged, is_label, may_be_secret

_RULE = re.compile(r"(?=[\s|+:│├]{0,200}[-=─━┼])[\s|+:=─┼│├┤━-]{3,4096}+")
_NAME = re.compile(r"[A-Za-z_][\w.-]{0,99}")
_CELL = re.compile(
    r"(?P<before>[ \t]*+(?:\\{0,7}[\"']|[`*]{1,3})?)(?P<value>[^\s\"'`\\|]{1,512}+)(?P<after>.*)", re.DOTALL
)
_LOOSE = re.compile(r"(?P<before>[ \t]*+)(?P<value>[^\s\"'`\\|][^\s|]{0,511}+)(?P<after>.*)", re.DOTALL)
"""One that begins with no quote may have quotes in it."""
_WORDS_OF_TABLES = frozenset(
    """
    yes no true false on off required optional none null nil n/a na unknown missing present set unset empty default
    hidden masked hashed encrypted plain plaintext supported unsupported allowed denied never always mandatory basic
    bearer header cookie query body ok expired valid invalid sensitive secret secrets password passwords token tokens
    """.split()  # noqa: SIM905
)
_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_OF_PASSWORDS = re.compile(
    r".*(?:pass|pwd|phrase|pw|kennwort|senha|contrase|wachtwoord|adgangskode|senord)", re.IGNORECASE
)
_NO_VALUE = re.compile(
    r"v?[0-9]{1,4}(?:\.[0-9]{1,6}){1,3}|0x[0-9a-f]{1,16}$|[~.]{0,2}/|[a-z]{2,8}://|tests?[_.-]", re.IGNORECASE
)
"""A version, a number, a path or an address, and what is called after a test."""
_HEADS = frozenset(
    """
    user username name login email mail account id host hostname city role url site service note notes date created
    updated port database db group domain type status email_address first_name last_name phone
    """.split()  # noqa: SIM905
)
_DIGITS = 4


class _Way(NamedTuple):
    """How cells are divided. An odd number of pieces: what divides them is kept between them."""

    divider: re.Pattern[str]
    must: str
    """What stands in each such line."""
    ruled: bool = False
    """Whether a rule must stand below the names."""


_WAYS = (
    _Way(re.compile(r"(\||│)"), "|", ruled=True),
    _Way(re.compile(r"(,)"), ","),
    _Way(re.compile(r"(\t)"), "\t"),
    _Way(re.compile(r"([ ]{2,})"), "  "),
)


def without_tables(text: str, kinds: dict[str, int], depth: int = 3) -> str:
    """The text without what stands in such a column or row, also within strings of JSON or of a program."""
    if not _may_name(text):
        return text
    if depth and '"' in text and "\\" in text:
        text = _STRING.sub(lambda found: _string(found, kinds, depth - 1), text)
    elif '"' in text:
        text = _STRING.sub(lambda found: _string(found, kinds, 0), text)
    if _DIVIDED.search(text) is None:
        return text
    lines = text.split("\n")
    return "\n".join(lines) if _empty(lines, kinds) else text


_DIVIDED = re.compile(r"\||\t|  |│|,")


def _string(found: re.Match[str], kinds: dict[str, int], depth: int) -> str:
    body = found["body"]
    if not _may_name(body) or _DIVIDED_IN_STRINGS.search(body) is None:
        return found[0]
    try:
        inner = json.loads(f'"{body}"', strict=False)
    except ValueError:
        return found[0]
    kept = without_tables(inner, kinds, depth)
    if kept == inner:
        return found[0]
    return f'"{json.dumps(kept, ensure_ascii=body.isascii())[1:-1]}{found["end"]}'


_STRING = re.compile(r'"(?P<body>(?:[^"\\\n]|\\.){8,}+)(?P<end>"|\Z)')
_DIVIDED_IN_STRINGS = re.compile(r"\||\\|  |│")


def _empty(lines: list[str], kinds: dict[str, int]) -> bool:
    """Whether anything was taken out."""
    found = False
    n = 0
    while n < len(lines):
        line = lines[n]
        if len(line) > _LONGEST or not _may_name(line):
            n += 1
            continue
        end = n + 1
        for way in _WAYS:
            columns = _columns(lines, n, way)
            if columns:
                end, changed = _below(lines, n, way, columns, kinds)
                found = found or changed
                break
        else:
            kept = _row(line, lines[n - 1] if n else "")
            if kept != line:
                kinds["secret"] = kinds.get("secret", 0) + 1
                lines[n], found = kept, True
        n = max(end, n + 1)
    return found


_LONGEST = 4096


def _may_name(line: str) -> bool:
    low = line.lower()
    return any(needle in low for needle in _NEEDLES)


def _cells(line: str, way: _Way) -> list[str]:
    """And what divides them."""
    if way.must == "," and '"' in line:  # a comma within quotes divides nothing
        cells = [""]
        for piece in line.split(","):
            if cells[-1].count('"') % 2:
                cells[-1] += f",{piece}"
            else:
                cells += [",", piece] if len(cells) > 1 or cells[0] else [piece]
        return cells if cells[0] or len(cells) == 1 else cells[1:]
    if way.must == "  ":
        bare = line.lstrip(" ")
        cells = way.divider.split(bare.rstrip(" \r"))
        cells[0] = line[: len(line) - len(bare)] + cells[0]
        cells[-1] += bare[len(bare.rstrip(" \r")) :]
        return cells
    return way.divider.split(line)


def _columns(lines: list[str], n: int, way: _Way) -> dict[int, str]:
    """The columns whose names are those of secrets, if these are the names of columns."""
    line = lines[n]
    if way.must not in line or n + 1 >= len(lines):
        return {}
    if way.ruled and _RULE.fullmatch(lines[n + 1]) is None:
        return {}
    cells = _cells(line, way)
    names = [_name(cell) for cell in cells[::2]]
    if len(names) < 2:
        return {}
    secret = {i: name for i, name in enumerate(names) if name and holds_secrets(name)}
    if not secret or way.ruled:
        return secret
    if not all(map(_NAME.fullmatch, names)) or any(name.lower() in TYPES | _WORDS_OF_TABLES - _OWN for name in names):
        return {}
    if way.must == "," and any(map(str.isspace, line.rstrip("\r"))):
        return {}
    if len(names) == 2 and 0 in secret and names[1].lower() not in _HEADS and 1 not in secret:
        return {}  # a name and a value
    if len(names) == 2 and names[0].lower() not in _HEADS and any(map(str.isdigit, "".join(names))):
        return {}
    return secret


_OWN = frozenset(("password", "passwords", "secret", "secrets", "token", "tokens", "cookie", "default"))


def _name(cell: str) -> str:
    return cell.strip().strip("\"'`*").strip()


def _below(lines: list[str], n: int, way: _Way, columns: dict[int, str], kinds: dict[str, int]) -> tuple[int, bool]:
    """Where the table ends, and whether anything was taken out of it."""
    count = len(_cells(lines[n], way))
    changed = False
    for at in range(n + 1, len(lines)):
        line = lines[at]
        if way.ruled and _RULE.fullmatch(line):
            continue
        if way.must not in line or len(line) > _LONGEST:
            return at, changed
        cells = _cells(line, way)
        if len(cells) != count:
            return at, changed
        for column, name in columns.items():
            kept = _cell(cells[column * 2], partial(_is_value, name))
            if kept != cells[column * 2]:
                cells[column * 2] = kept
                kinds["secret"] = kinds.get("secret", 0) + 1
                changed = True
        if way.ruled:
            lines[at] = _row("".join(cells), "")
        else:
            lines[at] = "".join(cells)
    return len(lines), changed


def _cell(cell: str, is_value: Callable[[str], bool]) -> str:
    """Without the one word that stands in it."""
    found = _LOOSE.fullmatch(cell) or _CELL.fullmatch(cell)
    if found is None:
        return cell
    value, after = found["value"], found["after"]
    bare = value.rstrip("\"'`*,;)}]") or value
    after = value[len(bare) :] + after
    if after.strip() and not after.lstrip("\\").startswith(('"', "'", "`", "*", ",", ";", ")", "}", "]")):
        return cell
    if bare.startswith("[removed:") or not is_value(bare):
        return cell
    return f"{found['before']}{mark('secret')}{after}"


def _is_value(name: str, value: str) -> bool:
    low = value.lower()
    if not any(map(str.isalnum, value)) or low in TYPES | _WORDS_OF_TABLES or is_label(name, value):
        return False
    if PLACE.fullmatch(value) or CODE.match(value) or _VARIABLE.fullmatch(value) or ABOUT_IT.match(value):
        return False
    if value.isdigit() and len(value) < _DIGITS:
        return False
    if _OF_PASSWORDS.match(name):
        return holds_secrets(value) is False
    # What is called so may be the name of one.
    return is_jagged(value) or may_be_secret(value) or (_has_both(value) and "-" not in value)


def _has_both(value: str) -> bool:
    return any(map(str.isdigit, value)) and any(map(str.isalpha, value))


_ROW = re.compile(
    r"(?P<before>[ \t]*+(?P<open>[|│][ \t]*)?[`*]{0,3})(?P<name>[A-Za-z_][\w.-]{1,99})[`*]{0,3}"
    r"(?P<between>[ \t]*[|│]|\t[ \t]*|[ ]{2,}[ \t]*)(?P<rest>[^\n]*)"
)
_BARE = re.compile(r"(?P<before>[ \t]*)(?P<value>\S+)(?P<after>[ \t]*(?:\r|#.*)?)")


def _row(line: str, above: str) -> str:
    """A row that is a name and its value."""
    found = _ROW.fullmatch(line)
    if found is None:
        return line
    name, rest = found["name"], found["rest"]
    piped = found["between"].strip() in ("|", "│")
    if piped:
        if not found["open"] and not (name.isupper() or holds_secrets(name) or _RULE.fullmatch(above)):
            return line
        cell, pipe, more = rest.partition("|" if "|" in rest else "│")
    else:
        cell, pipe, more = rest, "", ""
    kept = _cell(cell, partial(_is_of_name, name))
    if not piped and kept == cell and (bare := _BARE.fullmatch(cell)) and bare["after"].strip():
        kept = cell if not _is_of_name(name, bare["value"]) else f"{bare['before']}{mark('secret')}{bare['after']}"
    if kept == cell:
        return line
    return line[: len(line) - len(rest)] + kept + pipe + more


def _is_of_name(name: str, value: str) -> bool:
    if not may_be_secret(value) and not is_jagged(value):
        return False
    if name.lower().startswith(("test_", "test-")) or PLACE.fullmatch(value) or CODE.match(value):
        return False
    if (
        "(" in value
        or ABOUT_IT.match(value)
        or _NO_VALUE.match(value)
        or _VARIABLE.fullmatch(value)
        or ATTRIBUTE.fullmatch(value)
    ):
        return False
    return is_secret(name, value)


# -- Whether to look -------------------------------------------------------------------------------------------------

_NEEDLES = (
    "pass", "pwd", "auth", "secret", "key", "token", "cookie", "credential", "pat", "jwt", "otp", "pw", "pin", "codes",
    "phrase", "mnemonic", "kennwort", "contrase", "senha", "wachtwoord", "adgangskode", "senord",
)  # fmt: skip
_KEYS = re.compile(r"(?:api|private|secret|access|signing|encryption|account|ssh)[_.-]?$")
_TOKENS = re.compile(r"(?:access|refresh|auth|id|bearer|session)[_.-]?$")
_ALONE = re.compile(r"(?:[^a-z0-9]|\\[nrt]|^)$")
_ENDS = r"[\"'`*\\]{0,9}(?:[ \t]{0,80}+(?:\||│|\r?\n|\\{1,15}[nr])|[ ]{2}|\t|\\{1,15}t|,)"
_LEADS = r"s?[`*]{0,3}(?:[ \t]{0,80}+(?:\||│)|[ ]{2}|\t|\\{1,15}t)[ \t]{0,80}+[\"'`*\\]{0,9}[^\s|]{4}"
_LETTER = re.compile(r"[a-z0-9]$")
_WORDS: tuple[tuple[str, re.Pattern[str] | None, re.Pattern[str], re.Pattern[str] | None], ...] = tuple(
    (
        word,
        re.compile(f"{word}s?{_ENDS}") if before else None,
        before or _LETTER,
        re.compile(word + _LEADS) if leads else None,
    )
    for word, before, leads in (
        ("key", _KEYS, True),
        ("token", _TOKENS, True),
        ("pass", _LETTER, True),
        ("auth", None, True),
        ("pin", None, True),
        ("pw", _ALONE, True),
        ("jwt", _ALONE, True),
        ("otp", _ALONE, True),
        ("_pat", None, True),
        ("codes", re.compile(r"(?:recovery|backup)[_-]?$"), False),
        ("mnemonic", re.compile(""), False),
    )
)
"""How a column's name ends, and what stands before that; and how the name ends that a row begins with."""
_BEFORE = 12


def may_hold_tables(low: str) -> bool:
    """In lower case. What other looks would find, too, is left to them."""
    for word, ends, before, leads in _WORDS:
        if word in low:
            if leads is not None and leads.search(low):
                return True
            for found in ends.finditer(low) if ends is not None else ():
                if before.search(low[max(0, found.start() - _BEFORE) : found.start()]):
                    return True
    return False
