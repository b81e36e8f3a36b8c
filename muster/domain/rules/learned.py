"""What was learned, as a colleague would tell it: the cause, the fix, what was found; not how the hands moved.

An observation is known by one sentence; what it was made of often says more in another. It is told by the sentence
that says why, whole, where there is one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from muster.domain.memory import NewObservation
from muster.domain.rules import intents, worth
from muster.domain.rules.sentences import sentences
from muster.domain.rules.text import one_line

LINE_CHARS = 300
"""Of a line: most sentences are told whole."""
TITLE_CHARS = 160
READ_CHARS = 8_000
_SENTENCES = 60
_WANTED = 4
_SAYS_SOMETHING = 20
_WORDS = 4
"""Of what is more than a heading."""
_MORE, _LESS = 0.12, 0.2
"""What a step of clarity counts."""
_HEAD = 600

_JOINED = re.compile(
    r"(?<=[a-z\d)\]`\"'][.!?])(?=(?:\d{1,2}\. )?(?:The|This|That|These|Those|There|We|I|It|You|Our|All|Each|One|"
    r"Another|Both|"
    r"In|On|At|By|For|With|To|From|Upon|As|If|When|While|Since|Because|Given|Considering|Based|Using|Once|After|Before|"
    r"However|Instead|Also|Now|Then|Next|First|So|And|But|Let|Lets|Go|Okay|Ok)\b['’ ,])|(?<=[a-z]:)(?=1\. )|"
    r"(?<= `):(?=`)"
)
"""Where a sentence begins right behind the one before it."""
_CAUSE = re.compile(
    r"\broot cause\b|\bthe (?:\w{1,20} )?(?:issue|problem|error|bug|failure|cause|reason|culprit|crash|flaw)(?: here)? "
    r"(?:is|was|lies|lay|comes|came|stems|occurs|occurred|happens|happened|turned out)\b"
    r"(?! (?:now |fully )?(?:fixed|solved|resolved|gone|closed))|"
    r"\b(?:is|was|were|are|happen\w{0,3}|fail\w{0,3}|error|wrong|broken) (?:indeed |probably )?(?:because|due to)\b|"
    r"\bcaused by\b|\b(?:stems?|resulted) from\b|\b(?:it|this|that|errors?|failures?|bug) (?:comes?|came|"
    r"results) from\b|"
    r"\bwhich (?:\w{1,15} )?(?:truncates|breaks|broke|fails|failed|overwrites|drops|loses|ignores|skips|prevents|"
    r"blocks|hides|swallows|rounds|causes|caused|leads?|led|explains|returns|raises|overflows|leaks|resets|"
    r"crash\w{2})\b|"
    r"\b(?:leads?|leading|led) to (?:(?:an?|the) )?(?:(?!same)\w{1,20} )?(?:incorrect|wrong|error|failure|bug|crash|"
    r"loss|race|"
    r"overflow|leak)|"
    r"\bthat(?:['’]s| is) why\b|\bturns out\b|\bbecause (?!i\b|we\b)|"
    r"\b(?:ursache|liegt daran|lag daran|grund (?:ist|war|dafür))\b|\b(?:parce que|à cause d|porque|debido a|causa)\b|"
    r"原因|因为|因為|由于|导致|причин|потому что|из-за|때문|원인",
    re.IGNORECASE,
)
"""Why something is as it is."""
_FIX = re.compile(
    r"\bto (?:fix|solve|resolve|address|avoid|prevent|mend) (?:this|that|the|it)\b[^.\n]{0,80}\b(?:should|need|must|"
    r"has|"
    r"have|can|round|use|add|set|change)|"
    r"\b(?:the|a|one) (?:\w{1,20} )?(?:fix|solution|workaround|remedy) (?:is|was|for)\b|"
    r"\b(?:fixed|solved|resolved|mended|corrected) (?:it |this |that |the \w{1,30} )?by\b|"
    r"\b(?:should|must|needs? to|has to|have to) (?:\w{1,15} )?be (?:wrapped|rounded|escaped|quoted|converted|checked|"
    r"cast|encoded|decoded|awaited|closed|locked|initiali[sz]ed|passed|called|set|replaced|changed|conditional)\b|"
    r"\b(?:updated|changed|modified|rewritten|switched) to (?:\w{1,20}ly )?(?:use|call|return|include|check|handle|"
    r"round|require)\b|"
    r"\bcan be (?:exploited|used|abused|avoided|fixed|solved)\b|\bideal for\b|\b(?:works|worked) (?:if|only|when|"
    r"because)\b",
    re.IGNORECASE,
)
"""How it is put right, or done."""
_HANDLING = re.compile(
    r"\b(?:edit|replace|patch|search|str_replace|apply_patch|sed|tool|submit)(?:ing)?(?: tool| command| call|"
    r" attempt)?s?"
    r"\b[^.\n]{0,60}\b(?:not|n['’]t|fail\w{0,3}|wrong|incorrect|mistakes?|error|indentation|unmatched|exact)\b|"
    r"\b(?:wrong|incorrect|mistake in (?:my|the)|error in (?:my|the)|my|previous|last) (?:previous |last )?"
    r"(?:edit|replace|patch|command|attempt)s?\b|"
    r"\banother syntax error\b|\bunmatched (?:parenthes|bracket|brace|['\"`\[(]?[\])}])|"
    r"\bi (?:have |had )?(?:been )?(?:miss(?:ed|ing)|forg[oe]t(?:ten)?|mis-?typed|typed) |"
    r"\bchanges? (?:have|has|were|was) (?:not )?(?:been )?applied\b|"
    r"\b(?:edit|change|patch|replacement) (?:has )?(?:succeeded|applied|worked)\b|"
    r"\bcurrent (?:working )?directory\b|\b(?:so|and) that must have worked\b|"
    r"\b(?:rm|mv|cp|mkdir|touch|chmod|cd)\b[^.\n]{0,40}\boutput\b|"
    r"\b(?:script|file|folder)\b[^\n]{0,80}?\b(?:has been|was|were|have been) (?:successfully )?(?:created|updated|"
    r"removed|"
    r"deleted|written|saved|opened|renamed)\b|"
    r"\bthis script will\b|\b(?:reproduc\w{1,6}|example code|the results of the issue)\b|"
    r"\byour edit\b|\b(?:i|we) should have (?:just )?(?:used|called|run|read|checked)\b",
    re.IGNORECASE,
)
"""How the hands moved: an edit that did not apply, a script that was written to look at something."""
_MOMENT = re.compile(
    r"\b(?:now|still)\b[^.\n]{0,60}\b(?:pass(?:ing|es)|fail(?:ing|s)|appear(?:ing|s)|working|clean|green)\b|"
    r"\b(?:fix|change|build|deployment|integration|installation) (?:has )?(?:work(?:s|ed)|succeeded|is working)\b|"
    r"\b(?:has|have) been (?:successfully )?(?:built|installed|deployed|committed|pushed|staged)\b|"
    r"\b(?:all|every)\b[^.\n]{0,60}\b(?:pass(?:es|ed|ing)?|clean|green)\b|"
    r"\bi (?:now )?have a (?:good|clear|better|full|complete) (?:understanding|picture|idea|overview)\b|"
    r"\b(?:looking|going|moving) (?:good|well|forward)\b|\bgood (?:progress|sign|news)\b",
    re.IGNORECASE,
)
"""How it stood then, which is over."""
_COUNTS = re.compile(r"\W{0,4}\d{1,7} (?:tests? )?(?:passed|failed|errors?|passing|failing|skipped)\b", re.IGNORECASE)
_PLACE = re.compile(
    r"\b(?:file|folder|directory|script|module|section)s?\b[^.\n]{0,80}\b(?:is|are|be|seems?|looks?|appears?)\b"
    r"(?: \w{1,20})?(?: to be)? (?:located|present|in the|at the|here)\b|"
    r"\b(?:located|found) (?:the |a )?[^.\n]{0,60}\bin the\b[^.\n]{0,40}\b(?:directory|folder)\b|"
    r"\bwe are (?:now )?looking at\b|\bthe file (?:we|i) (?:are|am|need|want)\b|\bthere(?:['’]s|"
    r" is) an? \S{1,60} file\b|"
    r"\b(?:line number|points? to|look at line) \S{0,20}\d|\bin \S{1,80}:\d{1,6}\b",
    re.IGNORECASE,
)
"""Where something stands: it was only looked for."""
_RETELLS = re.compile(
    r"\W{0,6}(?:(?:however|also|but),? )?(?:according to )?(?:the|this) (?:issue|ticket|task|description|challenge|"
    r"problem"
    r" statement|requirement)(?: text| description)?(?: also)? (?:points?|includes?|mentions?|contains?|provides?|"
    r"gives?|"
    r"says?|states?|suggests?|asks?|links?|refers?|describes?|indicates?|does not|doesn['’]t)\b|"
    r"\W{0,6}(?:we|i) (?:have|are|were)(?: been)? (?:given|provided|supplied|asked)\b",
    re.IGNORECASE,
)
"""What was asked, once more."""
_WOULD_DO = re.compile(
    r"\bwould be (?:a )?(?:good|better|best|prudent|wise|helpful|useful|worth)\b|\bwe['’]ll (?:probably )?need\b|"
    r"\bso (?:we|i|let['’]s|you) (?:can|could|will|should|need|just|must)\b|\bwe need more\b|\bto begin\b|"
    r"\bi will (?:send|try|use|run|attempt|check)\b|\bwe (?:can|will|could) (?:first )?(?:use|try|see|run|start|"
    r"examine)\b|"
    r"^\W{0,4}(?:the )?(?:first|next) (?:step|thing)\b|^\W{0,4}now that\b|"
    r"\b(?:voy|vamos) a \w|\b(?:ich werde|wir werden|je vais|nous allons)\b|^\W{0,4}(?:теперь |сейчас )?(?:давайте|"
    r"приступаю|(?:про|ис|до|об|со)?(?:анализирую|правлю|бавлю|новлю|здам|верю)\b)|我将|我来|让我|接下来|하겠습니다|"
    r"(?:し|行い|進め|始め|試み|待ち)ます[。.]?\s*$",
    re.IGNORECASE,
)
"""What is done next, or was."""
_MAYBE = re.compile(
    r"\b(?:might|may|perhaps|maybe|possibly|it['’]s possible|could potentially|probably|suspect|seems? like)\b", re.I
)
_BREAKS_OFF = re.compile(
    r"\b(?:because|since|on|the|an?|of|to|and|or|not|but|with|for|in|by|that|which|is|are|was|if|when|as|please|\d\.)"
    r"\s*$",
    re.IGNORECASE,
)
_ENDS = re.compile(r"[.!。．！)\]`\"”'*]\s*$")
_SHOWN = re.compile(
    r"\W{0,3}(?:diff --git |Found \d{1,6} match|Read \S|Run `|Looked for “|find_file\b|\w{2,30}: \w{2,30}: |"
    r"parentUuid: |sessionId: |Building wheels|Searched the web|Message: |Start in the background|\||"
    r"(?:import|from) [{\w.*]{1,60} (?:from|import|[,}])|import [{*]|export (?:type|function|const|default|class|"
    r"interface)\b|"
    r"(?:const|let|var) \w{1,60} ?[=:]|(?:function|def) \w{1,60}\(|:root\b|#include\b|[MADRU?]{1,2} \S{1,200}$)",
    re.IGNORECASE,
)
"""What a tool printed, or that it was used."""


def line(told: NewObservation) -> str:
    """What it is told by: a whole sentence, and of all that it says, the one that says why."""
    title = one_line(told.title, TITLE_CHARS)
    said = _said(told)
    own = next((n for n, one in enumerate(said) if is_same(title, one)), None)
    if own is None or _is_code(said[own]):
        return title
    best = own
    if _may_differ(told):
        ended = [n for n, one in enumerate(said) if n == own or _ENDS.search(one)]
        best = max(ended, key=lambda n: (_clarity(said[n]), n == own, -n))
        least = -1 if _is_heading(said[own]) else max(_clarity(said[own]), 0)
        best = best if _clarity(said[best]) > least else own
    if best == own and not title.endswith("…") and len(title) > len(said[own]):
        return title
    return one_line(_with_what_it_is_about(said, best), LINE_CHARS).rstrip(":： ") or title


def _with_what_it_is_about(said: list[str], at: int) -> str:
    """ "In that case, it is run": the case stands in the sentence before."""
    both = f"{said[at - 1]} {said[at]}" if at else said[at]
    is_told = at > 0 and not intents.is_ahead(said[at - 1]) and not intents.agrees(said[at - 1])
    return both if is_told and len(both) <= LINE_CHARS and intents.leans(said[at]) else said[at]


def whole(told: NewObservation) -> str:
    """Its title, and the rest of the sentence where that was cut off."""
    title = one_line(told.title, TITLE_CHARS)
    if not title.endswith("…"):
        return title
    return next((one_line(one, LINE_CHARS) for one in _said(told) if is_same(title, one) and not _is_code(one)), title)


def is_same(line: str, other: str) -> bool:
    """However much of it was cut off."""
    return line == other or other.startswith(line.rstrip("… .")) or line.startswith(other.rstrip("… ."))


def weigher(told: Sequence[NewObservation]) -> Callable[[NewObservation], float]:
    """What the line of each counts among all that was learned: first what people want done in some way, as far as that
    leaves room for what was found; of how something stood, only how it stands in the end."""
    wanted = [one.title for one in told if one.type == "preference" and len(one.title) >= _SAYS_SOMETHING]
    first = frozenset(wanted[-_WANTED:])
    rows = {row: one.title for one in told if (row := _row(one.title))}
    passed = frozenset(one.title for one in told if (row := _row(one.title)) and rows[row] != one.title)
    return lambda one: 0.0 if one.title in passed else _weight(one) + (one.title in first and one.type == "preference")


def _row(title: str) -> str:
    """What a number is told of, again and again: "Coverage is now at …". Empty: it is no such thing."""
    if _COUNTS.match(title):
        return "tests"
    before, number, _ = (
        re.split(r"(\d)", title[:_HEAD], maxsplit=1) if re.search(r"\d", title[:_HEAD]) else ("", "", "")
    )
    is_state = number and re.search(r"\b(?:is|are|now|at|has|have|from|to)\s*$", before, re.IGNORECASE)
    return before.casefold() if is_state and len(before) >= _SAYS_SOMETHING - 4 else ""


def _weight(told: NewObservation) -> float:
    base = worth.learned_worth(told)
    if base <= 0:
        return base
    if told.type == "preference":
        return base if len(told.title) >= _SAYS_SOMETHING else 0.2
    clarity = _clarity(line(told))
    return max(base + (_MORE if clarity > 0 else _LESS) * clarity, 0.01)


def _may_differ(told: NewObservation) -> bool:
    """Of what somebody prefers or decides, the title is it; of what was done, it says what."""
    return told.type in ("fact", "discovery", "bugfix") and not _SHOWN.match(told.title)


def _said(told: NewObservation) -> list[str]:
    text = _JOINED.sub("\n\n", (told.narrative or "")[:READ_CHARS])
    return [plain for one in sentences(text, _SENTENCES) if (plain := one_line(one, 10 * LINE_CHARS))]


def _is_heading(sentence: str) -> bool:
    return sentence.isascii() and sentence.count(" ") < _WORDS - 1


def _is_code(sentence: str) -> bool:
    """Or what a program printed, which is no sentence however long."""
    head = sentence[:_HEAD]
    return sum(map(head.count, ";{}=<>()*|:/")) > max(6, len(head) // 12)


def _clarity(sentence: str) -> int:
    """From -4 to 3: how much it is about the matter."""
    head = sentence[:_HEAD]
    if _SHOWN.match(head) or _is_code(head) or head.rstrip().endswith(("?", "？")):
        return -2
    if _MOMENT.search(head) and not _CAUSE.search(head):
        return -3
    if _HANDLING.search(head) and not re.search(r"\broot cause\b", head, re.IGNORECASE):
        return -3
    if _BREAKS_OFF.search(head) or _is_heading(head):
        return -1
    found = 3 if _CAUSE.search(head) else 2 if _FIX.search(head) else 0
    found -= _MAYBE.search(head) is not None
    if found < 2:
        found -= 2 * (_RETELLS.match(head) is not None) + 2 * (_PLACE.search(head) is not None)
    found -= 2 * (found < 3 and (_WOULD_DO.search(head) is not None or intents.is_ahead(head)))
    return max(found - (intents.leans(head) and found > 0), -4)
