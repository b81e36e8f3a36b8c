"""Whether what stands where a secret would is one: much of it is code, a type, a place for one, or prose."""

from __future__ import annotations

import re

CODE = re.compile(r"[(\[{$<*%|]|^(?:none|null|nil|true|false|str|string|text|undefined|self\..*|os\..*|process\..*)$",
                   re.IGNORECASE)  # fmt: skip
"""A value that is code, a type or a place for one, and no secret."""
PLACE = re.compile(r"\$\{?\w{1,100}\}?|\$\(.*|\{\{.*|<[^<>]*>", re.DOTALL)
"""Where a value is put in, within quotes."""
ATTRIBUTE = re.compile(r"[A-Za-z_]{1,64}(?:\.[A-Za-z_]{1,64}){1,8}")
_CONSONANTS = re.compile(r"[b-df-hj-np-tv-xz]{5}")
_HUMP = re.compile(r"[a-z][A-Z]|[A-Z]{2}[a-z]")


def _is_random(value: str) -> bool:
    """Not made of words, though it has letters only."""
    return len(value) >= 16 and value.isalpha() and (
        _CONSONANTS.search(value) is not None or len(_HUMP.findall(value)) * 5 > len(value)
    )  # fmt: skip


def may_be_secret(value: str) -> bool:
    """Of what is called a secret or a token. Much that is, is a word: the name of a secret, a kind of token."""
    if len(value) < 8 or " " in value:
        return False
    return (any(map(str.isdigit, value)) and any(map(str.isalpha, value))) or _is_random(value)


_SAID = frozenset(
    """
    expected never must should is was required invalid missing not the a an and or to for changed reset too cannot
    incorrect wrong ok none empty unset optional yes no
    """.split()  # noqa: SIM905
)
_METAVARIABLES = frozenset(
    {"password", "passwd", "passphrase", "secret", "token", "key", "string", "value", "text", "file", "pass"}
)


def is_told_of(found: re.Match[str], value: str) -> bool:
    """Where it is code or prose that speaks of a secret."""
    between = found["is"]
    if found["flag"] and value.isupper() and value.lower() in _METAVARIABLES:  # in a usage
        return True
    if between.strip("\\\"'`]").isspace() or not between.strip():
        return False
    if "=" in between and " " in between and ATTRIBUTE.fullmatch(value):  # a = b.c
        return True
    after = found.string[found.end() : found.end() + 3]
    if ":" in between:
        if value.isidentifier() and after.lstrip().startswith("="):  # a: Type = b
            return True
        return between.endswith(" ") and value in _SAID and after[:1] == " "
    return between.strip() in ("==", "===") and ATTRIBUTE.fullmatch(value) is not None
