"""Headers that say who asks: what stands in them, and not the program text that puts it there."""

from __future__ import annotations

import re

from muster.domain.secrets.code import ATTRIBUTE, ends_a_string, is_variable
from muster.domain.secrets.tokens import mark
from muster.domain.secrets.values import CODE, PLACE, TYPES, may_be_secret

HEADER = re.compile(
    r"(?P<name>authorization|x-api-key|set-cookie|cookie)(?P<is>\\{0,7}[\"'`]?\]?[ \t]{0,8}(?:=>|=|:)[ \t]{0,8}"
    r"(?:[fbru$@]{1,2}(?=[\"']))?(?P<quote>\\{0,7}[\"'`])?)"
    r"(?P<scheme>(?:bearer|basic|token|digest|negotiate|apikey|aws4-hmac-sha256)[ \t]{1,8})?"
    r"(?P<value>[^\s\"'`\\][^\r\n\"'`\\]{0,8192}+)",
    re.IGNORECASE,
)
BEARER = re.compile(r"(?P<scheme>\bbearer[ \t]{1,8})(?P<value>[A-Za-z0-9._~+/=-]{12,}+)", re.IGNORECASE)
_PUT_IN = re.compile(r"\$?\{[^{}]{0,200}\}|%s|\$\w{1,60}|<[^<>]{0,100}>")
_SCHEMES = frozenset(
    ("bearer", "basic", "token", "digest", "negotiate", "apikey", "jwt", "api-key", "yes", "no", "true", "false")
)
_EXPRESSION = re.compile(
    r"(?:await |new |not )?(?P<path>[A-Za-z_]\w{0,80}(?:(?:\?\.|\.|::|->)\w{1,80}){0,8})[!?]?(?P<then>\s{0,2}(?:.|$))"
)


def header(found: re.Match[str]) -> str:
    value = found["value"].strip()
    if value.startswith("[removed:") or value.lower() in _SCHEMES or not any(map(str.isalnum, value)):
        return found[0]
    if found["scheme"] is None and (CODE.match(value) or value.startswith("=") or _is_code(found, value)):
        return found[0]
    if PLACE.fullmatch(value) or value.startswith(("{", "${")) or _is_put_in(value):
        return found[0]
    kind = "cookie" if "cookie" in found["name"].lower() else "authorization"
    return f"{found['name']}{found['is']}{found['scheme'] or ''}{mark(kind)}"


def _is_put_in(value: str) -> bool:
    """Whether all of it that matters is put in where it is used."""
    rest, count = _PUT_IN.subn("", value)
    return count > 0 and len(rest) < 80 and not any(map(str.isdigit, rest))


def _is_code(found: re.Match[str], value: str) -> bool:
    if found["quote"]:
        return ends_a_string(found, found["quote"], value)
    expression = _EXPRESSION.match(value)
    if expression is None:
        return False
    path, then = expression["path"], expression["then"].strip()
    if then in ("(", "[", "|") or path.lower() in TYPES:
        return True
    spaced = found["is"].endswith(" ")
    if found["is"].lstrip("\\")[:1] in "\"'`" and is_variable(path) and then in ("", ",", "}", ")", ";"):
        return True
    if ATTRIBUTE.fullmatch(path):
        return spaced and then in ("", ",", ";", ")", "}", "+", "|")
    if "=" not in found["is"]:
        return then == "=" and expression["then"][0] == " "
    return spaced and not any(map(str.isdigit, path)) and then in ("", ",", ";", ")", "+")


def bearer(found: re.Match[str]) -> str:
    value = found["value"]
    if not (any(map(str.isdigit, value)) or may_be_secret(value)):  # bearer authentication
        return found[0]
    return f"{found['scheme']}{mark('authorization')}"
