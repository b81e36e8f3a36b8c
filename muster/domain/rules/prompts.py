"""What a program asks an agent in a person's place: the task that is set in it, and the rules that stand in each."""

from __future__ import annotations

import re
from typing import NamedTuple

from muster.domain.rules import asking
from muster.domain.rules.sentences import sentences
from muster.domain.rules.text import clipped, one_line

LEAST_CHARS = 400
"""Nobody writes rules in less."""
TASK_CHARS = 4000
_SHORT = 40
"""Of a line that names a task. What comes behind a shorter one says which it is."""
_LEADS_TO = 200
"""Characters before a task, that say no more than that it comes."""
_READ = 24_000

_BEGINS = re.compile(
    r"\s*(?:SETTING:|<uploaded_files>|(?:You are|You['’]re|Act as) (?:an? |the |[A-Z][\w.-]{1,20}, (?:an? |the )?)"
    r"[^.\n]{0,100}?\b(?:assistant|agent|programmer|engineer|developer|expert|AI|model|bot|coder|hacker|specialist)\b|"
    r"We['’]re currently solving the following\b|(?:#+ )?(?:Role|Identity|System prompt)\b[^\n]{0,40}\n)"
)
"""How such a prompt opens."""
_HEAD = re.compile(
    r"^[ \t]*(?:#{1,4} |\*\*)?(?=[A-Z])(?:SETTING|INSTRUCTIONS?|RESPONSE FORMAT|OUTPUT FORMAT|TIPS|"
    r"IMPORTANT(?: TIPS| NOTES?)?|RULES|GUIDELINES|CONSTRAINTS|REQUIREMENTS|COMMANDS|TOOLS|WORKFLOW|"
    r"ENVIRONMENT|EXAMPLES?|NOTES?|NOTE ABOUT [A-Z ]{3,40}|REMEMBER|HINTS?|FORMAT)(?:\*\*)?:",
    re.MULTILINE,
)
"""Over what is the same in each."""
_TASK = re.compile(
    r"^[ \t]*(?:#{1,4} |\*\*)?(?:ISSUE|TASK|GOAL|PROBLEM(?: STATEMENT)?|QUESTION|USER REQUEST|REQUEST|DESCRIPTION|"
    r"OBJECTIVE|YOUR TASK|CHALLENGE)(?:\*\*)?:(?:\*\*)?[ \t]*",
    re.MULTILINE,
)
_MARKED = re.compile(
    r"<(issue|issue_description|pr_description|task|task_description|problem|problem_statement|user_query|user_request|"
    r"request|objective)>"
)
_SAID_TO_BE = re.compile(
    r"\b(?:your (?:task|job|goal|objective|mission) (?:now )?is(?: to\b|:)?|(?:the )?description is:|"
    r"(?:solving|solve|fix|resolve|implement) the following (?:\w{1,20} ){1,3}?(?:within|in) [^\n.:]{1,60}[.:]|"
    r"here['’]s the (?:issue|task|problem)(?: text| description)?:)\s*",
    re.IGNORECASE,
)
_RULE = re.compile(
    r"(?:Always|Never|Do not|Don['’]t|Be|Follow|Respond|Reply|Answer|Output|Return|Think|Note|Remember|Keep|Act|Use|"
    r"Make sure|Ensure|Help|Assist|Try|Please note)\b",
    re.IGNORECASE,
)
"""How a sentence begins that says how anything is to be done."""
_SCREEN = re.compile(r"^\s{0,8}(?:\((?:Open|Current) [^)\n]{1,200}\)|(?:bash-)?\$)\s*$", re.MULTILINE)
"""What a terminal shows behind it."""


class Prompt(NamedTuple):
    title: str
    """The task in a line. Empty: none is set."""
    task: str
    rules: str


def prompt_in(text: str, *, sets_task: bool = True) -> Prompt | None:
    """None: a person wrote it."""
    opens = _BEGINS.match(text) is not None
    if len(text) < LEAST_CHARS:
        # Who sets no task says by such a beginning who an agent is to be, however short it is.
        alone = opens and (not sets_task or (text.lstrip().startswith("SETTING:") and len(sentences(text, 2)) == 1))
        return Prompt("", "", text.strip()) if alone else None
    text = clipped(text, _READ)
    heads = len(_HEAD.findall(text))
    if not (opens and (heads or len(text) > 3 * LEAST_CHARS)) and heads < 2:
        return None
    start, end = _task(text) if sets_task else (0, 0)
    task = _SCREEN.sub("", text[start:end]).strip()
    before = text[:start] if start > _LEADS_TO else ""
    rules = _SCREEN.sub("", f"{before}\n{text[end:]}").strip()
    return Prompt(_titled(task), task[:TASK_CHARS], rules[:TASK_CHARS])


def gist(text: str) -> str:
    """What such a prompt asks for, in a line. Empty: it is none, or asks for nothing."""
    found = prompt_in(text)
    return found.title if found else ""


def _task(text: str) -> tuple[int, int]:
    """Where it stands."""
    for marked in _MARKED.finditer(text):
        end = text.find(f"</{marked[1]}>", marked.end())
        if end > marked.end():
            return marked.end(), end
    if found := _TASK.search(text):
        return found.end(), _end(text, found.end())
    if found := _SAID_TO_BE.search(text):
        begins = found.end()
        if "description" in found.group().lower() and not found.group().lower().startswith("here"):
            # What it is called stands before that.
            begins = text.rfind("\n\n", 0, found.start()) + 1
        return begins, _end(text, found.end())
    if second := _second(text):
        return second
    last = next((line for line in reversed(sentences(_HEAD.split(text)[-1], 400)) if _asks(line)), "")
    at = text.rfind(last[:40]) if last else -1
    return (at, at + len(last)) if at >= 0 else (0, 0)


def _second(text: str) -> tuple[int, int] | None:
    """Who is told who to be may be told next what to do: with all that stands in the same paragraph."""
    if not (opens := _BEGINS.match(text)):
        return None
    begins = text.find(".", opens.end(), opens.end() + _LEADS_TO) + 1
    if not begins or text[begins : begins + 1] not in (" ", "\n"):
        return None
    begins += len(text[begins : begins + 9]) - len(text[begins : begins + 9].lstrip())
    end = text.find("\n\n", begins)
    told = text[begins : end if end >= 0 else len(text)]
    first = next(iter(sentences(told, 1)), "")
    return (begins, begins + len(told)) if first and _asks(first) and not _RULE.match(first) else None


def _asks(line: str) -> bool:
    return asking.asks(line) and len(line) < 600


def _end(text: str, begins: int) -> int:
    ends = [found.start() for pattern in (_HEAD, _SCREEN) if (found := pattern.search(text, begins))]
    return min(ends, default=len(text))


def _titled(task: str) -> str:
    """By the line that names it. What is described begins with its description's name, or with itself."""
    lines = [line for line in sentences(task, 12) if not line.endswith("description is:")]
    named = [line for line in lines if not (_SAID_TO_BE.search(line) or asking.begins_politely(line))] or lines
    first = next((line for line in named if " named " in line or " called " in line), named[0] if named else "")
    after = named[1] if len(first) < _SHORT and named[1:] and named[0] is first else ""
    return one_line(f"{first.rstrip('.:')}: {after}" if after else first.removeprefix("to "))
