"""Passwords by where they stand: files of logins, lines of settings, hashes, and a command that takes one as a word."""

from __future__ import annotations

import re

from muster.domain.secrets.code import is_code
from muster.domain.secrets.tokens import NOT_WITHIN_A_WORD, Shape, mark, only_last
from muster.domain.secrets.values import CODE, PLACE, TYPES, is_jagged, is_label, may_be_told

_NUMBERED = r"(?:[ \t]{0,8}[0-9]{1,6}(?:→|\t|\\t|\|))?"
"""As lines are shown with their numbers."""
_BEGIN = r"(?:^|\\[nr]|(?<=\"))"
"""Of a line, also of one within JSON."""
_NEXT = r"(?:[ \t]{0,8}(?:\r?\n|(?:\\r)?\\n)" + _NUMBERED + r"[ \t]{0,8})"
_THEN = rf"(?:{_NEXT}|[ \t]{{1,8}})"
_WORD = r"[^\s\\]{1,253}+"
_NETRC = re.compile(
    rf"(\b(?:machine[ \t]{{1,8}}{_WORD}|default)(?:{_THEN}login[ \t]{{1,8}}{_WORD}{_THEN}|{_NEXT})password[ \t]{{1,8}}"
    rf"|{_BEGIN}{_NUMBERED}[ \t]{{0,8}}login[ \t]{{1,8}}{_WORD}{_NEXT}password[ \t]{{1,8}})"
    r"(?!\[removed:)[^\s\\\"]{1,512}+(?=[ \t]{0,8}(?:$|\r|\\[nr]|\"|(?:login|account|machine|macdef)[ \t]))",
    re.MULTILINE,
)
_PGPASS = re.compile(
    rf"({_BEGIN}{_NUMBERED}[\w.*-]{{1,253}}+:(?:543[0-9]|6432|\*):(?![0-9]{{1,63}}:)[\w.*-]{{1,63}}+:[\w.*@-]{{1,63}}+:)"
    r"(?!\[removed:)[^\s\\:]{1,512}+(?=\s|\\[rn]|[\"']|\Z)",
    re.MULTILINE,
)
_HASH = re.compile(
    r"\$(?:[156]|apr1)\$(?:rounds=[0-9]{1,9}\$)?[A-Za-z0-9./]{1,16}\$[A-Za-z0-9./]{22,86}+"
    r"|\$g?y\$[A-Za-z0-9./]{1,10}\$[A-Za-z0-9./]{1,86}\$[A-Za-z0-9./]{22,86}+"
    r"|\$2[abxy]\$[0-9]{2}\$[A-Za-z0-9./]{22,53}+"
    r"|\$(?:argon2(?:id|i|d)|scrypt)\$[A-Za-z0-9+/=,$-]{20,400}+"
    r"|pbkdf2_sha[0-9]{1,3}\$[0-9]{1,9}\$[A-Za-z0-9+/=._$-]{20,400}+"
)
_HASHED = re.compile(r"\$(?:[156y]|gy|2[abxy]|apr1|argon2i?d?|scrypt)\$")
_HTPASSWD = re.compile(
    r"""(\bhtpasswd)((?:[ \t]{1,4}(?:"[^"\n]{0,512}+"|'[^'\n]{0,512}+'|[^\s|;&<>"'`]{1,512}+)){2,12})"""
)
_WORDS = re.compile(r""""[^"\n]*"|'[^'\n]*'|[^\s"']+""")
_LINE = re.compile(
    "(" + _BEGIN + _NUMBERED + r"[ \t]{0,40}+(?:- )?(?:[a-z0-9]{1,40}[_.-]){0,3}(?:pass|pw)[ \t]{0,8}[:=][ \t]{0,8})"
    r"([^\s\"'`\\,;]{4,200}+)(?=[ \t]{0,8}(?:$|\r|\\{1,7}[nr]|[ \t]#|\\{0,7}\"))",
    re.MULTILINE,
)
"""In lower case: programs that test say PASS."""
_BELOW = re.compile(
    "(" + _BEGIN + r"(?P<indent>[ \t]{0,40}+)(?:- )?[\"']?(?:[A-Za-z0-9]{1,40}[_.-]){0,3}"
    r"(?:passw(?:or[dt])?|passwd|passphrase)[\"']?:[ \t]{0,8}(?:\r?\n|\\n)(?P=indent)[ \t]{1,8})"
    r"(?P<value>[^\s\"'`\\,;:({\[<]{4,200}+"
    r"|(?P<quote>\\{0,7}[\"'])[^\"'\\\n]{4,200}+(?P=quote))"
    r"(?=,?[ \t]{0,8}(?:$|\r|\\[nr]|\"))",
    re.IGNORECASE | re.MULTILINE,
)
"""A value that stands alone in the line below."""
_BESIDE = re.compile(
    r"(?:^|\\[nr]|[_.\"-])(?:user(?:name)?|login|email|account|host(?:name)?|database|db|dsn|smtp\w{0,20})"
    r"[ \t]{0,8}[:=]",
    re.IGNORECASE | re.MULTILINE,
)
"""What stands in settings beside a password."""
_NEAR = 300
_PW = re.compile(r"((?<![A-Za-z0-9])(?:[A-Z0-9]{1,20}_){0,4}PW=\\{0,3}[\"']?)(?!\[removed:)([^\s\"'`\\;&|<>]{4,512}+)")
_OF_SOMEBODY = re.compile(
    rf"({NOT_WITHIN_A_WORD}(?:password|passwort|kennwort|passcode|passphrase|pwd|pw)"
    r"[ \t]{1,3}(?:for|of|f\u00fcr|von)[ \t]{1,3}"
    r"(?:(?:user|account|the|database|db)[ \t]{1,3}){0,2}(?:\\{0,7}[\"'`])?[\w.@/:\\-]{1,100}?"
    r"(?:\\{0,7}[\"'`])?[ \t]{0,3}"
    r"(?::|=|[ \t]is)[ \t]{1,3}(?:\\{0,7}[\"'`])?)(?P<value>[^\s\"'`\\,;()<>\[\]]{5,128}+)",
    re.IGNORECASE,
)
_BOTH = re.compile(
    rf"({NOT_WITHIN_A_WORD}"
    r"(?:user(?:name)?|login|email|account|name)[ \t]{0,2}/[ \t]{0,2}(?:pass(?:word|wd)?|passwort|pwd|pw)\b"
    r"(?:\\{0,7}[\"'`])?[ \t]{0,4}(?:[:=]|is\b|are\b)[ \t]{0,4}"
    r"(?:\\{0,7}[\"'`])?[^\s\"'`\\/,;]{1,100}+(?:\\{0,7}[\"'`])?"
    r"[ \t]{0,4}/[ \t]{0,4}(?:\\{0,7}[\"'`])?)(?P<value>[^\s\"'`\\,;()<>\[\]]{4,128}+)",
    re.IGNORECASE,
)
"""Who somebody is and the password, divided by a slash."""
_RESULTS = frozenset("yes no on off true false none null all some every passed failed skipped done".split())  # noqa: SIM905


def _line(found: re.Match[str]) -> str:
    before, value = found[1], found[2]
    if not _may_be_password(value) or value.lower().startswith(("test", "[removed:")):
        return found[0]
    text, at = found.string, found.start(1)
    beside = _BESIDE.search(text[max(0, at - _NEAR) : at]) or _BESIDE.search(text[found.end() : found.end() + _NEAR])
    if not beside:
        digits, letters = sum(map(str.isdigit, value)), sum(map(str.isalpha, value))
        marked = any(char in "!@#$%^&*?~+" for char in value)
        if is_jagged(value):
            return f"{before}{mark('password')}"
        if letters < 4 or not digits or not (marked or (digits > 1 and value.isalnum() and len(value) >= 8)):
            return found[0]
    return f"{before}{mark('password')}"


def _of_somebody(found: re.Match[str]) -> str:
    value = found["value"].rstrip(".:!?")
    return f"{found[1]}{mark('password')}{found['value'][len(value) :]}" if may_be_told(value) else found[0]


def _both(found: re.Match[str]) -> str:
    value = found["value"].rstrip(".:")
    none = CODE.match(value) or PLACE.fullmatch(value) or value.lower() in TYPES | _RESULTS | _CALLED
    return found[0] if none or len(value) < 4 else f"{found[1]}{mark('password')}{found['value'][len(value) :]}"


def _below(found: re.Match[str]) -> str:
    quote = found["quote"] or ""
    value = found["value"].removeprefix(quote).removesuffix(quote)
    if value.startswith("[removed:") or PLACE.fullmatch(value) or value.lower() in TYPES | _RESULTS:
        return found[0]
    if is_label("password", value) or (not quote and (CODE.search(value) or is_code(value))):
        return found[0]
    return f"{found[1]}{quote}{mark('password')}{quote}"


def _pw(found: re.Match[str]) -> str:
    return f"{found[1]}{mark('password')}" if _may_be_password(found[2]) else found[0]


def _may_be_password(value: str) -> bool:
    """Or a count, a result, a path, or where one is put in."""
    if not any(map(str.isalpha, value)) or value.lower() in _RESULTS | TYPES:
        return False
    return not (CODE.match(value) or PLACE.fullmatch(value) or "/" in value or "::" in value or "(" in value)


def _htpasswd(found: re.Match[str]) -> str:
    words = list(_WORDS.finditer(found[2]))
    options = "".join(word[0] for word in words if word[0].startswith("-"))
    named, counts = [], False
    for word in words:
        if not counts and not word[0].startswith("-"):
            named.append(word)
        counts = word[0].startswith("-") and word[0].endswith(("C", "r"))
    place = 1 if "n" in options else 2
    if "b" not in options or len(named) <= place:
        return found[0]
    word = named[place]
    if PLACE.fullmatch(word[0].strip("\"'")) or word[0].startswith(("$", "[removed:")):
        return found[0]
    return f"{found[1]}{found[2][: word.start()]}{mark('password')}{found[2][word.end() :]}"


_CALLED = frozenset(("password", "passwd", "pass", "pwd", "passwort", "token", "auth", "login"))
LOGINS: tuple[Shape, ...] = (
    Shape(("machine", "default", "login"), _NETRC, only_last("password"), "password"),
    Shape((":543", ":6432:", ":*:"), _PGPASS, only_last("password"), "password"),
    Shape(("passw", "passphrase"), _BELOW, _below, "password"),
    Shape(("htpasswd",), _HTPASSWD, _htpasswd, "password"),
    Shape(("passw", "kennwort", "passcode", "passphrase", "pwd", "pw "), _OF_SOMEBODY, _of_somebody, "password"),
    Shape(("/pass", "/ pass", "/pw", "/ pw"), _BOTH, _both, "password"),
    Shape(("pw=",), _PW, _pw, "password"),
    Shape(("pass:", "pass=", "pass ", "pass\t", "pw:", "pw=", "pw ", "pw\t"), _LINE, _line, "password"),
)
HASHES = Shape(("$",), _HASH, lambda _: mark("hash"), "hash")
"""Of passwords."""
_PW_IS = re.compile(r"pw(?:\\t|[ \t\"'`\\]){0,8}(?:[:=]|(?:is|are|was|has|wurde|lautet|ist|for|of|f\u00fcr|von)\b)")
_LOGIN_OF_DATABASE = re.compile(r":(?:543[0-9]|6432|\*):[\w.*-]{1,63}:[\w.*@-]{1,63}:[^\s:]")


def may_hold_logins(low: str) -> bool:
    """In lower case. What other looks would find, too, is left to them."""
    if "$" in low and (_HASHED.search(low) is not None or "pbkdf2_" in low):
        return True
    if "pw" in low and _PW_IS.search(low) is not None:
        return True
    return (":543" in low or ":6432:" in low or ":*:" in low) and _LOGIN_OF_DATABASE.search(low) is not None
