"""Secrets, by their own shape or by the name they stand under.

Everything here is linear in the length of what it reads, whoever wrote it: runs are matched possessively, and begin
only where a run can begin.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from muster.domain.secret_values import ATTRIBUTE, CODE, PLACE, is_told_of, may_be_secret

Replace = Callable[[re.Match[str]], str]


def mark(kind: str) -> str:
    # Without spaces or quotes, so that it looks like a value wherever a value stood, and is not taken for a secret.
    return f"[removed:{kind}]"


# -- By their own shape ----------------------------------------------------------------------------------------------

_TOKENS: tuple[tuple[str, str], ...] = (
    ("aws-key", r"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("github-token", r"gh[pousr]_[A-Za-z0-9]{16,}+|github_pat_[A-Za-z0-9_]{16,}+"),
    ("gitlab-token", r"gl(?:pat|dt|rt|ft|ptt|cbt|imt|oas|soat|agent|ffct)-[A-Za-z0-9_-]{16,}+"),
    ("slack-token", r"(?:xox[a-z]|xapp)[.-][A-Za-z0-9.-]{10,}+"),
    ("stripe-key", r"[srp]k_(?:live|test)_[A-Za-z0-9]{10,}+"),
    ("google-key", r"AIza[A-Za-z0-9_-]{30,}+|GOCSPX-[A-Za-z0-9_-]{20,}+"),
    ("google-token", r"ya29\.[A-Za-z0-9_-]{20,}+"),
    ("muster-key", r"mst_a?[0-9a-fA-F]{8,40}_[A-Za-z0-9_-]{8,}+"),
    ("npm-token", r"npm_[A-Za-z0-9]{30,}+"),
    ("pypi-token", r"pypi-AgE[A-Za-z0-9_-]{30,}+"),
    ("huggingface-token", r"hf_[A-Za-z0-9]{30,}+"),
    ("sendgrid-key", r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{30,}+"),
    ("twilio-key", r"SK[0-9a-f]{32}(?![A-Za-z0-9])"),
    ("telegram-token", r"(?:bot)?[0-9]{8,10}:AA[A-Za-z0-9_-]{30,}+"),
    ("discord-token", r"[MNO][A-Za-z0-9_-]{22,27}\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{27,}+"),
    ("azure-secret", r"[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,}+"),
    (
        "access-token",
        r"do[opr]_v1_[0-9a-f]{32,}+|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|lin_(?:api|oauth)_[A-Za-z0-9]{32,}+"
        r"|dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{32,}+|hv[sbr]\.[A-Za-z0-9_-]{20,}+|dapi[0-9a-f]{32}"
        r"|AT(?:ATT|CTT)3[A-Za-z0-9_-]{40,}+|fig[dorpu]_[A-Za-z0-9_-]{30,}+|ntn_[A-Za-z0-9]{30,}+"
        r"|PMAK-[0-9a-f]{24}-[0-9a-f]{34}|NR(?:AK|II|JS)-[A-Za-z0-9_-]{20,}+|glsa_[A-Za-z0-9_]{30,}+"
        r"|key-[0-9a-f]{32}(?![A-Za-z0-9])|sq0[a-z]{3}-[A-Za-z0-9_-]{20,}+|sbp_[0-9a-f]{40}"
        r"|sb_secret_[A-Za-z0-9_-]{20,}+|xai-[A-Za-z0-9]{60,}+|gsk_[A-Za-z0-9]{40,}+|pplx-[A-Za-z0-9]{40,}+"
        r"|r8_[A-Za-z0-9]{36,}+|AGE-SECRET-KEY-1[A-Z0-9]{50,}+|tskey-[a-z]{2,10}-[A-Za-z0-9-]{16,}+"
        r"|dckr_[op]at_[A-Za-z0-9_-]{20,}+|rubygems_[0-9a-f]{48}|sntry[su]_[A-Za-z0-9_-]{40,}+"
        r"|nf[pcou]_[A-Za-z0-9]{36,}+|v1\.0-[0-9a-f]{24}-[0-9a-f]{100,}+",
    ),
    # Words joined by hyphens, as in names of style sheets, hold no digit.
    ("api-key", r"sk-(?=[A-Za-z_-]{0,200}+[0-9])[A-Za-z0-9_-]{16,}+"),
)
_TOKEN = re.compile(r"(?<![A-Za-z0-9])(?:" + "|".join(f"({pattern})" for _, pattern in _TOKENS) + ")")
_RUN = re.compile(r"[A-Za-z0-9_.~:-]{15,}+")
"""What a token is a part of."""
_PLAIN = "abcdefghijklmnopqrstuvwxyz_.~:-"
"""A run of nothing else is no token."""


def _without_tokens(found: re.Match[str], kinds: dict[str, int]) -> str:
    def token(match: re.Match[str]) -> str:
        kind = _TOKENS[(match.lastindex or 1) - 1][0]
        kinds[kind] = kinds.get(kind, 0) + 1
        return mark(kind)

    run = found[0]
    if not run.strip(_PLAIN):
        return run
    run = _TOKEN.sub(token, run)
    at = run.find("eyJ")
    while at > 0 and run[at - 1].isalnum():
        at = run.find("eyJ", at + 1)
    if at < 0 or (dot := run.find(".", at)) < at + 8 or len(run) < dot + 8:
        return run
    kinds["jwt"] = kinds.get("jwt", 0) + 1
    return run[:at] + mark("jwt")


KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PEM = re.compile(f"{KEY_BEGIN.pattern}.*?(?:{KEY_END.pattern}|\\Z)", re.DOTALL)
_PUTTY = re.compile(r"(Private-Lines: [0-9]{1,4})(?:\s|\\[rn])[A-Za-z0-9+/=\s\\]{1,}+")
_ENCODED = re.compile(r"(?<![A-Za-z0-9+/])(?:LS0tLS1CRUdJTi|ABSK|fm2_|whsec_)[A-Za-z0-9+/=]{16,}+")
_PAIR = re.compile(r"(A[KS]IA[A-Z0-9]{16}[\"']?[\s,;:|\"']{1,8}+)[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_HOOK = re.compile(r"(hooks\.slack\.com/(?:services|workflows)/|/api/webhooks/[0-9]{1,20}/)[A-Za-z0-9/_-]{10,}+")
_SIGNED = re.compile(r"([?&;](?:sig|X-Amz-Signature|X-Goog-Signature|Signature)=)[A-Za-z0-9%+/_~-]{32,}+")
_URL = re.compile(r"(://[^\s/:@\"'<>]{0,256}+:)([^\s/\"'<>]{1,512})(?=@)")
_URL_TOKEN = re.compile(r"(://)(?=[A-Za-z_-]{0,200}+[0-9])[A-Za-z0-9_-]{20,256}+(?=@)")


def _url(found: re.Match[str]) -> str:
    if found[1].endswith("[removed:") or found[2].startswith(("[removed:", "$", "{", "*")):
        return found[0]
    return f"{found[1]}{mark('password')}"


# -- By their name ---------------------------------------------------------------------------------------------------

# A name, what stands between it and its value, and the value: quoted, also within what is quoted itself, or up to where
# such a value ends. Text is cut off anywhere, so a quote need not be closed.
_VALUE = (
    r"""(?:"(?:[^"\\\n]|\\.){1,4096}+"?|'(?:[^'\\\n]|\\.){1,4096}+'?|\\{1,7}["'](?:[^"'\\\n]|\\[^"'\\]){1,4096}+"""
    r"""|[^\s"'`,;&<>)}\]\\]{1,4096}+)"""
)
_IS = r"""(?:\\{0,7}["'`]?\]?[ \t]{0,8}(?:=>|:=|={1,3}+|:)[ \t]{0,8}|[ \t]{1,4}(?=\\{0,7}["']?[^\s=:]))"""
_STRONG = re.compile(
    r"(?P<name>(?P<flag>--?)?(?:passw(?:or[dt])?|passwd|pwd|pass[_-]?phrase|passcode|pgpassword|(?-i:(?<=[A-Z0-9]_)PASS)"
    r"|(?<![a-z])(?:db|user|root|admin|smtp|imap|mail|ftp|ssh|sudo|proxy|redis|mysql|pg)_?pass"
    r"|(?<=login)[ \t]{1,4}(?!(?:and|or|und)\b)\S{1,64}[ \t]{1,4}password))(?P<is>"
    + _IS
    + r")(?P<value>"
    + _VALUE
    + r")",
    re.IGNORECASE,
)
_WEAK = re.compile(
    r"(?P<name>(?P<flag>--?)?(?:secret|token|credential|(?<![a-z0-9])_?auth"
    r"|(?:api|access|private|secret|signing|encryption|account|shared|client)[_-]?key(?:-data)?"
    r"|(?<=[?&])key|(?-i:(?<=[A-Z0-9])_(?:KEY|PAT))))(?P<is>" + _IS + r")(?P<value>" + _VALUE + r")",
    re.IGNORECASE,
)
_LISTED = re.compile(
    r"(?P<name>\b(?:name|key)(?:\\?[\"'])?[ \t]{0,4}[:=][ \t]{0,4}\\?[\"']?[\w.-]{0,64}?(?:passw(?:or)?d|secret|token"
    r"|api[_-]?key)\\?[\"']?[\s,]{0,40}+\\?[\"']?value\\?[\"']?[ \t]{0,4}[:=][ \t]{0,4})(?P<value>" + _VALUE + r")",
    re.IGNORECASE,
)
"""A name and a value, each under its own name, as in settings of containers."""
_WITHIN = re.compile(
    r"(?P<name>(?:passw(?:or)?d|pwd|pass[_-]?phrase|passcode|secret|credentials?|api[_-]?key)"
    r"\\{0,7}[\"'][ \t]{0,8}:\s{0,8}"
    r"(?:\[\s{0,40}|\{[^{}\[\]]{0,200}?[\"'](?:value|data|raw|plain|plaintext)\\{0,7}[\"'][ \t]{0,8}:\s{0,8}))"
    r"(?P<value>\\{0,7}[\"'][^\[\]{}]{1,4096})",
    re.IGNORECASE,
)
"""A name, and what stands under it in a list or an object."""
_PASS = re.compile(
    r"(?P<name>(?<![A-Za-z])pass\\{0,7}[\"']?[ \t]{0,8}[:=][ \t]{0,8}\\{0,7}[\"'])(?P<value>[^\"'\\\n]{4,512}+)"
)
_SET = re.compile(
    r"(?P<name>\b(?:set|config|setx)(?:[ \t]{1,4}+--?[\w-]{1,40}+){0,4}+[ \t]{1,4}+[\"']?[\w.:/-]{0,64}?"
    r"(?:passw(?:or)?d|secret(?:_access_key)?|token|api_?key)[\"']?[ \t]{1,8}[\"']?)(?P<value>[^\s\"'`|;&<>]{4,4096}+)",
    re.IGNORECASE,
)
"""As in `aws configure set`, `git config`, `pip config set`."""
_OPENSSL = re.compile(r"(-pass(?:in|out)?[ \t=]{1,4}[\"']?pass:)[^\s\"'`|;&]{1,512}+")
_SQL = re.compile(r"((?:\bpassword|\bidentified(?: with \w{1,40})? by)[ \t]{1,8})'[^'\n]{1,200}+(?=')", re.IGNORECASE)
_BLOCK = re.compile(
    r"(^[ \t-]{0,40}+[\"']?[\w.-]{0,64}?(?:passw(?:or)?d|passphrase|secret|token|api_?key)[\"']?:"
    r"[ \t]{0,8}[|>][-+0-9]{0,2}[ \t]{0,8}\r?\n[ \t]{1,40}+)\S[^\n]{0,4096}+",
    re.IGNORECASE | re.MULTILINE,
)
"""A block of YAML."""
_TAGGED = re.compile(
    r"(<[\w.:-]{0,64}?(?:passw(?:or)?d|secret|token|api[_-]?key)>)[^<>\s]{4,512}+(?=</)", re.IGNORECASE
)
_HEADER = re.compile(
    r"(?P<name>authorization|x-api-key|set-cookie|cookie)(?P<is>\\?[\"'`]?[ \t]{0,8}(?:=>|=|:)[ \t]{0,8}\\?[\"'`]?)"
    r"(?P<scheme>(?:bearer|basic|token|digest|negotiate|apikey|aws4-hmac-sha256)[ \t]{1,8})?"
    r"(?P<value>[^\s\"'`\\][^\r\n\"'`\\]{0,8192}+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?P<scheme>\bbearer[ \t]{1,8})(?P<value>[A-Za-z0-9._~+/=-]{12,}+)", re.IGNORECASE)
_FLAG = re.compile(
    r"(?<![^\s\"'])(?P<flag>-[a-zA-Z]{0,3}u[ \t]?|--(?:proxy-)?user[ =]|-p[ \t]?)(?P<open>\\?[\"']?)"
    r"(?P<value>[^\s\"'`\\|;&]{1,512}+)"
)


def _unquoted(value: str) -> tuple[str, str, str]:
    """The value, and the quotes around it."""
    inner = value.lstrip("\\")
    if inner[:1] not in ('"', "'") or not inner:
        return "", value, ""
    quote, escaped, inner = inner[0], value[0] == "\\", inner[1:]
    closed = not escaped and inner.endswith(quote)
    return value[: len(value) - len(inner)], inner[:-1] if closed else inner, quote if closed else ""


def _named(found: re.Match[str], kind: str, *, any_value: bool) -> str:
    name, between = found["name"], found["is"]
    quote, inner, end = _unquoted(found["value"])
    if inner.startswith(("[removed:", "***")) or PLACE.fullmatch(inner):
        return found[0]
    if between.isspace() and not found["flag"] and len(name.split()) == 1:
        return found[0]  # prose: only a flag is told from its value by a space
    if not quote and (CODE.search(inner) or is_told_of(found, inner)):
        return found[0]
    if not any_value:
        if name.lower() in ("auth", "_auth"):
            secret = len(inner) >= 16 and may_be_secret(inner)
        elif name in ("_KEY", "_PAT", "key"):
            secret = len(inner) >= 20 and may_be_secret(inner) and inner.isalnum()
        elif name.isupper() and (between.strip() == "=" or found.string[found.start() - 1 : found.start()] == "_"):
            # So are variables of an environment set, whose values may be words.
            code = CODE.match(inner) if quote else ATTRIBUTE.fullmatch(inner)
            secret = len(inner) >= 6 and not code and (len(inner) >= 16 or not inner.isdigit())
        else:
            secret = may_be_secret(inner)
        if not secret:
            return found[0]
    return f"{name}{between}{quote}{mark(kind)}{end}"


def _listed(found: re.Match[str]) -> str:
    quote, inner, end = _unquoted(found["value"])
    return found[0] if CODE.search(inner) else f"{found['name']}{quote}{mark('secret')}{end}"


def _within(found: re.Match[str]) -> str:
    return found[0] if "[removed:" in found["value"] else f"{found['name']}{mark('secret')}"


def _pass(found: re.Match[str]) -> str:
    value = found["value"]
    plain = value.isdigit() or PLACE.fullmatch(value) or value.startswith("[removed:")
    return found[0] if plain else f"{found['name']}{mark('password')}"


def _set(found: re.Match[str]) -> str:
    name, value = found["name"], found["value"]
    secret = may_be_secret(value) or (("." in name or "_" in name) and not CODE.search(value))
    return f"{name}{mark('secret')}" if secret and not value.startswith("--") else found[0]


def _tagged(found: re.Match[str]) -> str:
    return f"{found[1]}{mark('secret')}"


def _header(found: re.Match[str]) -> str:
    if found["value"].startswith("[removed:") or (found["scheme"] is None and CODE.match(found["value"])):
        return found[0]
    kind = "cookie" if "cookie" in found["name"].lower() else "authorization"
    return f"{found['name']}{found['is']}{found['scheme'] or ''}{mark(kind)}"


def _bearer(found: re.Match[str]) -> str:
    return f"{found['scheme']}{mark('authorization')}"


def _flag(found: re.Match[str]) -> str:
    """Of commands that take a password as a short option: which one it is stands before it."""
    flag, value = found["flag"], found["value"]
    command = found.string[max(0, found.start() - 200) : found.start()].rpartition("\n")[2].lower()
    if flag.startswith("-p"):
        attached = flag[-1] not in " \t"  # perhaps some letters of it are taken for other short options
        if not any(name in command for name in (("mysql", "mariadb") if attached else ("sshpass", "login"))):
            return found[0]
        flag, who = flag[:2] if attached else flag, ""
    else:
        if "curl" not in command and "wget" not in command:
            return found[0]
        who, colon, value = value.partition(":")
        if not colon or not value:
            return found[0]
        who += colon
    return found[0] if CODE.match(value) else f"{flag}{found['open']}{who}{mark('password')}"


class _Shape(NamedTuple):
    needles: tuple[str, ...]
    """In lower case. Without one of them, there is nothing to look for."""
    pattern: re.Pattern[str]
    replace: Replace
    kind: str


def _only_last(kind: str) -> Replace:
    """What stands before the secret is kept."""
    return lambda found: f"{found[1] if found.re.groups else ''}{mark(kind)}"


_BEFORE_TOKENS: tuple[_Shape, ...] = (
    _Shape(("-----begin",), _PEM, _only_last("private-key"), "private-key"),
    _Shape(("private-lines",), _PUTTY, _only_last("private-key"), "private-key"),
    _Shape(("ls0tls1crudjti", "absk", "fm2_", "whsec_"), _ENCODED, _only_last("secret"), "secret"),
    _Shape(("akia", "asia"), _PAIR, _only_last("aws-secret"), "aws-secret"),
    _Shape(("hooks",), _HOOK, _only_last("webhook"), "webhook"),
    _Shape(("sig=", "signature="), _SIGNED, _only_last("signature"), "signature"),
)  # fmt: skip
_AFTER_TOKENS: tuple[_Shape, ...] = (
    _Shape(("://",), _URL, _url, "password"),
    _Shape(("://",), _URL_TOKEN, _only_last("password"), "password"),
    _Shape(("authorization", "x-api-key", "cookie"), _HEADER, _header, "authorization"),
    _Shape(("bearer",), _BEARER, _bearer, "authorization"),
    _Shape(("value",), _LISTED, _listed, "secret"),
    _Shape(("</",), _TAGGED, _tagged, "secret"),
    _Shape(("passw", "pwd", "phrase", "passcode", "secret", "credential", "api"), _WITHIN, _within, "secret"),
    _Shape(("pass:", "pass=", 'pass"', "pass'", "pass\\"), _PASS, _pass, "password"),
    _Shape(("set", "config"), _SET, _set, "secret"),
    _Shape(("pass:",), _OPENSSL, _only_last("password"), "password"),
    _Shape(("password", "identified"), _SQL, lambda found: f"{found[1]}'{mark('password')}", "password"),
    _Shape(("passw", "phrase", "secret", "token", "key"), _BLOCK, _only_last("secret"), "secret"),
    _Shape(("curl", "wget", "mysql", "mariadb", "sshpass", "login"), _FLAG, _flag, "password"),
    _Shape(
        ("passw", "pwd", "phrase", "pass"), _STRONG,
        lambda found: _named(found, "password", any_value=True), "password",
    ),
    _Shape(
        ("secret", "token", "credential", "key", "auth", "_pat"), _WEAK,
        lambda found: _named(found, "secret", any_value=False), "secret",
    ),
)  # fmt: skip


def without_secrets(text: str, kinds: dict[str, int]) -> str:
    """`kinds` counts what went."""
    text = _shapes(_BEFORE_TOKENS, text, kinds)
    text = _RUN.sub(lambda found: _without_tokens(found, kinds), text)
    return _shapes(_AFTER_TOKENS, text, kinds)


def _shapes(shapes: tuple[_Shape, ...], text: str, kinds: dict[str, int]) -> str:
    low = text.lower()
    for needles, pattern, replace, kind in shapes:
        for needle in needles:
            if needle in low:
                break
        else:
            continue
        before = text
        text = pattern.sub(replace, text)
        if text != before:
            kinds[kind] = kinds.get(kind, 0) + 1
            low = text.lower()
    return text


# -- Whether to look at all ------------------------------------------------------------------------------------------

_NEEDLES = (
    "private", "-----begin", "ls0tls1c", "absk", "fm2_", "whsec_", "hooks", "passw", "pwd", "phrase", "_pass", "secret",
    "credential", "authorization", "bearer", "cookie", "curl", "signature=", "login", "mysql", "mariadb", "sshpass",
    "identified by", "identified with", 'jwt"', 'otp"', 'pw"', 'pin"', 'codes"', 'mnemonic"', "passcode",
    "pass:", "pass=", "pass =", 'pass"', "pass'", "pass\\",
)  # fmt: skip
_LOGIN = re.compile(r"://(?:[^\s/@\"]*:[^\s/\"]*|[A-Za-z0-9_-]{20,256}+)@")
_ASSIGNED = re.compile(
    r"(?:token|key|_pat|auth)s?(?:-data)?[\"'\]\\`]{0,4}[ \t]{0,8}(?:=|:|>)|-(?:token|key)s?(?:[ \t]|\\{0,3}\",)"
    r"|[?&;]sig=|\b(?:set|config)[ \t][\w ./:-]{0,64}(?:token|key)[\"']?[ \t]"
)


def is_suspicious(text: str) -> bool:
    """Whether to look closer. Nearly nothing that is sent needs to be, and this is asked of all of it."""
    low = text.lower()
    for needle in _NEEDLES:
        if needle in low:
            return True
    # Common words are no reason; the shape of an assignment beside them is.
    if (
        "key" in low
        or "token" in low
        or 'auth"' in low
        or "auth\\" in low
        or "auth=" in low
        or "_pat=" in low
        or "sig=" in low
    ) and _ASSIGNED.search(low):
        return True
    if "://" in low and _LOGIN.search(low) is not None:
        return True
    runs = [run for run in _RUN.findall(text) if run.strip(_PLAIN)]
    if not runs:
        return False
    joined = " ".join(runs)
    return "eyJ" in joined or _TOKEN.search(joined) is not None
