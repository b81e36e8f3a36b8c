"""What must not be remembered: private text, secrets by their shape, and what a project excludes.

Everything here is linear in the length of what it reads, whoever wrote it: runs are matched possessively, and begin
only where a run can begin.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import translate
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple

from pydantic import TypeAdapter

Replace = Callable[[re.Match[str]], str]

as_json = TypeAdapter(Any).dump_json
"""A value as it is looked through, and as it is stored."""


class Removed(NamedTuple):
    """What was taken out, by kind, and how often; or why nothing of it may be kept."""

    kinds: dict[str, int]
    excluded: str | None = None
    """The project's glob that it met: all of it is dropped."""


def scrub(
    value: Any, exclude_paths: Sequence[str] = (), exclude_tools: Sequence[str] = (), *, text: str | None = None
) -> tuple[Any, Removed]:
    """The JSON value without what must not be kept. `text`: the value as JSON, where it is at hand."""
    if exclude_paths or exclude_tools:
        found = _Excluded.of(tuple(exclude_paths), tuple(exclude_tools)).meets(value)
        if found is not None:
            return None, Removed({}, found)
    if not is_suspicious(text if text is not None else as_json(value).decode()):
        return value, Removed({})
    kinds: dict[str, int] = {}
    return _scrubbed(value, kinds), Removed(kinds)


def scrub_text(text: str) -> str:
    return _scrub_string(text, {}) if is_suspicious(text) else text


# -- Shapes ----------------------------------------------------------------------------------------------------------


class _Shape(NamedTuple):
    needles: tuple[str, ...]
    """In lower case. Without one of them, there is nothing to look for."""
    pattern: re.Pattern[str]
    replace: Replace | None
    """None: what was matched goes."""
    kind: str


def _mark(kind: str) -> str:
    # Without spaces or quotes, so that it looks like a value wherever a value stood, and is not taken for a secret.
    return f"[removed:{kind}]"


_BEFORE = r"(?<![A-Za-z0-9])"
_TOKENS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("aws-key", ("akia", "asia", "abia", "acca"), r"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("github-token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"gh[pousr]_[A-Za-z0-9]{16,}+"),
    ("github-token", ("github_pat_",), r"github_pat_[A-Za-z0-9_]{16,}+"),
    ("gitlab-token", ("glpat-",), r"glpat-[A-Za-z0-9_-]{16,}+"),
    ("slack-token", ("xox", "xapp-"), r"(?:xox[a-z]|xapp)-[A-Za-z0-9-]{10,}+"),
    ("slack-webhook", ("hooks.slack.com",), r"hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_-]{10,}+"),
    ("stripe-key", ("k_live_", "k_test_"), r"[srp]k_(?:live|test)_[A-Za-z0-9]{10,}+"),
    ("stripe-key", ("whsec_",), r"whsec_[A-Za-z0-9+/=]{16,}+"),
    ("google-key", ("aiza",), r"AIza[A-Za-z0-9_-]{30,}+"),
    ("google-token", ("ya29.",), r"ya29\.[A-Za-z0-9_-]{20,}+"),
    ("google-key", ("gocspx-",), r"GOCSPX-[A-Za-z0-9_-]{20,}+"),
    ("muster-key", ("mst_",), r"mst_a?[0-9a-fA-F]{8,40}_[A-Za-z0-9_-]{8,}+"),
    ("npm-token", ("npm_",), r"npm_[A-Za-z0-9]{30,}+"),
    ("pypi-token", ("pypi-age",), r"pypi-AgE[A-Za-z0-9_-]{30,}+"),
    ("huggingface-token", ("hf_",), r"hf_[A-Za-z0-9]{30,}+"),
)  # fmt: skip

_PRIVATE = re.compile(
    r"(?:<|&lt;|\\u003c)\s{0,8}(/?)\s{0,8}private(?![\w-])[^<>&]{0,200}?(?:>|&gt;|\\u003e|(?=[<&])|$)", re.IGNORECASE
)
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r".*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
_SK = re.compile(_BEFORE + r"sk-[A-Za-z0-9_-]{16,}+")
_DOTTED = re.compile(r"[A-Za-z0-9_.-]{20,}+")
_URL = re.compile(r"(://[^\s/:@\"'<>]{0,256}+:)([^\s/\"'<>]{1,512})(?=@)")

# A name, what stands between it and its value, and the value: quoted, or up to where such a value ends.
_VALUE = r"""(?:"(?:[^"\\\n]|\\.){1,4096}+"|'(?:[^'\\\n]|\\.){1,4096}+'|[^\s"'`,;&<>)}\]\\]{1,4096}+)"""
_IS = r"""(?:\\?["'`]?\]?[ \t]{0,8}(?:=>|:=|=|:)[ \t]{0,8}|[ \t]{1,4}(?=\\?["']?[^\s=:]))(?:\\(?=["']))?"""
_STRONG = re.compile(
    r"(?P<name>(?P<flag>--?)?(?:passw(?:or)?d|passwd|pwd|pass[_-]?phrase|pgpassword))(?P<is>" + _IS + r")"
    r"(?P<value>" + _VALUE + r")",
    re.IGNORECASE,
)
_WEAK = re.compile(
    r"(?P<name>(?P<flag>--?)?(?:secret|token|credential|(?:api|access|private|secret|signing|encryption|account)[_-]?key))"
    r"(?P<is>" + _IS + r")(?P<value>" + _VALUE + r")",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"(?P<name>authorization|x-api-key|set-cookie|cookie)(?P<is>\\?[\"'`]?[ \t]{0,8}(?:=>|=|:)[ \t]{0,8}\\?[\"'`]?)"
    r"(?P<scheme>(?:bearer|basic|token|digest|negotiate|apikey|aws4-hmac-sha256)[ \t]{1,8})?"
    r"(?P<value>[^\s\"'`\\][^\r\n\"'`\\]{0,8192}+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?P<scheme>\bbearer[ \t]{1,8})(?P<value>[A-Za-z0-9._~+/=-]{12,}+)", re.IGNORECASE)

_CODE = re.compile(r"[(\[{$<*%|]|^(?:none|null|nil|true|false|str|string|text|undefined|self\..*|os\..*|process\..*)$",
                   re.IGNORECASE)  # fmt: skip
"""A value that is code, a type or a place for one, and no secret."""


def _named(found: re.Match[str], kind: str, *, any_value: bool) -> str:
    name, between, value = found["name"], found["is"], found["value"]
    quote = value[0] if value[0] in "\"'" else ""
    inner = value[1:-1] if quote else value
    if inner.startswith(("[removed:", "***")):
        return found[0]
    if between.isspace() and not found["flag"]:
        return found[0]  # prose: only a flag is told from its value by a space
    if any_value:
        if not quote and _CODE.search(inner):
            return found[0]
    elif len(inner) < 8 or not (any(map(str.isdigit, inner)) and any(map(str.isalpha, inner))) or (
        not quote and _CODE.search(inner)
    ) or " " in inner:  # fmt: skip
        return found[0]
    return f"{name}{between}{quote}{_mark(kind)}{quote}"


def _header(found: re.Match[str]) -> str:
    if found["value"].startswith("[removed:") or (found["scheme"] is None and _CODE.match(found["value"])):
        return found[0]
    kind = "cookie" if "cookie" in found["name"].lower() else "authorization"
    return f"{found['name']}{found['is']}{found['scheme'] or ''}{_mark(kind)}"


def _bearer(found: re.Match[str]) -> str:
    return f"{found['scheme']}{_mark('authorization')}"


def _sk(found: re.Match[str]) -> str:
    # Words joined by hyphens, as in names of style sheets, hold no digit.
    return _mark("api-key") if any(map(str.isdigit, found[0])) else found[0]


def _jwt(found: re.Match[str]) -> str:
    run = found[0]
    at = run.find("eyJ")
    while at > 0 and run[at - 1].isalnum():
        at = run.find("eyJ", at + 1)
    if at < 0 or (dot := run.find(".", at)) < at + 8 or len(run) < dot + 8:
        return run
    return run[:at] + _mark("jwt")


def _url(found: re.Match[str]) -> str:
    if found[2].startswith(("[removed:", "$", "{", "*")):
        return found[0]
    return f"{found[1]}{_mark('password')}"


_SHAPES: tuple[_Shape, ...] = (
    _Shape(("-----begin",), _PEM, lambda _: _mark("private-key"), "private-key"),
    *(
        _Shape(needles, re.compile(_BEFORE + pattern), (lambda mark: lambda _: mark)(_mark(kind)), kind)
        for kind, needles, pattern in _TOKENS
    ),
    _Shape(("sk-",), _SK, _sk, "api-key"),
    _Shape(("eyj",), _DOTTED, _jwt, "jwt"),
    _Shape(("://",), _URL, _url, "password"),
    _Shape(("authorization", "x-api-key", "cookie"), _HEADER, _header, "authorization"),
    _Shape(("bearer",), _BEARER, _bearer, "authorization"),
    _Shape(
        ("passw", "pwd", "phrase"), _STRONG,
        lambda found: _named(found, "password", any_value=True), "password",
    ),
    _Shape(
        ("secret", "token", "credential", "key"), _WEAK,
        lambda found: _named(found, "secret", any_value=False), "secret",
    ),
)  # fmt: skip

_SECRET_NAME = re.compile(
    r"(?:.*[_.-])?(?:passw(?:or)?d|passwd|pwd|passphrase|authorization|secret|client_?secret|(?:api|private|secret|access)"
    r"[_-]?key|(?:access|refresh|auth|id|bearer|session)[_-]?token|set-cookie|cookie|credentials?)|.*password",
    re.IGNORECASE,
)
_NAME_NEEDLES = ("passw", "pwd", "passphrase", "authorization", "secret", "key", "token", "cookie", "credential")
_NEEDLES = (
    "private", "-----begin", "akia", "asia", "abia", "acca", "aiza", "eyj", "slack.com", "passw", "pwd", "phrase",
    "secret", "credential", "authorization", "bearer", "cookie",
)  # fmt: skip
_TOKEN_LIKE = re.compile(r"[_.-][A-Za-z0-9_-]{10}")
_TOKEN_NEEDLES = tuple(
    dict.fromkeys(["sk-", *(needle for _, needles, _ in _TOKENS for needle in needles if needle not in _NEEDLES)])
)
_LOGIN = re.compile(r"://[^\s/@\"]*:[^\s/\"]*@")
_ASSIGNED = re.compile(r"(?:token|key)s?[\"'\]\\`]{0,4}[ \t]{0,8}(?:=|:)|-(?:token|key)s?[ \t]")


def is_suspicious(text: str) -> bool:
    """Whether to look closer. Nearly nothing that is sent needs to be, and this is asked of all of it."""
    low = text.lower()
    for needle in _NEEDLES:
        if needle in low:
            return True
    if _TOKEN_LIKE.search(text):
        for needle in _TOKEN_NEEDLES:
            if needle in low:
                return True
    # Common words are no reason; the shape of an assignment beside them is.
    if ("key" in low or "token" in low) and _ASSIGNED.search(low):
        return True
    return "://" in low and _LOGIN.search(low) is not None


# -- Walking ---------------------------------------------------------------------------------------------------------


def _scrubbed(value: Any, kinds: dict[str, int]) -> Any:
    if isinstance(value, str):
        return _scrub_string(value, kinds)
    if isinstance(value, dict):
        return {_scrub_string(name, kinds): _of_name(name, item, kinds) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_scrubbed(item, kinds) for item in value]
    return value


def _of_name(name: str, item: Any, kinds: dict[str, int]) -> Any:
    """What stands under a name that says that it is a secret is one, whatever its shape."""
    if isinstance(item, str) and item and len(name) <= 100:
        low = name.lower()
        if any(needle in low for needle in _NAME_NEEDLES) and _SECRET_NAME.fullmatch(name):
            if item.startswith("[removed:") or _CODE.fullmatch(item):
                return item
            kinds["secret"] = kinds.get("secret", 0) + 1
            return _mark("secret")
    return _scrubbed(item, kinds)


def _scrub_string(text: str, kinds: dict[str, int]) -> str:
    if len(text) < 8:
        return text
    low = text.lower()
    if "private" in low:
        text = _without_private(text, kinds)
        low = text.lower()
    for needles, pattern, replace, kind in _SHAPES:
        for needle in needles:
            if needle in low:
                break
        else:
            continue
        before = text
        text = pattern.sub(replace, text) if replace else pattern.sub("", text)
        if text != before:
            kinds[kind] = kinds.get(kind, 0) + 1
            low = text.lower()
    return text


def _without_private(text: str, kinds: dict[str, int]) -> str:
    """Without what stands between the tags, tags of tags included. One that is not closed lasts to the end."""
    kept: list[str] = []
    depth, at = 0, 0
    for tag in _PRIVATE.finditer(text):
        if depth == 0:
            kept.append(text[at : tag.start()])
        if tag[1]:
            depth = max(0, depth - 1)
        else:
            depth += 1
            kinds["private"] = kinds.get("private", 0) + (depth == 1)
        at = tag.end()
    if not at and not kept:
        return text
    if depth == 0:
        kept.append(text[at:])
    return "".join(kept)


# -- What a project excludes -----------------------------------------------------------------------------------------

_SEPARATORS = r"""\s"'`=:,;()<>|&\[\]{}"""
_TOOL_NAMES = frozenset({"tool_name", "toolname", "tool"})
_TOOL_PARTS = frozenset({"input", "arguments", "args", "tool_input", "parameters"})


class _Excluded:
    """Globs, compiled. Like those of .gitignore, one without a slash meets a part of a path at any depth."""

    def __init__(self, paths: tuple[str, ...], tools: tuple[str, ...]) -> None:
        self._paths = [(glob, pattern) for glob in paths if (pattern := _path_pattern(glob))]
        self._tools = [(glob, re.compile(translate(glob.strip().lower()))) for glob in tools if glob.strip()]

    @staticmethod
    @lru_cache(1000)
    def of(paths: tuple[str, ...], tools: tuple[str, ...]) -> _Excluded:
        return _Excluded(paths, tools)

    def meets(self, value: Any) -> str | None:
        """The first glob that something in it meets."""
        stack = [value]
        while stack:
            item = stack.pop()
            if isinstance(item, str):
                if self._paths and (found := self._path(item)):
                    return found
            elif isinstance(item, dict):
                if self._tools and (found := self._tool(item)):
                    return found
                stack.extend(item.values())
                if self._paths:
                    stack.extend(item)  # as in a map of paths to what was changed
            elif isinstance(item, list | tuple):
                stack.extend(item)
        return None

    def _path(self, text: str) -> str | None:
        text = text.replace("\\", "/")
        return next((glob for glob, pattern in self._paths if pattern.search(text)), None)

    def _tool(self, item: dict[str, Any]) -> str | None:
        for name in _tools_in(item):
            for glob, pattern in self._tools:
                if pattern.match(name.lower()):
                    return glob
        return None


def _tools_in(item: dict[str, Any]) -> Iterable[str]:
    for key, value in item.items():
        if isinstance(value, str) and key.lower().replace("-", "_") in _TOOL_NAMES:
            yield value
    name = item.get("name")
    if isinstance(name, str) and ("tool" in str(item.get("type", "")) or not _TOOL_PARTS.isdisjoint(item)):
        yield name


def _path_pattern(glob: str) -> re.Pattern[str] | None:
    glob = glob.strip().replace("\\", "/").removeprefix("./")
    rooted, below = glob.startswith("/"), glob.endswith(("/", "/**"))
    parts = [part for part in glob.split("/") if part]
    if parts and parts[0] == "**":
        rooted = False
    # What stands between any number of folders. As with stars, the first place where the next one fits will do.
    chunks = [list(chunk) for folders, chunk in groupby(parts, lambda part: part == "**") if not folders]
    if not chunks:
        return None
    end = "/" if below else rf"(?![^{_SEPARATORS}/])"
    first, *more = [
        "/".join(map(_part_pattern, chunk)) + (end if number == len(chunks) - 1 else "/")
        for number, chunk in enumerate(chunks)
    ]
    folders = rf"(?:[^{_SEPARATORS}/]{{1,255}}+/){{0,64}}?"
    start = rf"(?<![^{_SEPARATORS}])/" if rooted else rf"(?<![^{_SEPARATORS}/])"
    return re.compile(start + first + "".join(rf"(?>{folders}{chunk})" for chunk in more), re.IGNORECASE)


def _part_pattern(part: str) -> str:
    """Of one part of a path. Each star but the last takes as little as will do, and does not think again."""
    pieces = [
        "".join(rf"[^{_SEPARATORS}/]" if char == "?" else re.escape(char) for char in piece)
        for piece in re.split(r"\*+", part)
    ]
    star = rf"[^{_SEPARATORS}/]"
    if len(pieces) == 1:
        return pieces[0]
    first, *middle, last = pieces
    return first + "".join(rf"(?>{star}{{0,255}}?{piece})" for piece in middle) + rf"{star}{{0,255}}{last}"
