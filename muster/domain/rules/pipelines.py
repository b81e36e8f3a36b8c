"""How a pipeline stood when somebody looked at it last: what fails there is open, though nothing failed here."""

from __future__ import annotations

import re
from collections.abc import Sequence

from muster.domain.rules import commands, outcomes
from muster.domain.rules.reading import Act, Kind
from muster.domain.rules.sentences import sentences
from muster.domain.rules.settled import denies
from muster.domain.rules.talk import is_of_agent
from muster.domain.rules.text import one_line

OUTPUT_CHARS = 60_000
READ_CHARS = 12_000

_LOOKS = re.compile(
    r"(?:^|[;&|]\s{0,4})(?:gh (?:run (?:view|list|watch)|pr checks)|glab (?:ci|pipeline) (?:status|view|list|get)|"
    r"circleci \w{1,20}|az pipelines runs? (?:show|list))\b",
    re.MULTILINE,
)
_RED = re.compile(
    r"^\W{0,2}completed\s{1,8}failure\b|^\W{0,2}(?:X|✗|✘|❌)\s|##\[error\]|\b(?:fail(?:ed|ure)?)\t|"
    r"\bconclusion:?\s{1,4}failure\b|"
    r"\bstatus:\s{0,4}failed\b|\bRun .{1,80} completed with 'failure'|\bProcess completed with exit code [1-9]",
    re.MULTILINE,
)
_GREEN = re.compile(
    r"^\W{0,2}completed\s{1,8}success\b|^\W{0,2}(?:✓|✔|✅)\s|\bpass\t|\bconclusion:?\s{1,4}success\b|"
    r"\bstatus:\s{0,4}success\b|"
    r"\bAll checks were successful\b|\bRun .{1,80} completed with 'success'",
    re.MULTILINE,
)
_COUNT = re.compile(r"\b\d{1,6} failed(?:, \d{1,6} \w{4,10}){0,4}|\b\d{1,6} (?:errors?|failures?|problems?)\b")
_ERROR = re.compile(r"##\[error\](?!Process completed)(?P<what>[^\n]{8,300})")
_RUN = re.compile(r"^\W{0,2}completed\s{1,8}failure\s{1,8}(?P<what>[^\t\n]{4,200})", re.MULTILINE)
_SAID = re.compile(
    r"\b(?:ci|pipelines?|workflows?|actions)\b[^.!?\n]{0,60}\b(?:green|pass(?:es|ed|ing)?|succeed(?:s|ed)|"
    r"works?)\b",
    re.IGNORECASE,
)


def red(acts: Sequence[Act]) -> str:
    """What failed there. Empty: nothing did, or it was looked at since, or is said to be well."""
    looks = [n for n, act in enumerate(acts) if _verdict(act) is not None]
    if not looks or _verdict(acts[looks[-1]]) is not False:
        return ""
    begun = next((n for n in reversed(looks) if _verdict(acts[n])), -1)
    failing = [acts[n].text[-OUTPUT_CHARS:] for n in looks if n > begun]
    if any(_is_well(act) for act in acts[looks[-1] + 1 :]):
        return ""
    what = next((said for text in reversed(failing) if (said := _what(text))), "")
    return one_line(f"CI failed when it was last looked at{': ' if what else ''}{what}", 160)


def _verdict(act: Act) -> bool | None:
    """None: it shows none."""
    if act.kind is not Kind.COMMAND or not _LOOKS.search(act.command[:2000]) or commands.commits(act.command):
        return None
    text = act.text[-OUTPUT_CHARS:]
    fails, passes = _RED.search(text), _GREEN.search(text)
    if "run list" in act.command and fails and passes:
        return passes.start() < fails.start()  # the latest comes first
    if fails:
        return False
    return True if passes else None


def _what(text: str) -> str:
    if counted := _COUNT.findall(text):
        return str(counted[-1])
    if found := _ERROR.search(text) or _RUN.search(text):
        return str(found["what"]).strip()
    return outcomes.failure(text).what if outcomes.has_trace(text) else ""


def _is_well(act: Act) -> bool:
    if not is_of_agent(act) or act.tool:
        return False
    return any(_SAID.search(line[:400]) and not denies(line) for line in sentences(act.text[:READ_CHARS], 20))
