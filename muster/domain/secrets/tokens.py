"""Secrets by their own shape: keys and tokens of known services, private keys, signatures, passwords in addresses."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from muster.domain.secrets.values import PLACE

Replace = Callable[[re.Match[str]], str]


def mark(kind: str) -> str:
    # Without spaces or quotes, so that it looks like a value wherever a value stood, and is not taken for a secret.
    return f"[removed:{kind}]"


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
NOT_WITHIN_A_WORD = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=[0-9]m))"
"""Where one can begin: also after a line's end, or a colour of a terminal, that is written out as in JSON."""
_TOKEN = re.compile(NOT_WITHIN_A_WORD + "(?:" + "|".join(f"({pattern})" for _, pattern in _TOKENS) + ")")
_JWT = re.compile(NOT_WITHIN_A_WORD + "eyJ")
_RUN = re.compile(r"[A-Za-z0-9_.~:\\-]{15,}+")
"""What a token is a part of."""
_PLAIN = "abcdefghijklmnopqrstuvwxyz_.~:-\\"
"""A run of nothing else is no token."""


def _without_tokens(found: re.Match[str], kinds: dict[str, int]) -> str:
    def token(match: re.Match[str]) -> str:
        kind = _TOKENS[(match.lastindex or 1) - 1][0]
        kinds[kind] = kinds.get(kind, 0) + 1
        return mark(kind)

    run = found[0]
    if not run.strip(_PLAIN):
        return run
    return _without_jwts(_TOKEN.sub(token, run), kinds)


def _without_jwts(run: str, kinds: dict[str, int]) -> str:
    kept, at = [], 0
    while begin := _JWT.search(run, at):
        end = run.find("\\", begin.end())
        end = len(run) if end < 0 else end
        dot = run.find(".", begin.end(), end)
        if dot >= begin.start() + 8 and end >= dot + 8:
            kinds["jwt"] = kinds.get("jwt", 0) + 1
            kept.append(run[at : begin.start()] + mark("jwt"))
        else:
            kept.append(run[at:end])
        at = end
    return "".join(kept) + run[at:]


KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PEM = re.compile(f"{KEY_BEGIN.pattern}.*?(?:{KEY_END.pattern}|\\Z)", re.DOTALL)
_PUTTY = re.compile(r"(Private-Lines: [0-9]{1,4})(?:\s|\\[rn])[A-Za-z0-9+/=\s\\]{1,}+")
_ENCODED = re.compile(r"(?<![A-Za-z0-9+/])(?:LS0tLS1CRUdJTi|ABSK|fm2_|whsec_)[A-Za-z0-9+/=]{16,}+")
_PAIR = re.compile(
    f"({NOT_WITHIN_A_WORD}" r"A[KS]IA[A-Z0-9]{16}[\"']?[\s,;:|\"']{1,8}+)[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])"
)
_BASE64 = re.compile(
    r"(KEYS?\\{0,7}[\"']?[ \t]{0,4}(?:=>|[:=])[ \t]{0,4}\\{0,7}[\"']?base64:)[A-Za-z0-9+/]{20,}+={0,2}", re.IGNORECASE
)
_HOOK = re.compile(r"(hooks\.slack\.com/(?:services|workflows)/|/api/webhooks/[0-9]{1,20}/)[A-Za-z0-9/_-]{10,}+")
_SIGNED = re.compile(r"([?&;](?:sig|X-Amz-Signature|X-Goog-Signature|Signature)=)[A-Za-z0-9%+/_~-]{32,}+")
_URL = re.compile(r"(://[^\s/:@\"'<>]{0,256}+:)([^\s/\"'<>]{1,512})(?=@)")
_URL_TOKEN = re.compile(r"(://)(?=[A-Za-z_-]{0,200}+[0-9])[A-Za-z0-9_-]{20,256}+(?=@)")


def _url(found: re.Match[str]) -> str:
    if found[1].endswith("[removed:") or found[2].startswith(("[removed:", "$", "{", "*")) or PLACE.fullmatch(found[2]):
        return found[0]
    return f"{found[1]}{mark('password')}"


class Shape(NamedTuple):
    needles: tuple[str, ...]
    """In lower case. Without one of them, there is nothing to look for."""
    pattern: re.Pattern[str]
    replace: Replace
    kind: str


def only_last(kind: str) -> Replace:
    """What stands before the secret is kept."""
    return lambda found: f"{found[1] if found.re.groups else ''}{mark(kind)}"


_SHAPES: tuple[Shape, ...] = (
    Shape(("-----begin",), _PEM, only_last("private-key"), "private-key"),
    Shape(("private-lines",), _PUTTY, only_last("private-key"), "private-key"),
    Shape(("ls0tls1crudjti", "absk", "fm2_", "whsec_"), _ENCODED, only_last("secret"), "secret"),
    Shape(("akia", "asia"), _PAIR, only_last("aws-secret"), "aws-secret"),
    Shape(("base64:",), _BASE64, only_last("secret"), "secret"),
    Shape(("hooks",), _HOOK, only_last("webhook"), "webhook"),
    Shape(("sig=", "signature="), _SIGNED, only_last("signature"), "signature"),
)  # fmt: skip
_ADDRESSES: tuple[Shape, ...] = (
    Shape(("://",), _URL, _url, "password"),
    Shape(("://",), _URL_TOKEN, only_last("password"), "password"),
)


def without_tokens(text: str, kinds: dict[str, int]) -> str:
    text = without_shapes(_SHAPES, text, kinds)
    text = _RUN.sub(lambda found: _without_tokens(found, kinds), text)
    return without_shapes(_ADDRESSES, text, kinds)


def without_shapes(shapes: tuple[Shape, ...], text: str, kinds: dict[str, int]) -> str:
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


_LOGIN = re.compile(r"://(?:[^\s/@\":]*+:[^\s/\"@]*+@|[A-Za-z0-9_-]{20,256}+@)")


def may_hold_tokens(text: str) -> bool:
    """Whether to look closer, beside what is known by words that stand in it."""
    if "://" in text and _LOGIN.search(text) is not None:
        return True
    runs = [run for run in _RUN.findall(text) if run.strip(_PLAIN)]
    if not runs:
        return False
    joined = " ".join(runs)
    return "eyJ" in joined or _TOKEN.search(joined) is not None
