"""Secrets, by the name that they stand under.

Everything here is linear in the length of what it reads, whoever wrote it: runs are matched possessively, and begin
only where a run can begin.
"""

from __future__ import annotations

import re

from muster.domain.secrets.code import (
    ATTRIBUTE,
    SAID,
    SAID_ELSEWHERE,
    before,
    ends_a_string,
    is_environment,
    is_told_of,
    whole_name,
)
from muster.domain.secrets.commands import COMMANDS, may_be_commands
from muster.domain.secrets.headers import BEARER, HEADER, bearer, header
from muster.domain.secrets.kubernetes import without_kubernetes
from muster.domain.secrets.logins import HASHES, LOGINS, may_hold_logins
from muster.domain.secrets.names import is_secret
from muster.domain.secrets.stores import may_be_stored, without_stored
from muster.domain.secrets.tables import may_hold_tables, without_tables
from muster.domain.secrets.tokens import (
    NOT_WITHIN_A_WORD,
    Shape,
    mark,
    may_hold_tokens,
    only_last,
    without_shapes,
    without_tokens,
)
from muster.domain.secrets.values import (
    CODE,
    ELSEWHERE,
    NEEDLES_ELSEWHERE,
    PLACE,
    TYPES,
    is_folder,
    is_label,
    may_be_secret,
    may_be_told,
)

# A name, what stands between it and its value, and the value: quoted, also within what is quoted itself, or up to where
# such a value ends. Text is cut off anywhere, so a quote need not be closed.
_VALUE = (
    r"""(?:"(?:[^"\\\n]|\\.){1,4096}+"?|'(?:[^'\\\n]|\\.){1,4096}+'?|`[^`\n]{1,4096}+`"""
    r"""|\\{1,7}["'](?:[^"'\\\n]|\\[^"'\\]){1,4096}+|[^\s"'`,;&<>)}\]\\\x1b]{1,4096}+)"""
)
_COLOUR = r"(?:(?:\x1b|\\{1,7}(?:u001b|x1b|e|033))\[[0-9;]{0,12}m)?"
"""Of a terminal."""
_PREFIX = r"""(?:[bBrRuUfFlL$@]{1,2}(?=["']))?(?:""(?="[^"])|''(?='[^']))?"""
"""What some languages put before a string, and the first two of three quotes."""
_TYPED = (
    r"""(?:[?!]?:[ \t]{0,4}&?(?:'static )?[A-Za-z_][\w.\[\]| ]{0,40}?(?:<[\w. ]{1,30}>)?[ \t]{0,4}"""
    r"""|\[\d{0,4}\][ \t]{0,4}|[ \t]{1,4}(?:string|\[\]byte)[ \t]{1,4})"""
    r"""=(?![=>])(?=[ \t]{0,8}""" + _PREFIX + r"""\\{0,7}["'`])"""
)  # fmt: skip
"""A name's type, where a string follows."""
_WRAPPED = (
    r"""(?:(?:new[ \t]{1,2})?(?:Secret(?:Str(?:ing)?|Bytes)?|Secret(?:String|Box)?::(?:new|from)|String::from"""
    r"""|Buffer\.from|\[\]byte|bytes|Some|Zeroizing::new)\((?=\\{0,7}["']))?"""
)
_IS = (
    "(?:" + _COLOUR + r"""\\{0,7}["'`]?\]?(?:""" + _TYPED + r"""|[ \t]{0,8}(?:=>|:=|={1,3}+|:))"""
    + _COLOUR + r"""[ \t]{0,8}""" + _COLOUR + _WRAPPED + _PREFIX
    + r"""|[ \t]{1,4}(?=\\{0,7}["']?[^\s=:]))"""
)  # fmt: skip
_AN_OPTION = r"(?P<flag>(?<![\w.)\]}/-])--?(?:[a-z0-9]{1,20}[_-]){0,3})?"
_STRONG = re.compile(
    r"(?P<name>" + _AN_OPTION + r"(?:passw(?:or[dt])?|passwd|pwd|pass[_-]?phrase|passcode|pgpassword"
    r"|(?-i:(?<=[A-Z0-9]_)PASS)"
    r"|(?<![a-z])(?:db|user|root|admin|smtp|imap|mail|ftp|ssh|sudo|proxy|redis|mysql|pg|(?<=-)(?:store|key))_?pass"
    r"|(?<=login)[ \t]{1,4}(?!(?:and|or|und)\b)\S{1,64}[ \t]{1,4}password))(?P<is>"
    + _IS
    + r")(?P<value>"
    + _VALUE
    + r")",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(
    "(?P<name>"
    + _AN_OPTION
    + ELSEWHERE
    + r")(?P<is>(?:\\{0,7}[\"'`]?\]?(?:[ \t\u00a0\u202f]|\\{1,7}u(?:00a0|202f)){0,8}+"
    r"(?:=>|:=|={1,3}+|:|：|\\{1,7}uff1a)"
    r"[ \t]{0,8}|[ \t]{1,4}(?=\\{0,7}[\"']?[^\s=:])))(?P<value>" + _VALUE + ")",
    re.IGNORECASE,
)
"""Called as in other languages."""
_WEAK = re.compile(
    r"(?P<name>(?P<flag>--?(?:[a-z0-9]{1,20}[_-]){0,3})?(?:secret|token|credential|(?<![a-z0-9])_?auth"
    r"|(?:api|access|private|secret|signing|encryption|account|shared|client)[_.-]?key(?:-data|_base)?"
    r"|(?<=[?&])key|(?-i:(?<=[A-Z0-9])_(?:KEY|PAT))))(?P<is>" + _IS + r")(?P<value>" + _VALUE + r")",
    re.IGNORECASE,
)
_QUOTE = r"""(?:\\{0,7}["'])?"""
_LISTED = re.compile(
    r"(?P<name>(?:name|key|variable|label)" + _QUOTE + r"[ \t]{0,4}[:=][ \t]{0,4}" + _QUOTE
    + r"(?P<told>[\w.-]{1,100}+)" + _QUOTE + r"(?:[\s,]|\\[nrt]){0,40}+"
    + _QUOTE + "value" + _QUOTE + r"[ \t]{0,4}[:=][ \t]{0,4})(?P<value>" + _VALUE + r")",
    re.IGNORECASE,
)  # fmt: skip
_LISTED_NAME = re.compile(r"[\w.-]*(?:passw(?:or)?d|secret|token|api[_.-]?key)", re.IGNORECASE)
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
    r"(?P<name>"
    + NOT_WITHIN_A_WORD
    + r"pass\\{0,7}[\"']?[ \t]{0,8}[:=][ \t]{0,8}\\{0,7}[\"'])(?P<value>[^\"'\\\n]{4,512}+)"
)
_SET = re.compile(
    r"(?P<name>\b(?:set|config|setx)(?:[ \t]{1,4}+--?[\w-]{1,40}+){0,4}+[ \t]{1,4}+[\"']?[\w.:/-]{0,64}?"
    r"(?:passw(?:or)?d|secret(?:_access_key)?|token|api_?key)[\"']?[ \t]{1,8}[\"']?)(?P<value>[^\s\"'`|;&<>]{4,4096}+)",
    re.IGNORECASE,
)
"""As in `aws configure set`, `git config`, `pip config set`."""
_OPENSSL = re.compile(r"(-pass(?:in|out)?[ \t=]{1,4}[\"']?pass:)[^\s\"'`|;&]{1,512}+")
_SQL = re.compile(r"((?:\bpassword|\bidentified(?: with \w{1,40})? by)[ \t]{1,8})'([^'\n]{1,200}+)(?=')", re.IGNORECASE)
_BLOCK = re.compile(
    r"(^[ \t-]{0,40}+[\"']?[\w.-]{0,64}?(?:passw(?:or)?d|passphrase|secret|token|credentials?"
    r"|(?:api|private|client|signing|encryption|access|ssh|tls)[_-]?key)[\"']?:"
    r"[ \t]{0,8}[|>][-+0-9]{0,2}[ \t]{0,8}\r?\n([ \t]{1,40}+))\S[^\n]{0,4096}+(?:\n\2[^\n]{0,4096}+){0,200}+",
    re.IGNORECASE | re.MULTILINE,
)
"""A block of YAML, as far as it is indented."""
_TAGGED = re.compile(
    r"(<[\w.:-]{0,64}?(?:passw(?:or)?d|secret|token|api[_-]?key)>)([^<>\s]{4,512}+)(?=</)", re.IGNORECASE
)
_CALLED = re.compile(
    r"(?P<name>(?:set|put|add|append|header|env|environ\.get|getproperty|with|define|property)\w{0,16}\(\s{0,8}"
    r"(?P<q>\\{0,7}[\"'])(?P<told>[\w.-]{1,100}+)(?P=q)\s{0,8},\s{0,8}(?P=q))(?P<value>[^\"'\\\n]{1,4096}+)"
    r"(?=(?P=q)\s{0,8}[,)])",
    re.IGNORECASE,
)
"""A name and a value that are handed to what sets it, or takes the one where the other is not set."""
_PUT = re.compile(
    r"(?P<name>(?:(?:set|with|check|verify|hash|validate)_?|(?<![a-z0-9_]))passw(?:or)?d\(\s{0,4}(?P<q>\\{0,7}[\"']))"
    r"(?P<value>[^\"'\\\s]{1,512}+)(?=(?P=q)\s{0,4}[,)])",
    re.IGNORECASE,
)
_DEFAULT = re.compile(
    r"(\$\{\w{0,60}?(?:PASS(?:W(?:OR)?D)?|SECRET|TOKEN|API_?KEY|ACCESS_KEY|PASSPHRASE)\w{0,20}:?[-=])(?!\[removed:)"
    r"[^\s{}$\"']{1,400}(?=\})",
    re.IGNORECASE,
)
"""What a shell takes where the variable is not set."""
_PHRASE = re.compile(
    r"(?P<name>(?P<flag>(?!))?pass[_-]?phrase)(?P<is>[\"'`]?[ \t]{0,8}:[ \t]{1,8})"
    r"(?P<value>[^\s\"'`,;&<>)}\]\\\x1b]{1,100}+)"
    r"(?P<more>(?:[ \t]{1,4}[^\s\"'`#,;:=&<>(){}\[\]\\]{1,100}+){1,24}+)(?=[ \t]{0,8}(?:$|\r|\\[nr]|[\"'`<]))",
    re.IGNORECASE | re.MULTILINE,
)
"""One that has several words, to the end of its line."""
_SPOKEN = re.compile(
    rf"(?P<name>{NOT_WITHIN_A_WORD}(?:password|passwort|kennwort|passcode|passphrase|pwd|pw)"
    r"[ \t]{1,3}(?:(?:is|was|lautet|ist)[ \t]{1,3}now"
    r"|(?:was|is|has been|wurde)[ \t]{1,3}(?:changed|set|reset)[ \t]{1,3}to|is|was|lautet|ist)[ \t]{1,3}[\"'`]?)"
    r"(?P<value>[^\s\"'`\\,;()<>\[\]]{6,128}+)",
    re.IGNORECASE,
)
"""What somebody says it is. Of a word it is not known whether it is one, or says something about it."""
_FLAG = re.compile(
    r"(?<![^\s\"'])(?P<flag>-[a-zA-Z]{0,3}u[ \t]?|--(?:proxy-)?user[ =]|-p[ \t]?)(?P<open>\\?[\"']?)"
    r"(?P<value>[^\s\"'`\\|;&]{1,512}+)"
)


def _unquoted(value: str) -> tuple[str, str, str]:
    """The value, and the quotes around it."""
    inner = value.lstrip("\\")
    if inner[:1] not in ('"', "'", "`") or not inner:
        return "", value, ""
    quote, escaped, inner = inner[0], value[0] == "\\", inner[1:]
    closed = not escaped and inner.endswith(quote)
    return value[: len(value) - len(inner)], inner[:-1] if closed else inner, quote if closed else ""


def _named(found: re.Match[str], kind: str, *, any_value: bool) -> str:
    name, between = found["name"], found["is"]
    quote, inner, end = _unquoted(found["value"])
    if between.isspace() and not found["flag"] and len(name.split()) == 1:
        return found[0]  # prose: only a flag is told from its value by a space
    if _is_none(found, quote, inner) or not (any_value or _is_likely(found, quote, inner)):
        return found[0]
    return f"{name}{between}{quote}{mark(kind)}{end}"


def _elsewhere(found: re.Match[str]) -> str:
    """What is said of one in these languages is told by its letters, or by more words that follow."""
    quote, inner, _ = _unquoted(found["value"])
    if not quote and "=" not in found["is"]:
        after = found.string[found.end() : found.end() + 2]
        if not inner.isascii() or (inner.strip(".").isalpha() and (after[:1] == " " or inner in SAID_ELSEWHERE)):
            return found[0]
    return _named(found, "password", any_value=True)


def _phrase(found: re.Match[str]) -> str:
    kept = found[0] if found["value"] in SAID else _named(found, "password", any_value=True)
    return kept if kept.endswith(mark("password")) else found[0]


def _spoken(found: re.Match[str]) -> str:
    said = found["value"]
    value = said.rstrip(".:!?")
    if not may_be_told(value):
        return found[0]
    return f"{found['name']}{mark('password')}{said[len(value) :]}"


def _is_none(found: re.Match[str], quote: str, inner: str) -> bool:
    """Whether what stands there cannot be a secret, however its name is."""
    if inner.startswith(("[removed:", "***")) or PLACE.fullmatch(inner) or not any(map(str.isalnum, inner)):
        return True
    if inner.isdigit() and len(inner) < 4 and not quote and " " in found["is"]:  # a count, or one of an enumeration
        return True
    if is_folder(whole_name(found), inner):
        return True
    if quote and ends_a_string(found, quote, inner):
        return True
    if quote == "`" and found["is"] == "=" and " " in inner:  # a command of a shell
        return True
    if quote in ("", "`"):
        if is_environment(found):
            return CODE.match(inner) is not None or is_told_of(found, inner)
        return CODE.search(inner) is not None or (inner.lower() in TYPES if quote else is_told_of(found, inner))
    return (inner.lower() in TYPES and ":" in found["is"]) or is_label(whole_name(found), inner)


_SWITCHES = frozenset(("yes", "no", "on", "off", "true", "false", "none", "null"))


def _is_likely(found: re.Match[str], quote: str, inner: str) -> bool:
    """Of what is most often the name of a secret, or a kind of token."""
    name, between = found["name"], found["is"]
    if between[-1] in "fF" and "{" in inner:  # put together where it is used
        return False
    if name.lower().lstrip("-") in ("auth", "_auth"):
        return len(inner) >= 16 and may_be_secret(inner)
    if name in ("_KEY", "_PAT", "key"):
        return len(inner) >= 20 and may_be_secret(inner) and inner.isalnum()
    if not name.isupper() or not (between.strip() == "=" or found.string[found.start() - 1 : found.start()] == "_"):
        return may_be_secret(inner)
    # So are variables of an environment set, whose values may be words.
    if (CODE.match(inner) if quote else ATTRIBUTE.fullmatch(inner)) or inner.lower() in _SWITCHES:
        return False
    if name.endswith("TOKEN"):  # what a parser knows is called so, too
        return (len(inner) >= 6 or between == "=") and (len(inner) >= 16 or not inner.isdigit())
    return not inner.isdigit() or len(inner) >= 4


def _listed(found: re.Match[str]) -> str:
    quote, inner, end = _unquoted(found["value"])
    if CODE.search(inner) or PLACE.fullmatch(inner):
        return found[0]
    if not _LISTED_NAME.fullmatch(found["told"]) and not is_secret(found["told"], inner):
        return found[0]
    return f"{found['name']}{quote}{mark('secret')}{end}"


def _called(found: re.Match[str]) -> str:
    value = found["value"]
    none = PLACE.fullmatch(value) or not is_secret(found["told"], value)
    return found[0] if none else f"{found['name']}{mark('secret')}"


def _put(found: re.Match[str]) -> str:
    value = found["value"]
    none = value.startswith("[removed:") or CODE.search(value) or is_label("password", value)
    return found[0] if none else f"{found['name']}{mark('password')}"


def _within(found: re.Match[str]) -> str:
    return found[0] if "[removed:" in found["value"] else f"{found['name']}{mark('secret')}"


def _pass(found: re.Match[str]) -> str:
    value = found["value"]
    plain = value.isdigit() or PLACE.fullmatch(value) or value.startswith(("[removed:", ",", ")"))
    return found[0] if plain else f"{found['name']}{mark('password')}"


_SETS = re.compile(r"\b(?:aws|git|npm|pnpm|yarn|pip|poetry|gcloud|heroku|gh|glab|vault|conda|composer|bundle|az|fly)\b")


def _set(found: re.Match[str]) -> str:
    name, value = found["name"], found["value"]
    if value.startswith(("--", "[removed:")):
        return found[0]
    sets = _SETS.search(before(found)) or " -" in name or name.lower().startswith("setx") or name.split()[-1].isupper()
    secret = may_be_secret(value) or (sets and ("." in name or "_" in name) and not CODE.search(value))
    return f"{name}{mark('secret')}" if secret else found[0]


def _sql(found: re.Match[str]) -> str:
    value = found[2]
    return found[0] if PLACE.fullmatch(value) or value.startswith("[removed:") else f"{found[1]}'{mark('password')}"


def _tagged(found: re.Match[str]) -> str:
    tag, value = found[1], found[2]
    none = value.startswith(("{", "${", "[removed:")) or is_label(tag, value) or value.lower() in TYPES
    if not none and tag.lower().endswith("token>"):
        none = value.isalpha() and not may_be_secret(value)
    return found[0] if none else f"{tag}{mark('secret')}"


def _flag(found: re.Match[str]) -> str:
    """Of commands that take a password as a short option: which one it is stands before it."""
    flag, value = found["flag"], found["value"]
    command = found.string[max(0, found.start() - 200) : found.start()].rpartition("\n")[2].lower()
    if flag.startswith("-p"):
        attached = flag[-1] not in " \t"  # perhaps some letters of it are taken for other short options
        commands = ("mysql", "mariadb") if attached else ("sshpass", "login")
        if not any(name in command for name in commands) and not command.endswith("sshpass "):
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


_SHAPES: tuple[Shape, ...] = (
    *LOGINS,
    *COMMANDS,
    Shape(("authorization", "x-api-key", "cookie"), HEADER, header, "authorization"),
    Shape(("bearer",), BEARER, bearer, "authorization"),
    Shape(("value",), _LISTED, _listed, "secret"),
    Shape(("</",), _TAGGED, _tagged, "secret"),
    Shape(("${",), _DEFAULT, only_last("secret"), "secret"),
    Shape(("passw", "pwd", "phrase", "passcode", "secret", "credential", "api"), _WITHIN, _within, "secret"),
    Shape(("pass:", "pass=", "pass ", 'pass"', "pass'", "pass\\", "pass\t"), _PASS, _pass, "password"),
    Shape(("set", "config"), _SET, _set, "secret"),
    Shape(("pass:",), _OPENSSL, only_last("password"), "password"),
    Shape(("password", "identified"), _SQL, _sql, "password"),
    Shape(("passw", "phrase", "secret", "token", "key"), _BLOCK, only_last("secret"), "secret"),
    Shape(("passphrase", "pass-phrase", "pass_phrase"), _PHRASE, _phrase, "password"),
    Shape(("curl", "wget", "mysql", "mariadb", "sshpass", "login"), _FLAG, _flag, "password"),
    Shape(
        ("set", "put", "add", "append", "header", "env", "with", "define", "property"), _CALLED, _called, "secret",
    ),
    Shape(("password(", "passwd("), _PUT, _put, "password"),
    Shape(
        ("passw", "pwd", "phrase", "pass"), _STRONG,
        lambda found: _named(found, "password", any_value=True), "password",
    ),
    Shape(
        ("secret", "token", "credential", "key", "auth", "_pat"), _WEAK,
        lambda found: _named(found, "secret", any_value=False), "secret",
    ),
    Shape(("passw", "kennwort", "passcode", "phrase", "pwd", "pw "), _SPOKEN, _spoken, "password"),
    Shape(NEEDLES_ELSEWHERE, _ELSEWHERE, _elsewhere, "password"),
    HASHES,
)  # fmt: skip


def without_secrets(text: str, kinds: dict[str, int]) -> str:
    """`kinds` counts what went."""
    text = without_stored(without_kubernetes(without_tokens(text, kinds), kinds), kinds)
    text = without_tables(text, kinds)
    return without_shapes(_SHAPES, text, kinds)


# -- Whether to look at all ------------------------------------------------------------------------------------------

_NEEDLES = (
    "private", "-----begin", "ls0tls1c", "absk", "fm2_", "whsec_", "hooks", "passw", "pwd", "phrase", "_pass", "secret",
    "credential", "authorization", "bearer", "cookie", "curl", "wget", "signature=", "login", "mysql", "mariadb",
    "sshpass", "identified by", "identified with", "passcode",
    *(word for word in NEEDLES_ELSEWHERE if word != "passe"),
)  # fmt: skip
_BEFORE_VALUE = r"(?:[\s,]|\\[nrt]){0,40}+[\"'\\]{0,16}value"
_IS_ASSIGNED = (
    r"s?(?:-data)?(?:\\{0,15}[\"']|[\s\]\\`](?:[\"'\]\\` \t]|(?<=\\)[tnr]){0,40}+[=:>]|[=:>\[]|" + _BEFORE_VALUE + ")"
)
_NAMES = tuple(
    [(word, re.compile(word + _IS_ASSIGNED)) for word in ("token", "key", "pass", "auth")]
    + [("_pat", re.compile("_pat(?!h)" + _IS_ASSIGNED)), ("sig=", re.compile(r"[?&;]sig="))]
    + [("passe", re.compile("passe(?![a-z])"))]  # and not of what passed
    + [
        (word, re.compile(word + rf"(?:[\"'\\]|{_BEFORE_VALUE})"))
        for word in ("jwt", "otp", "pw", "pin", "codes", "mnemonic")
    ]
)
"""Common words are no reason to look closer. What stands beside them is, where they are names of secrets: the end of a
string, or of one that something is assigned to. Each begins with what is quickly found."""
_OPTION = re.compile(r"-(?:[a-z0-9]{1,20}[_-]){0,3}[a-z]{0,12}[_.-]?(?:token|key|auth|pass)s?(?:-data)?[\s\\]")
_SETTING = re.compile(r"(?:set|config)x?[ \t\\][\\\w \t.:/\"'-]{0,300}?(?:token|key)[\"'\\]{0,4}[ \t\\]")


def is_suspicious(text: str) -> bool:
    """Whether to look closer. Nearly nothing that is sent needs to be, and this is asked of all of it. It knows a text
    and the JSON of a value, and says yes wherever something would be taken out."""
    low = text.lower()
    for needle in _NEEDLES:
        if needle in low:
            return True
    for word, pattern in _NAMES:
        if word in low and pattern.search(low):
            return True
    named = "token" in low or "key" in low
    if (named or "auth" in low or "pass" in low) and _OPTION.search(low):
        return True
    if named and ("set" in low or "config" in low) and _SETTING.search(low):
        return True
    return (
        may_hold_logins(low)
        or may_be_commands(low)
        or may_be_stored(low)
        or may_hold_tables(low)
        or may_hold_tokens(text)
    )
