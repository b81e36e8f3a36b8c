"""How a title is written, and which sentence of several it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from muster.domain.rules.text import one_line

_IDENTIFIER = re.compile(r"[._/\\:=@#$<>(\[{`\d]|[a-z][A-Z]")
_PROGRAMS = frozenset(
    """
    npm npx pnpm yarn pip pip3 pipx uv git gh curl wget ssh scp rsync kubectl helm systemctl journalctl psql mysql
    pytest mypy ruff tsc eslint grep rg sed awk jq sudo apt apt-get brew cargo rustc gcc mvn javac terraform ansible
    docker podman tmux cron crontab chmod chown mkdir rm mv cp ls
    """.split()  # noqa: SIM905
)


def capitalised(line: str) -> str:
    """A name of a program's, a path or a command stays as it is written."""
    word = line.split(" ", 1)[0].rstrip(".,:;!?)")
    return line if word in _PROGRAMS or _IDENTIFIER.search(word) else line[:1].upper() + line[1:]


_FENCED = re.compile(r"^[ \t]{0,3}(```|~~~)[^\n]{0,200}\n(?:(?![ \t]{0,3}\1)[^\n]{0,4000}\n){0,400}", re.MULTILINE)
_CODE = re.compile(r"[+-]\s?[.\w][^\s]{0,200}(?:\s?[=(:{\[]|\s=\s)|[+-]\s{2,}\S")
"""A line of a difference."""
_ITEM = re.compile(r"\s{0,3}(?:[-*•]|\d{1,2}[.)])\s")
_RESULT = re.compile(
    r"\b(?:is|are|was|were) now\b|\bup from\b|\bdown (?:from|to)\b|\bto answer your question\b|"
    r"\b(?:worked|succeeded|(?<!committed )(?<!pushed )(?<!saved )successfully)\b|"
    r"\bit (?:should|must|needs to) be\b|\bnow (?:at|has|have|takes?|works?|passes)\b|"
    r"\b(?:instead of|the (?:reason|cause|problem|issue) (?:is|was))\b",
    re.IGNORECASE,
)
"""It states a result or a cause."""
_CONCLUDES = re.compile(
    r"\W{0,6}(?:結論|结论|結果|결론|итог|вывод|conclusion|fazit|in short|tl;?dr|bottom line|conclusión|conclusão|"
    r"conclusione)"
    r"\W{0,4}[:：]\W{0,4}\w[^\n]{14,}",
    re.IGNORECASE,
)
_GUESS = re.compile(r"\b(?:may|might|perhaps|maybe|probably|could) (?:be|have|also|need)\b", re.IGNORECASE)
_GLANCE = re.compile(
    r"\W{0,4}(?:i|we) (?:can )?(?:now |also )?see (?:that )?(?:there(?:['’]s| is| are)|it has|we have|you have) "
    r"(?:already|also|an existing)\b",
    re.IGNORECASE,
)
_NAMES = re.compile(r"[\"“`'][^\"”`'\n]{1,80}[\"”`']")
_READ = 600
_LED_CHARS = 200
_BLOCK = re.compile(r"(?:[)\]]|->\s?[\w\[\], .|]{1,60}|\b(?:else|try|finally))[:：]$")
"""Code, that goes on."""
_HEADS = re.compile(r"\s{0,3}(?:#{1,6}\s|```|~~~|[=_*-]{3,})")


def told_best(part: str, told: Sequence[str], score: Callable[[str], int]) -> str:
    """Of what an agent tells, the sentence that it is known by: a result before a guess, and before what it shows."""
    prose = [line for line in told if not _is_shown(part, line)] or told
    plain = any(not _ITEM.match(line) for line in prose)
    return max(
        prose[:4], key=lambda line: score(line) + _value(line[:_READ]) - 45 * (plain and bool(_ITEM.match(line)))
    )


def changing(told: Sequence[str], lines: Sequence[str]) -> str:
    """Where nothing else is told than what is there already: the step that names what is changed."""
    if not told or not all(_GLANCE.match(line[:_READ]) for line in told):
        return ""
    return next((line for line in lines if line not in told and _NAMES.search(line[:_READ])), "")


def _value(head: str) -> int:
    return 30 * bool(_RESULT.search(head)) + 60 * bool(_CONCLUDES.match(head)) - 25 * bool(_GUESS.search(head))


def _is_shown(part: str, line: str) -> bool:
    """It stands in what an agent shows, and not in what it says."""
    if _CODE.match(line[:_READ]):
        return True
    at = part.find(line[:60])
    return at >= 0 and any(found.start() < at < found.end() for found in _FENCED.finditer(part))


def led(title: str, telling: str, lines: Sequence[str]) -> str:
    """With what comes behind it, where it only leads there."""
    if not title.endswith((":", "：")) or telling not in lines or _BLOCK.search(title[-80:]):
        return title
    behind = [line for line in lines[lines.index(telling) + 1 :][:3] if not _HEADS.match(line)]
    after = one_line(behind[0]).replace("**", "") if behind else ""
    both = f"{title} {after}".rstrip(": ：")
    return both if after and len(both) <= _LED_CHARS else title


_CLAIMS = re.compile(
    r"\b(?:pass(?:ed|es|ing)?|success(?:ful(?:ly)?)?|worked|works|working|completed|succeeded|green|perfectly|fixed|"
    r"resolved|"
    r"solved)\b",
    re.IGNORECASE,
)
_COUNT = (
    r"(?:[1-9]\d{0,5}|one|two|three|four|five|six|seven|eight|nine|ten|some|several|many|most|a few|all|both|multiple)"
)
_TAKEN_BACK = re.compile(
    rf"\b{_COUNT} (?:of (?:the|them|these|those) )?(?:(?!pass)[\w-]{{1,20}} ){{0,3}}?"
    r"(?:(?:are |is |were |was )?(?:still |now |also )?fail(?:ed|ing|s|ures?)?|errors?|errored)\b|"
    r"\b(?:the|one|another) (?:[\w`./-]{1,60} ){0,3}?tests? (?:(?:is|are) )?(?:still |also )?fail(?:s|ed|ing)?\b",
    re.IGNORECASE,
)
"""It says that something fails, of what another sentence calls a success."""
_MENDED = re.compile(
    r"\b(?:fixed|resolved|solved|no longer|previous(?:ly)?|before|earlier|expected|were failing|gone|if)\b", re.I
)


def with_failures(title: str, lines: Sequence[str]) -> str:
    """What an agent claims, with what it takes back in the same message."""
    if not _CLAIMS.search(title[:_READ]) or fails(title):
        return title
    at = next((number for number, line in enumerate(lines) if line[:60] in title or title[:60] in line), 0)
    back = next((line for line in lines[at:] if fails(line)), "")
    if not back:
        return title
    both = f"{title} {back}"
    return both if len(both) <= 200 else back


def fails(line: str) -> bool:
    """It takes back what another sentence calls a success."""
    return _TAKEN_BACK.search(line[:_READ]) is not None and not _MENDED.search(line[:_READ])
