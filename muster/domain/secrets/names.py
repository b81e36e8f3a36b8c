"""Secrets by the name of the field that they stand under, whatever their shape."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from muster.domain.secrets.tokens import mark
from muster.domain.secrets.values import CODE, ELSEWHERE, NEEDLES_ELSEWHERE, TYPES, is_folder, is_label, may_be_secret

_CERTAIN = re.compile(
    r"(?:.*[_.-])?(?:passw(?:or[dt])?s?|passwds?|pwd|passphrases?|passcodes?|authorization|secrets?|client_?secrets?"
    r"|(?:api|private|secret|access|signing|encryption|account|ssh)[_.-]?keys?|secret_key_base"
    r"|(?:access|refresh|auth|id|bearer|session)[_.-]?tokens?|set-cookie|cookies?|credentials?|secret_?string"
    r"|jwt|otp|pw|(?:recovery|backup)[_-]?codes|seed[_-]?phrase|mnemonic|passw(?:or)?d[_-]?hash)|.*password|(?:.*[_.-])?(?:db|user|root|admin|smtp|imap|mail|ftp|ssh|sudo|proxy)pass"
    r"|(?-i:.*_PASS|.*[a-z0-9](?:Pass|Pwd|Pass[Pp]hrase|Pass[Cc]ode|Secret|Credentials?"
    r"|(?:Api|API|Private|Secret|Access|Signing|Encryption|Account|Ssh)Keys?"
    r"|(?:Access|Refresh|Auth|Id|Bearer|Session)Tokens?))",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(f".*{ELSEWHERE}", re.IGNORECASE)
_PASS = re.compile(r"(?:.*[_.-])?pass", re.IGNORECASE)
"""A password, or how many tests did."""
_PIN = re.compile(r"(?:.*[_.-])?pin", re.IGNORECASE)
_HIDDEN = re.compile(r"[*•]+")
_PERHAPS = re.compile(r".*(?:token|secret|credential|_key|_pat|_auth)|auth", re.IGNORECASE)
_TOKEN_OF = re.compile(r"(?:.*[^A-Za-z0-9])?([A-Za-z0-9]+)[_.-]token", re.IGNORECASE)
_HUMPED_TOKEN_OF = re.compile(r".*?([A-Z]?[a-z0-9]+|[A-Z0-9]+)Token")
_OF_PARSERS = frozenset(
    """
    next prev previous current last first start end stop begin open close eos bos pad unk mask sep cls eot eof special
    unknown page nextpage continuation cancellation lookahead peek max min num number n total count sync resume cursor
    pagination string identifier keyword literal operator punctuation syntax lexer parser input output prompt completion
    expected unexpected actual invalid per word sub image audio video text think tool chat role line comment tag type
    trigger placeholder token the this a an each every one single new old is has no
    """.split()  # noqa: SIM905
)
"""Of tokens that are no secrets, what they are: pieces of a text, numbers of them, and places in a list."""
_SWITCHES = frozenset(("yes", "no", "on", "off", "true", "false"))
_PASSPHRASE = re.compile(r"[A-Za-z]{3,}(?:-[A-Za-z]{3,}){2,9}")
_SPELT_OUT = re.compile(r"(?i:token|secret|key|name|text|literal|string|start|end|begin|comment|open|close)(?![a-z])")
_CONSONANTS = re.compile(r"[b-df-hj-np-tv-xz]{5}", re.IGNORECASE)
_NEEDLES = (
    "pass", "pwd", "auth", "secret", "key", "token", "cookie", "credential", "pat", "jwt", "otp", "pw", "pin", "codes",
    "phrase", "mnemonic", *NEEDLES_ELSEWHERE,
)  # fmt: skip
_TELLS_OF_IT = frozenset(
    ("type", "kind", "format", "name", "title", "description", "id", "required", "pattern", "minlength", "maxlength",
     "in", "scheme", "bearerformat", "location", "flow", "label", "placeholder")
)  # fmt: skip
"""Names within what stands under the name of a secret, as in a schema, whose values are none."""
_DIGITS = 4
"""A number of fewer is taken for a count."""
_WORD, _LONG = 12, 16


def is_secret(name: str, value: str) -> bool:
    """Whether what stands under this name is a secret."""
    if not value or not _is_near(name) or value.startswith("[removed:") or CODE.fullmatch(value):
        return False
    if _is_certain(name):
        if is_folder(name, value):
            return False
        return value.lower() not in TYPES and not _HIDDEN.fullmatch(value) and not is_label(name, value)
    if _PIN.fullmatch(name):
        return value.isdigit() and len(value) >= _DIGITS
    if _PASS.fullmatch(name):
        return len(value) >= _DIGITS and not value.isdigit()
    if _PERHAPS.fullmatch(name) is None or CODE.search(value):
        return False
    return may_be_secret(value) or _is_token(name, value)


def _is_token(name: str, value: str) -> bool:
    """Where a token is to be, it may be made of words only."""
    if " " in value or len(value) < _DIGITS or value.lower() in TYPES | _SWITCHES or _HIDDEN.fullmatch(value):
        return False
    if name.lower() == "token":  # or what a parser knows
        if _SPELT_OUT.search(value):
            return False
        return _PASSPHRASE.fullmatch(value) is not None or (
            len(value) >= _WORD and value.isalpha() and _CONSONANTS.search(value) is not None
        )
    found = _TOKEN_OF.fullmatch(name) or _HUMPED_TOKEN_OF.fullmatch(name)
    if found is None or found[1].lower() in _OF_PARSERS or is_label(name, value):
        return False
    return not value.isdigit() or len(value) >= _LONG


def is_list_of_tokens(name: str, value: Any) -> bool:
    if not name.lower().endswith("token") or not isinstance(value, list | tuple):
        return False
    return all(isinstance(one, str) for one in value) and any(_is_token(name, one) for one in value)


def holds_secrets(name: str) -> bool:
    """Whether all that is within what stands under this name is taken for secret."""
    return _is_near(name) and _is_certain(name)


def _is_certain(name: str) -> bool:
    return _CERTAIN.fullmatch(name) is not None or _ELSEWHERE.fullmatch(name) is not None


def _is_near(name: str) -> bool:
    low = name.lower()
    return len(name) <= 100 and any(needle in low for needle in _NEEDLES)


def without_any(name: str, value: Any, otherwise: Callable[[str, Any], Any], kinds: dict[str, int]) -> Any:
    """What stands under such a name, without what is in it. `otherwise` does it for what only tells of it."""
    if isinstance(value, dict):
        return {
            key: otherwise(key, item) if key.lower() in _TELLS_OF_IT else without_any(name, item, otherwise, kinds)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_any(name, item, otherwise, kinds) for item in value]
    if isinstance(value, str):
        secret = is_secret(name, value)
    else:
        secret = not isinstance(value, bool | None) and len(str(value)) >= _DIGITS
    if not secret:
        return value
    kinds["secret"] = kinds.get("secret", 0) + 1
    return mark("secret")
