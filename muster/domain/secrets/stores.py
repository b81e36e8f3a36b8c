"""Secrets as words of the commands that put them into a store. Which word is one depends on the command."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from muster.domain.secrets.tokens import mark
from muster.domain.secrets.values import CODE, PLACE, may_be_secret


class Store(NamedTuple):
    """What a command takes that is a secret."""

    words: tuple[str, ...]
    """That must stand behind its name, in this order."""
    options: tuple[str, ...] = ()
    """Whose value is one."""
    literals: tuple[str, ...] = ()
    """Whose value is a name and one."""
    pairs: bool = False
    """Whether words that are a name and a value hold one."""
    place: int = 0
    """Which word behind those is one, counted from 1."""
    needs: str = ""
    """A word without which none is."""


_SECRETS_SET = Store(("secrets", "set"), pairs=True)
_SHELLS = ("kubectl", "oc", "k", "microk8s", "k3s")
_LITERAL = Store(("create", "secret"), literals=("--from-literal",))
_STORES: dict[str, tuple[Store, ...]] = {
    "gh": (Store(("secret", "set"), options=("--body", "-b")),),
    "aws": (
        Store(("ssm", "put-parameter"), options=("--value",), needs="securestring"),
        *(
            Store(("secretsmanager", word), options=("--secret-string", "--secret-binary"))
            for word in ("create-secret", "put-secret-value", "update-secret")
        ),
    ),
    "az": (Store(("keyvault", "secret", "set"), options=("--value",)),),
    "fly": (_SECRETS_SET,),
    "flyctl": (_SECRETS_SET,),
    "supabase": (_SECRETS_SET,),
    "doppler": (_SECRETS_SET, Store(("secrets", "set"), place=2)),
    "pulumi": (Store(("config", "set"), place=2, needs="--secret"),),
    "dotnet": (Store(("user-secrets", "set"), place=2),),
    "net": (Store(("user",), place=2, needs="/add"), Store(("user",), place=2)),
    **dict.fromkeys(_SHELLS, (_LITERAL,)),
}
_TAKE_VALUES = frozenset(
    ("-s", "--stack", "-c", "--cwd", "-C", "-p", "--project", "-a", "--app", "-e", "--env", "--config", "-R", "--repo",
     "-n", "--namespace", "--context", "--profile", "--region", "--kubeconfig", "--project-ref", "--id", "--token")
)  # fmt: skip
"""Options that the next word belongs to."""
_METAVARIABLES = frozenset(
    ("value", "secret", "password", "token", "key", "string", "text", "body", "secret_value", "name")
)
_BEGIN = re.compile(
    r"(?:(?<![\w.-])|(?<=\\[nrt]))(?P<command>" + "|".join(sorted(_STORES, key=len, reverse=True)) + r")1?(?:\.exe)?"
    r"(?P<listed>\\{0,7}[\"'],)?(?=[ \t\"',\\`]|\r?\n)",
    re.IGNORECASE,
)
_SPACE = r"(?:[ \t]|[\\`]\r?\n|\\{3,15}n|`\\{1,7}n)"
"""Also a line that goes on in the next one."""
_QUOTE = r"\\{0,7}[\"']"
_QUOTED = rf"(?P<q>{_QUOTE})(?:(?!(?<!\\)(?P=q))[\s\S]){{0,4096}}+(?P=q)"
_ATTACHED = _QUOTED.replace("q>", "r>").replace("=q", "=r")
_OBJECT = r"\{(?=\\{0,7}[\"'])[^{}\n]{0,4096}+\}"
_PLACED = r"\$\([^()\n]{0,400}+\)|`[^`\n]{1,400}+`|<[\w .-]{1,60}+>|\$?\{\{[^{}\n]{0,100}+\}\}"
_PLAIN = r"(?:[^\s\"'`|;&<>\\($]|\$(?!\()){1,4096}+"
_WORD = re.compile(
    rf"{_SPACE}{{1,80}}+(?P<word>{_QUOTED}|{_OBJECT}|{_PLACED}"
    rf"|{_PLAIN}(?:(?:(?<==)|(?<=[ \t]-[A-Za-z]))(?:{_ATTACHED}|{_OBJECT}|{_PLACED}))?"
    rf"|{_QUOTE}[^\"'\n\\]{{1,4096}}+(?=\n|\\|\Z))"
)
_ITEM = re.compile(
    r"(?:\s|\\{1,7}[nrt]){0,80}+,?(?:\s|\\{1,7}[nrt]){0,80}+"
    rf"(?P<word>(?P<q>{_QUOTE})(?:(?!(?<!\\)(?P=q))[\s\S]){{0,4096}}+(?P=q))"
)
"""Of a list of words, as program text or JSON has it."""
_WORDS, _LONGEST = 40, 200
_OPENING = re.compile(r"\\{0,7}[\"']")
_PAIR = re.compile(r"\\{0,7}[\"']?[A-Za-z_][\w.-]{0,100}+=")
_NOT_QUOTED = (" ", ",", ")", ";", "+", "}", "]", '"', "'", "\n", "\\")
"""What stands behind a quote that ends a string of a program, and begins none."""


def without_stored(text: str, kinds: dict[str, int], depth: int = 2) -> str:
    """The text without what such commands take."""
    low = text.lower()
    if not any(needle in low for needle in _NEEDLES):
        return text
    kept: list[str] = []
    at = end = 0
    while (begin := _BEGIN.search(text, end)) is not None:
        pattern = _ITEM if begin["listed"] else _WORD
        words: list[re.Match[str]] = []
        end = begin.end()
        while (word := pattern.match(text, end)) is not None:
            words.append(word)
            end = word.end()
        for start, last, instead in _spans(begin["command"], words, kinds, depth):
            kept.append(text[at:start] + instead)
            at = last
    return "".join(kept) + text[at:]


def without_stored_words(words: list[str], kinds: dict[str, int]) -> list[str]:
    """The strings of a list, which may be such a command."""
    kept = list(words)
    for n, word in enumerate(words):
        name = word.rpartition("/")[2].lower().removesuffix(".exe") if len(word) < _LONGEST else ""
        if name in _STORES:
            for which, first, last in _secrets(name, kept[n + 1 : n + 1 + _WORDS]):
                at = n + 1 + which
                kept[at] = kept[at][:first] + mark("secret") + kept[at][last:]
                kinds["secret"] = kinds.get("secret", 0) + 1
    return kept


def _spans(
    command: str, words: list[re.Match[str]], kinds: dict[str, int], depth: int
) -> Iterator[tuple[int, int, str]]:
    """From where to where something is taken out, and what stands there instead."""
    said = [word["word"] for word in words]
    names = [command, *(_plain(word).rpartition("/")[2] for word in said)]
    done = 0
    for n, name in enumerate(names):
        if n >= done and name.lower() in _STORES:
            for which, first, last in _secrets(name.lower(), said[n : n + _WORDS]):
                start = words[n + which].start("word")
                kinds["secret"] = kinds.get("secret", 0) + 1
                yield start + first, start + last, mark("secret")
                done = n + which + 2
    if not done and depth:  # such a command may stand in what another one is told to do
        for word in words:
            if " " in word["word"] and (inner := without_stored(word["word"], kinds, depth - 1)) != word["word"]:
                yield word.start("word"), word.end("word"), inner


def _secrets(command: str, words: list[str]) -> list[tuple[int, int, int]]:
    """Which of the words hold one, and from where to where."""
    plain = [_plain(word) for word in words]
    for store in _STORES[command]:
        last = _behind(store.words, plain)
        if last < 0 or not _is_among(store.needs, plain):
            continue
        found = list(_of_store(store, words, plain, last))
        if command == "net" and not store.needs:
            found = [one for one in found if may_be_secret(plain[one[0]])]
        if found:
            return found
    return []


def _plain(word: str) -> str:
    opening = _OPENING.match(word)
    if opening is None:
        return word
    return word[opening.end() :].removesuffix(opening[0])


def _is_among(needed: str, words: list[str]) -> bool:
    return not needed or any(word.lower().rpartition("=")[2] == needed for word in words)


def _behind(names: tuple[str, ...], words: list[str]) -> int:
    """The place of the last of these names among the words, or -1."""
    at = -1
    for name in names:
        try:
            at = words.index(name, at + 1)
        except ValueError:
            return -1
    return at


def _of_store(store: Store, words: list[str], plain: list[str], last: int) -> Iterator[tuple[int, int, int]]:
    counted, option = 0, ""
    for n in range(last + 1, len(words)):
        word, before, option = plain[n], option, ""
        if before in store.options and before:
            yield from _value(n, words[n], 0)
        elif before in store.literals and before:
            if (pair := _PAIR.match(words[n])) is not None:
                yield from _value(n, words[n], pair.end())
        elif before in _TAKE_VALUES:
            continue
        elif word.startswith("-") and word != "-":
            name, equals, _ = word.partition("=")
            at = words[n].index(name) + len(name) + len(equals)
            if equals and name in store.options:
                yield from _value(n, words[n], at)
            elif equals and name in store.literals:
                pair = _PAIR.match(words[n], at)
                if pair is not None:
                    yield from _value(n, words[n], pair.end())
            elif not equals and (short := _attached(word, store.options)):
                yield from _value(n, words[n], words[n].index(short) + len(short))
            else:
                option = "" if equals else word
        else:
            counted += 1
            if store.pairs and (pair := _PAIR.match(words[n])) is not None:
                yield from _value(n, words[n], pair.end())
            elif store.place and counted == store.place:
                yield from _value(n, words[n], 0)


def _attached(word: str, options: tuple[str, ...]) -> str:
    """The short option that a value follows without a space."""
    return next((one for one in options if len(one) == 2 and word.startswith(one) and word != one), "")


def _value(n: int, word: str, at: int) -> Iterator[tuple[int, int, int]]:
    """Where the value that begins there stands, if it is one."""
    opening = _OPENING.match(word, at)
    whole = _OPENING.match(word) if at else None
    quote = opening[0] if opening else ""
    first = at + len(quote)
    last = len(word)
    for closing in filter(None, (whole[0] if whole else "", quote)):
        if word.endswith(closing) and last == len(word) and last - len(closing) >= first:
            last -= len(closing)
    value = word[first:last]
    if is_stored(value, quoted=bool(quote)):
        yield n, first, last


def is_stored(value: str, *, quoted: bool = False) -> bool:
    """Whether it is the secret, and not where it is."""
    if not any(map(str.isalnum, value)) or value.startswith(("[removed:", "@", "file:", "fileb:", "-", "$", "`", "%")):
        return False
    if quoted and value.startswith(_NOT_QUOTED):
        return False
    if value.startswith(("{", "[")) and ('"' in value or "'" in value or ":" in value):  # JSON
        return "[removed:" not in value
    if PLACE.fullmatch(value) or CODE.match(value):
        return False
    return not (value.isupper() and value.lower() in _METAVARIABLES)


_NEEDLES = ("secret", "securestring", "net", "/add")
_USER = re.compile(r"net1?(?:\.exe)?(?:[\s\"',`]|\\[nrt\\\"'])[\s\"',\\`]{0,16}user[\s\"',\\]")


def may_be_stored(low: str) -> bool:
    """In lower case. Where a secret is called one, it is looked for in any case."""
    return "securestring" in low or ("net" in low and "user" in low and _USER.search(low) is not None)


# -- What a command reads --------------------------------------------------------------------------------------------

TAKES_INPUT = re.compile(
    r"--password-stdin\b|--with-token\b|(?:^|[\s/\"'`(]|\\[nrt])(?:passwd\b[^|]*--stdin\b|sudo\b.* -S\b"
    r"|gh\b.* secret set (?!.*--body)"
    r"|wrangler\b.* secret (?:put|bulk)\b|vercel\b.* env add\b|pulumi\b.* config set\b.* --secret\b"
    r"|gcloud\b.* secrets (?:create|versions add)\b.*--data-file[ =]\\{0,7}[\"']?(?:-(?![\w-])|/dev/stdin)"
    r"|(?:docker|podman)\b.* secret create\b.* -(?![\w-])|fly(?:ctl)? secrets import\b"
    r"|firebase\b.* functions:secrets:set\b|(?:kubectl|oc)\b.* create secret\b.*/dev/stdin\b"
    r"|glab\b.* auth login\b.*--stdin\b|glab\b.* variable set\b|pass insert\b|secret-tool store\b"
    r"|vault\b.* (?:kv put|write)\b.*=-(?![\w-])|doppler\b.* secrets set\b)"
)
"""The rest of a command that takes a secret from what is put before it."""
