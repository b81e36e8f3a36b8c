"""What of a session is worth a line of its summary: how it came out, what was done, what was found, what was asked."""

from __future__ import annotations

import re
from collections.abc import Sequence

from muster.domain.memory import NewObservation
from muster.domain.rules import intents
from muster.domain.rules.labels import is_still_there
from muster.domain.rules.reading import Act, Kind
from muster.domain.rules.sentences import sentences
from muster.domain.rules.settled import READ_CHARS, denies, handed_in, refuses, says_all_is_well, submitted
from muster.domain.rules.slashes import TYPED
from muster.domain.rules.talk import asks_for_work, is_of_agent, is_of_user
from muster.domain.rules.text import one_line
from muster.domain.rules.titles import with_failures

LAST_MESSAGES = 3
"""Of an agent, among which stands how it came out."""
LAST_ACTS = 12
LINE_CHARS = 300

_FLAG = re.compile(r"(?<![\w{])[A-Za-z][A-Za-z0-9_]{1,19}\{[^{}\n]{4,100}\}")
_WHOLE_FLAG = re.compile(r"[A-Za-z][A-Za-z0-9_]{1,19}\{[^\n]{4,100}\}")
"""Also with braces in it: what was handed in is known as a whole."""
_SEEKS_FLAG = re.compile(r"\b(?:flag|ctf)\b", re.IGNORECASE)
_CHORE = re.compile(
    r"Run `(?:\w+=\S{0,80} )?(?:rm|ls|cat|cd|cp|mkdir|touch|echo|submit|curl|wget|git (?:add|status|diff)|find|grep|"
    r"sqlite3|psql|mysql|sleep|which|kill|pkill)\b"
)
"""It shows something, or cleans up: nobody did it for itself."""
_SAYS_LITTLE = re.compile(
    r"Change \S{1,120}(?:(?:, \S{1,120})* and \S{1,120})?|"
    r"\W{0,4}(?:(?:(?:i|we)(?:['’]ve| have)?|great|perfect)[\s,!]{1,3}){0,2}(?:now |successfully ){0,2}"
    r"(?:fixed|resolved|solved|updated|corrected|addressed|completed) (?:the|an?|this|that|it|all)"
    r"(?: (?:critical|failing|failed|unit|integration|ci|linting|lint|main|last|remaining|other|type|build|same|"
    r"minor|final|"
    r"broken|first|second|tests?|issues?|problems?|bugs?|errors?|failures?)){0,4}[.!]{0,3}|"
    r"(?:create|add|update|write) (?:\w{1,20} )?(?:summary|documentation|docs|readme|notes)",
    re.IGNORECASE,
)
"""That something was done, and not what."""
_ACT = re.compile(
    r"(?:Run `|Read (?=\S{0,200}[./])|Looked for “|Check |Verify |View |List |Show |Start in the background:|"
    r"find_file:|search_\w{2,10}:|\S{1,40} passes:)"
)
_OF_HARNESS = re.compile(
    r"\W{0,6}(?:Rules for the work:|SETTING:|INSTRUCTIONS?:|RESPONSE FORMAT|IMPORTANT TIPS?|"
    r"please (?:do not|don['’]t|note that|only)\b|(?:you['’]ve|you have) (?:hit|reached) your\b|"
    r"you (?:must|should|can|will|are) (?:only|not|now|always|include|use|run|submit|wait)\b|"
    r"this session is being continued\b|(?:the )?conversation is summari[sz]ed\b|caveat: the messages below\b|"
    r"<\w{1,30}[- ]?\w{0,30}>|if you['’]d like to issue\b|remember, you\b|your (?:shell|terminal) prompt\b)",
    re.IGNORECASE,
)
"""What a program says to an agent, and nobody learns."""
_NARRATES = re.compile(
    r"\W{0,6}(?:(?:now|next|first|ok(?:ay)?|good|great|perfect|excellent|so)[\s,!:–-]{1,3}){0,3}"
    r"(?:i (?:see|need|can see|notice|have to|understand|will|think)\b|now\b|we (?:need|have to|will|are now)\b|"
    r"(?:good|great|nice) progress\b|i['’]ve\b|i have\b|looking at\b|success\b|"
    r"(?:it|that|this) (?:works|worked|looks?)\b|the \S{1,40} (?:is|are) (?:still )?running\b)",
    re.IGNORECASE,
)
_GOES_ON = re.compile(r"\b(?:is|are) still (?:running|building|going|in progress)\b", re.IGNORECASE)
_NEXT = re.compile(r"\blet['’]s\b|\b(?:i|we)(?:['’]ll| will| can now)\b|, (?:then )?try to\b", re.IGNORECASE)
_FOUND = re.compile(
    r"\b(?:because|since|root cause|caused by|due to|the (?:issue|problem|cause|reason|bug) (?:is|was)|turns out|"
    r"found that|instead of|so that|only (?:if|when|works)|requires?|expects?|doesn['’]t (?:exist|support|include)|"
    r"weil|grund|ursache|parce que|porque)\b|原因|因为|ため",
    re.IGNORECASE,
)
_REACTS = re.compile(
    r"\W{0,4}(?:no|nope|yes|yep|yeah|ok(?:ay)?|sure|thanks?|thank you|please continue|continue|go on|go ahead|proceed|"
    r"try again|again|retry|nein|ja|weiter|oui|non|sí|i agree|agreed|good|great|right)\b(?:[\s,.!:–-]|$)",
    re.IGNORECASE,
)
_OF_PLUMBING = re.compile(
    r"\W{0,6}(?:this session is being continued\b|caveat: the messages below\b|analysis:|"
    r"<?/?(?:task-notification|system-reminder|command-\w{2,10}|local-command)\b|\[request interrupted\b|"
    r"(?:background (?:command|task)|agent) [\"“].{0,200} (?:completed|failed|was stopped|finished)\b|"
    r"(?:if you need specific details from before|please continue the conversation from where)\b|"
    r"read the output file to retrieve\b|api error\b|continue from where you left off\b)",
    re.IGNORECASE,
)

_CONTROL = re.compile(
    r"\W{0,4}/(?:exit|quit|q|clear|compact|help|model|models|config|login|logout|status|cost|usage|code|ask|"
    r"architect|undo|"
    r"redo|reset|resume|tokens|doctor|bug|vim|memory|permissions|settings|theme|new|copy|paste|diff|ls|add|drop|"
    r"context)?"
    r"(?: \S{1,40})?\W{0,4}|:?(?:exit|quit|q|q!|wq)[.!]?",
    re.IGNORECASE,
)
"""What a person tells the program that the agent runs in."""
_INTERJECTION = re.compile(
    r"\W{0,4}(?:je+z+\w{0,3}|jesus|e+h?m+|hm+|u+h+m?|oh+|wow|ugh|argh|lol|w8|wait|huh|what|damn|nah|well|sorry|"
    r"actually|"
    r"perfect|excellent|cool|nice|awesome|hi|hello|hey)\b[\s,.!?…]",
    re.IGNORECASE,
)
_CHORE_ASKED = re.compile(
    r"\W{0,4}(?:please |now |ok(?:ay)?,? |and |then |let['’]?s |can you |could you |you can ){0,3}(?:commit|push|"
    r"merge|continue|"
    r"proceed|retry|try|run|execute|start|restart|stop|check|show|read|review|look at|do|"
    r"explain)\b(?:[ /]\S{1,40}){0,5}\W{0,4}",
    re.IGNORECASE,
)
"""It is done in passing."""
_COURTESY = re.compile(
    r"\W{0,4}(?:is there|do you (?:have|need)|would you like|can i help (?:you )?with|may i help|"
    r"let me know if)[^\n]{0,40}?"
    r"\b(?:anything|something|any) (?:else|more|other|further|questions?)\b[^\n]{0,80}|"
    r"\W{0,4}(?:how (?:else )?(?:can|may) i (?:help|assist)|what (?:else )?(?:would|do) you (?:like|"
    r"want)(?: me)? to do(?: next)?|"
    r"what(?:['’]s| is) next)[^\n]{0,60}",
    re.IGNORECASE,
)
_PASTED = re.compile(
    r"\S{1,40}@\S{1,60}[ :][^%$#\n]{0,80}[%$#] |[$%>#] ?\S|at \S{1,100}\(|(?:GET|POST|PUT|HTTP)[ /]|Traceback |"
    r"\S{1,80}: error\b|"
    r"[A-Z]{6,20} \w|[┌│├└✓✗⏺⎿]"
)
"""It was not said, but shown."""
_NO_CONTENT = frozenset(
    """
    this that these those there here then than them they what which when where with from have will would should could
    about into some just also like want need make does done first again think know look good sure okay please your
    more much very really still only back well thing things something anything everything let's it's that's don't
    """.split()  # noqa: SIM905
)
_ITEM = re.compile(r"\s{0,8}(?:[-*•–✅✔☑⚠#|]|\d{1,3}[.)]\s|\[[ xX]\])")
_HAS_DONE = re.compile(
    r"\W{0,6}(?:(?:done|perfect|great|excellent|good)\b\W{1,6})?(?:i|we)(?:['’]ve| have)? (?:now |also |just |all )?"
    r"(?!need|tri|look|check|start|notic|want|wait)\w{2,20}ed\b(?![^\n]{0,200}\b(?:but|not yet|failed|fails|error)\b)",
    re.IGNORECASE,
)
_LOOKS = re.compile(r"\W{0,4}(?:it )?(?:looks like|seems (?:like|that)|appears that)\b", re.IGNORECASE)
_OF_IT = r"(?: (?:of|in|for) (?:the |our |its )?[\w`./-]{1,60}){0,2}"
_CAME_OUT = re.compile(
    r"\b(?:the|these|those|both|our|its) (?:[\w`./-]{1,60} ){0,3}?(?:"
    rf"(?:assertions|tests|checks|examples|specs){_OF_IT} (?:have |are |now )?(?:all )?"
    r"(?:succeed(?:ed)?|pass(?:ed|ing)?)|"
    rf"(?:script|program|example|build|deployment|import|migration){_OF_IT} (?:has |now )?(?:succeed(?:ed|s)|"
    r"(?:ran|runs?|completed|completes|finished|finishes|builds|built)(?: now)? "
    r"(?:successfully|without (?:any )?(?:errors?|problems?|warnings?)|cleanly|fine)))(?!\w)",
    re.IGNORECASE,
)
"""What was tried in the end came out well."""
_AFTERWARDS = re.compile(r"\W{0,6}now that\b|\b(?:i|we) can\b", re.IGNORECASE)
_SAYS_SOMETHING = 25
_LETTERS_OF_FLAG = 3
_SHORT = 12
"""Letters of what asks for something."""


def outcome(acts: Sequence[Act], *, said: bool = True) -> str:
    """How it came out, in the words of who worked: a flag that was sought, or what the last messages say was reached.
    Empty: nobody says so. `said`: by words alone, too."""
    if any(_SEEKS_FLAG.search(act.text[:READ_CHARS]) for act in acts[:3] if not act.tool):
        if flag := _flag(acts):
            return one_line(f"Found the flag: {flag}", LINE_CHARS)
        if what := handed_in(acts):
            return one_line(f"Submitted: {what}", LINE_CHARS)
    talk = [act for act in acts if is_of_agent(act) or act.kind in (Kind.PROMPT, Kind.RESULT)] if said else []
    for act in reversed(talk[-LAST_MESSAGES:]):
        if act.kind is Kind.PROMPT:
            break
        whole = sentences(act.text[:READ_CHARS], 40)
        lines = [line for line in whole if _tells(line)]
        well = [line for line in lines if says_all_is_well(line)] or [line for line in whole if _came_out(line, whole)]
        if told := well or [line for line in lines[:3] if _did(line)]:
            return one_line(told[0], LINE_CHARS).rstrip(":： ")
    return ""


def _tells(line: str) -> bool:
    """By itself, and not as one point of many."""
    return (
        len(line) >= _SAYS_SOMETHING
        and _ITEM.match(line) is None
        and not intents.is_planned(line)
        and not intents.leans(line)
        and _AFTERWARDS.search(line[:400]) is None
        and not line.rstrip().endswith(("?", "？"))
    )


def _came_out(line: str, said: Sequence[str]) -> bool:
    """And no other sentence takes it back."""
    return (
        _CAME_OUT.search(line[:400]) is not None
        and _tells(_LOOKS.sub("", line))
        and not denies(line)
        and with_failures(line, said) == line
    )


def _did(line: str) -> bool:
    return _HAS_DONE.match(line) is not None


def _flag(acts: Sequence[Act]) -> str:
    refused: set[str] = set()
    for act in reversed(acts[-LAST_ACTS:]):
        if not act.command or act.kind is not Kind.COMMAND:
            continue
        given = _FLAG.findall(act.command[:4000])
        whole = _WHOLE_FLAG.fullmatch(what) if (what := submitted(act)) else None
        if refuses(act):
            refused.update([*given, *([what] if whole else [])])
            continue
        if whole and _is_told(what):
            echoed = act.text.strip()
            return echoed if _WHOLE_FLAG.fullmatch(echoed) and "\n" not in echoed else what
        shown: list[str] = [*_FLAG.findall(act.text[-READ_CHARS:]), *given]
        if found := next((flag for flag in reversed(shown) if flag not in refused and _is_told(flag)), ""):
            return found
    return ""


def _is_told(flag: str) -> bool:
    """It is no mere form of one: "flag{xxxx}"."""
    inner = flag.partition("{")[2].rstrip("}")
    return len(set(inner)) > _LETTERS_OF_FLAG and "..." not in inner and not inner.startswith(("%", "{", "$", "\\"))


def done_worth(told: NewObservation) -> float:
    """Nothing: it is no deed of its own."""
    if _CHORE.match(told.title) or intents.is_planned(told.title) or is_still_there(told.title):
        return 0.0
    return max(told.importance - 0.3 * (_SAYS_LITTLE.fullmatch(told.title) is not None), 0.15)


def learned_worth(told: NewObservation) -> float:
    """Nothing: it is narration, or what a harness says to each."""
    line = told.title
    if told.type == "preference":
        return told.importance + 0.2
    if _OF_HARNESS.match(line) or line.rstrip(" *").endswith((":", "：")):
        return 0.0
    if intents.is_ahead(line) or intents.agrees(line) or _GOES_ON.search(line[:400]):
        return 0.0
    worth = told.importance + 0.1 * (_FOUND.search(line[:400]) is not None)
    narrates = _NARRATES.match(line) is not None or _NEXT.search(line[:400]) is not None
    worth -= 0.15 * narrates + 0.1 * says_all_is_well(line) + 0.05 * intents.leans(line)
    return max(worth - 0.3 * (_ACT.match(line) is not None and told.importance < 0.4), 0.01)


def is_request(line: str) -> bool:
    """A person may have asked it of an agent."""
    return not _OF_PLUMBING.match(line) and not _CONTROL.fullmatch(line)


def is_courtesy(line: str) -> bool:
    """An agent asks it at the end of anything."""
    return _COURTESY.fullmatch(line[:200]) is not None


def is_idle(acts: Sequence[Act]) -> bool:
    """A person told the program around an agent something, and asked the agent nothing."""
    typed = any(act.note == TYPED for act in acts)
    return typed and not any(act.tool or is_of_user(act) for act in acts if act.kind is not Kind.NOTHING)


def is_asked(told: NewObservation, acts: Sequence[Act]) -> bool:
    """Not by an agent of itself or of another, as far as it is known who said it."""
    said = [act for act in acts if act.event.id in told.sources and act.kind is not Kind.NOTHING]
    return not said or any(is_of_user(act) or not (act.tool or is_of_agent(act)) for act in said)


def asked_worth(line: str) -> float:
    """How much what was asked says by itself."""
    head = line[:400]
    words = {word for word in re.findall(r"[^\W\d_][\w'’-]{3,60}", head.casefold()) if word not in _NO_CONTENT}
    letters = 0 if head.isascii() else sum(not one.isascii() and one.isalpha() for one in head) / 4
    names = len(re.findall(r"`[^`]{2,80}`|\S[/._]\w|\w\(\)|\d|[a-z][A-Z]", head))
    said = min(len(words) + letters, 8) + min(names, 2) + 2 * asks_for_work(head)
    passing = bool(_REACTS.match(head) or _INTERJECTION.match(f"{head} ") or intents.leans(head))
    return said - 4 * passing - 3 * (_CHORE_ASKED.fullmatch(head) is not None) - 8 * (_PASTED.match(head) is not None)


def task_of(asked: Sequence[str]) -> str:
    """The first of what was asked that says by itself what it is about, and is not done in passing. Empty: none "
    "does."""
    told = [line for line in asked if len(line) >= _SHORT and not _REACTS.match(line)]
    return next((line for line in told if not _CHORE_ASKED.fullmatch(line[:400])), told[0] if told else "")
