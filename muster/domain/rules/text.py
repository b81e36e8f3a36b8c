"""Text as the rules read it: cleaned, cut into sentences, named by its language and by what it is about."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from muster.domain.context import without_told
from muster.domain.rules.plumbing import without_reminders

READ_CHARS = 64_000
"""Of one text. What is longer is read at its ends."""

TITLE_CHARS = 120

_UNSTORABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]{0,500}(?:\x07|\x1b\\)|\x1b[@-_]")
_REDACTED = re.compile(r"<private>.*?(?:</private>|\Z)|"
                       r"\[(?:private|redacted|removed|secret|excluded)[^\]\n]{0,60}\]|\*{3,}",
                       re.IGNORECASE | re.DOTALL)  # fmt: skip
_LEAD = re.compile(r"\s*(?:>\s+){0,4}(?:#{1,6}\s+|[*•–-]\s+(?![*-])|\d{1,3}[.)]\s+)?")
_BOLD = re.compile(
    r"(`[^`\n]{1,400}`)|(?<![^\s(\[])\*\*(?=[^\W_]|[`(\"“'‘¿¡])([^*\n]{0,400}[\w`.!?:)\"”'’。！？：])\*\*"
    r"(?![A-Za-z0-9_*/])"
)
"""What Markdown marks as strong. One star may be a glob's, and strokes a name's: they stay."""


def cleaned(text: str, limit: int = READ_CHARS) -> str:
    """Storable, without colours, carriage returns and what was told anyway, and of bounded length."""
    text = without_reminders(without_told(clipped(text, limit * 2)))
    text = _ANSI.sub("", text) if "\x1b" in text else text
    if "\r" in text:
        # A progress bar writes over itself: the last of it is what stays on the screen.
        text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return clipped(_UNSTORABLE.sub("", text).strip(), limit)


def clipped(text: str, limit: int) -> str:
    """Its beginning and its end, when it is too long."""
    if len(text) <= limit:
        return text
    head = limit * 3 // 5
    return f"{text[:head]}\n\n…\n\n{text[-(limit - head - 5) :]}" if limit > 40 else text[:limit]


def readable(text: str) -> str:
    """What is left of it once what was taken out as private is gone; empty when that is nothing to speak of."""
    if "[" not in text and "<" not in text and "*" not in text:
        return text if any(map(str.isalnum, text)) else ""
    rest = _REDACTED.sub(" ", text)
    return text if any(map(str.isalnum, rest)) else ""


def one_line(text: str, limit: int = TITLE_CHARS) -> str:
    """As a title: plain, on one line, cut between words."""
    bare = text[match.end() :] if (match := _LEAD.match(text)) else text
    line = " ".join(_BOLD.sub(lambda found: found[1] or found[2], bare).split())
    if len(line) <= limit:
        return line
    cut = line[: limit - 1]
    space = cut.rfind(" ")
    return (cut[:space] if space > limit // 2 else cut).rstrip(" ,;:.-–") + "…"


def pieces(text: str, size: int, most: int) -> list[str]:
    """A long text in parts of about `size`, cut between paragraphs, lines or sentences where there are any."""
    parts: list[str] = []
    rest = text
    while rest and len(parts) < most:
        if len(rest) <= size * 5 // 4:
            parts.append(rest)
            return parts
        window = rest[:size]
        at = max(window.rfind("\n\n"), size // 2)
        if at == size // 2:
            ends = [window.rfind(mark, size // 2) for mark in ("\n", ". ", "。", "! ", "? ", " ")]
            at = next((end + 1 for end in ends if end > 0), size)
        parts.append(rest[:at].strip())
        rest = rest[at:].strip()
    return [part for part in parts if part]


def unique(items: Iterable[str], most: int) -> list[str]:
    """In their order, each once."""
    found: dict[str, None] = {}
    for item in items:
        if item:
            found.setdefault(item)
            if len(found) == most:
                break
    return list(found)


# -- Language -------------------------------------------------------------------------------------------------------

_SCRIPTS = (
    ("HIRAGANA", "ja"), ("KATAKANA", "ja"), ("HANGUL", "ko"), ("CJK", "zh"), ("CYRILLIC", "ru"), ("ARABIC", "ar"),
    ("HEBREW", "he"), ("GREEK", "el"), ("THAI", "th"), ("DEVANAGARI", "hi"), ("BENGALI", "bn"), ("TAMIL", "ta"),
    ("GEORGIAN", "ka"), ("ARMENIAN", "hy"),
)  # fmt: skip

_STOPWORDS: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the and is of to in that it for was with on are be this you have not we i they from at as but what "
        "which will can has if would do",
        "de": "der die das und ist nicht ein eine zu den mit auf für von dem sich wir ich es auch werden wird haben "
        "hat wurde aber wenn nach bei",
        "fr": "le la les et est des un une du pour pas dans que qui nous vous avec sur ce il elle je sont plus mais "
        "au aux être avons",
        "es": "el los las y es de una un por para que con no se del al lo como más pero su está hay nosotros yo "
        "fue son",
        "it": "il gli e è di una un per che con non si della del dei lo come più ma sono nel alla questo ho abbiamo",
        "pt": "o os as e é de uma um para que com não se da do em no na mais mas por como foi são está nós eu",
        "nl": "de het een en is van niet dat op te in voor met zijn wij ik maar ook aan er wordt naar hebben",
        "sv": "och är att det en ett som för på med inte av till vi jag har den men om kan",
        "da": "og er at det en et som for på med ikke af til vi jeg har den men om kan",
        "pl": "i w nie to jest na się że z do jak ale po co dla są od przez",
        "tr": "ve bir bu için ile de da değil olarak çok daha ama gibi var ne",
        "id": "yang dan di ini itu dengan untuk tidak dari dalam adalah pada akan",
    }.items()
}


_ANYWHERE = frozenset(
    """
    a as at com come con da de del den die do e el en es est for from i in is it la le me men na no non o on os per
    po pt sa se son su te to un var van was w y z
    """.split()  # noqa: SIM905
)
"""Small words of several languages, and of what programs print."""
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_AROUND = ".,;:!?…()[]\"'«»“”„‘’*¿¡"


def language_of(text: str) -> str | None:
    """ISO 639-1, by script and, where several share one, by the small words. None: it does not say."""
    sample = text[:1500]
    if not sample.isascii():
        found: dict[str, int] = {}
        letters = 0
        for letter in sample[:600]:
            if letter.isalpha():
                letters += 1
                if ord(letter) > 0x36F:
                    name = unicodedata.name(letter, "")
                    for script, language in _SCRIPTS:
                        if name.startswith(script):
                            found[language] = found.get(language, 0) + 1
                            break
        # Japanese is written with Chinese characters too, but not without kana.
        if found.get("ja", 0) * 8 > sum(found.values()):
            found["ja"] = found["ja"] + found.pop("zh", 0)
        if found and sum(found.values()) * 5 > letters:
            language = max(found, key=lambda name: found[name])
            if language == "ru" and re.search("[їєґі]", sample):
                return "uk"
            return "fa" if language == "ar" and re.search("[پچژگ]", sample) else language
    words = [word for token in sample.split()[:300] if (word := _plain_word(token))]
    counts = {language: sum(word in stop for word in words) for language, stop in _STOPWORDS.items()}
    # "en" comes first, so it wins where nothing else is more likely.
    best = max(counts, key=lambda language: counts[language])
    if best == "en":
        return "en" if counts["en"] and counts["en"] * 14 >= len(words) else None
    telling = {word for word in words if word in _STOPWORDS[best] and word not in _ANYWHERE}
    # One small word of another language is chance, and so are a few in a long text.
    few = 1 if any(letter.isalpha() and not letter.isascii() for letter in sample) and len(words) <= 12 else 2
    return best if len(telling) >= few and counts[best] * 6 >= len(words) else None


def _plain_word(token: str) -> str:
    """Of what stands between blanks, the word. Parts of names, paths and options are none."""
    word = token.strip(_AROUND)
    return word.lower() if word and _WORD.fullmatch(word) else ""


# -- What it is about -----------------------------------------------------------------------------------------------

_CONCEPTS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (concept, re.compile(rf"(?<![a-z])(?:{words})", re.IGNORECASE))
    for concept, words in (
        ("testing", r"tests?\b|pytest|jest\b|vitest|unittest|coverage|fixture|assert"),
        ("database", r"databases?\b|postgres|mysql|sqlite|sql\b|migration|schema\b|redis|valkey|mongo"),
        ("security", r"security|secrets?\b|vulnerab|xss|csrf|injection|encrypt|decrypt|tls\b|certificate"),
        ("authentication", r"auth\b|authenti|authoriz|login|logout|oauth|jwt\b|password|api[ _-]keys?\b|tokens?\b"),
        ("performance", r"performance|latency|throughput|benchmark|slow(?:er|ly)?\b|faster|profiling|memory leak"),
        ("concurrency", r"deadlock|race condition|concurren|mutex|threads?\b|async(?:io)?\b|semaphore"),
        ("networking", r"https?\b|socket|dns\b|proxy|time-?outs?\b|connection refused|websocket|grpc"),
        ("api", r"api\b|endpoints?\b|rest\b|graphql|openapi|webhook"),
        ("configuration", r"config|settings?\b|environment variable|env var|\.env\b|\.toml\b|\.ya?ml\b"),
        ("dependencies", r"dependenc|pip install|npm (?:i|install)\b|lockfile|package\.json|requirements\.txt"),
        ("deployment", r"deploy|docker|kubernetes|k8s|helm\b|terraform|release[ds]?\b|rollback|ci/cd|pipeline"),
        ("version-control", r"git\b|commits?\b|branch(?:es)?\b|merge[ds]?\b|rebase|pull request"),
        ("logging", r"logging|logs?\b|tracing|metrics|observability"),
        ("error-handling", r"exceptions?\b|traceback|retr(?:y|ies)\b|error handling|stack ?trace"),
        ("refactoring", r"refactor|renam(?:e|ed|ing)\b|clean ?up|extract(?:ed)? (?:method|function|class)"),
        ("documentation", r"readme|documentation|docs?\b|docstring|changelog"),
        ("user-interface", r"ui\b|ux\b|css\b|frontend|react\b|button|layout|component"),
        ("data", r"dataset|csv\b|parquet|etl\b|pandas|dataframe"),
        ("machine-learning", r"embedding|llm\b|neural|training run|fine-tun|inference|model weights"),
        ("typing", r"mypy|pyright|typescript|type (?:error|check|hint)"),
    )
)  # fmt: skip

_BY_SUFFIX = {
    "py": "python", "ts": "typescript", "tsx": "typescript", "js": "javascript", "jsx": "javascript", "rs": "rust",
    "go": "go", "java": "java", "kt": "kotlin", "rb": "ruby", "php": "php", "c": "c", "h": "c", "cpp": "c++",
    "cc": "c++", "cs": "c#", "swift": "swift", "sql": "sql", "sh": "shell", "css": "css", "html": "html",
    "md": "documentation", "tf": "terraform", "ex": "elixir", "scala": "scala", "vue": "vue",
}  # fmt: skip


def concepts_of(text: str, files: Iterable[str] = (), most: int = 8) -> list[str]:
    sample = text[:4000]
    by_file = (_BY_SUFFIX.get(path.rpartition(".")[2].lower(), "") for path in files)
    by_word = (concept for concept, words in _CONCEPTS if words.search(sample))
    return unique((*by_file, *by_word), most)


# -- When it was ----------------------------------------------------------------------------------------------------

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NUMBERS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "ten": 10}
_RELATIVE = re.compile(
    r"\b(?:(?P<day>yesterday|tomorrow|today|tonight|last night|the day before yesterday)"
    r"|(?P<way>last|next|this past) (?P<unit>week(?:end)?|month|year|" + "|".join(_WEEKDAYS) + ")"
    r"|(?P<count>\d{1,3}|" + "|".join(_NUMBERS) + r") (?P<ago>day|week|month|year)s? ago)\b"
    # The last Friday of May is no Friday before now, nor is yesterday week yesterday.
    r"(?! (?:of|in|before|after|week|fortnight)\b)",
    re.IGNORECASE,
)  # fmt: skip


def dated(text: str, at: datetime) -> list[str]:
    """What "yesterday" and "last Friday" meant when they were said: later, nobody can tell."""
    found = []
    for match in _RELATIVE.finditer(text[:6000]):
        try:
            when = _meant(match, at)
        except (OverflowError, ValueError):
            continue
        found.append(f"“{match.group().lower()}”: {when}")
        if len(found) == 4:
            break
    return unique(found, 4)


def _meant(match: re.Match[str], at: datetime) -> str:
    if day := match["day"]:
        days = {"yesterday": -1, "last night": -1, "tomorrow": 1, "the day before yesterday": -2}
        return _day(at + timedelta(days=days.get(day.lower(), 0)))
    if way := match["way"]:
        sign, unit = (1 if way.lower() == "next" else -1), match["unit"].lower()
        if unit in _WEEKDAYS:
            apart = (_WEEKDAYS.index(unit) - at.weekday()) % 7
            return _day(at + timedelta(days=(apart or 7) if sign > 0 else -((7 - apart) % 7 or 7)))
        return _about(at, unit, sign)
    count = _NUMBERS.get(match["count"].lower()) or int(match["count"])
    return _about(at, match["ago"].lower(), -count)


def _about(at: datetime, unit: str, count: int) -> str:
    if unit == "day":
        return _day(at + timedelta(days=count))
    if unit.startswith("week"):
        there = at + timedelta(weeks=count)
        monday = there - timedelta(days=there.weekday())
        if unit == "weekend":
            return f"the weekend of {_day(monday + timedelta(days=5))}"
        return f"the week of {_day(monday)}"
    months = at.year * 12 + at.month - 1 + (count if unit == "month" else 12 * count)
    there = at.replace(year=months // 12, month=months % 12 + 1, day=1)
    return f"{there:%B} {there.year}" if unit == "month" else str(there.year)


def _day(at: datetime) -> str:
    return f"{at.day} {at:%B} {at.year}"


def lines_of(text: str) -> Iterator[str]:
    return (line.rstrip() for line in text.split("\n"))
