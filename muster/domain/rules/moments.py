"""What an agent says that is over in a moment: a run that goes on, a glance, that it understands now, and what it needs
to do next. Nobody looks for it later."""

from __future__ import annotations

import re

from muster.domain.rules import fixes, intents, statements

READ_CHARS = 300
"""Of one sentence."""

_LEAD = (
    r"\W{0,6}(?:(?:ok(?:ay)?|alright|great|good|perfect|excellent|right|so|and|but|well|now|also|meanwhile|hmm|however|"
    r"it (?:looks like|seems(?: that)?)|i (?:can )?see(?: that)?)[,.!:\s–-]{1,4}){0,4}"
)
_ENDS = r"[\s.!:…]{0,8}"
_RUN = (
    r"(?:(?:the|all|my|our|these|those|both|some) )?(?:(?!is\b|are\b)[\w`./-]{1,40} ){0,3}?"
    r"(?:tests?|suites?|builds?|jobs?|deployments?|pipelines?|workflows?|installations?|downloads?|commands?|scripts?|"
    r"process(?:es)?|checks?|runs?|migrations?|tasks?|it|they|this|that)"
)
_GOES_ON = (
    r"(?:running|executing|in progress|going on|ongoing|building|compiling|installing|deploying|downloading|"
    r"being (?:run|built|installed|deployed|executed|downloaded)|starting(?: up)?|working on it|waiting)"
)
_WHILE = r"(?: (?:in the background|in parallel|now|again|currently|at the moment|right now|as we speak|here|there))*"
_RUNS = re.compile(
    rf"{_LEAD}{_RUN}(?: is| are|['’]s|['’]re)(?: (?:still|now|currently|just|already|all))* "
    rf"(?:{_GOES_ON}|taking (?:a while|some time|a (?:bit|little)(?: longer)?|a moment|(?:its|their) time))"
    rf"{_WHILE}{_ENDS}",
    re.IGNORECASE,
)
_WAITS = re.compile(
    rf"{_LEAD}(?:(?:i['’]m|we['’]re|i am|we are) )?(?:still |now |just )?waiting (?:for|on|until) {_RUN}"
    r"(?: (?:results?|output))?(?: (?:to (?:finish|complete|end|pass|start|settle|be (?:done|ready|finished))|"
    rf"finish(?:es)?|completes?|is done|are done|is ready))?{_WHILE}{_ENDS}",
    re.IGNORECASE,
)
_MATTER = (
    r"(?:context|problems?|issues?|structure|situation|code ?base|code|flow|picture|pattern|set-?up|requirements?|"
    r"architecture|approach|layout|formats?|state|logic|errors?|bugs?|cause|design|project|system|task|goal|difference|"
    r"confusion|current \w{1,20}|root cause|challenge|question|request|mistake)"
)
_UNDERSTANDS = re.compile(
    rf"{_LEAD}(?:(?:i|we) (?:can )?(?:now )?(?:fully |finally |better )?(?:understand|see|get|found|know)"
    rf"(?: (?:it|(?:the|this|your|what['’]s)(?: \w{{1,20}}){{0,2}}? {_MATTER}|"
    r"what(?:['’]s| is) (?:happening|going on|wrong)|what (?:to do|happened)|why))?"
    r"(?: (?:now|better|clearly|here|fully))*|(?:i|we) (?:now )?have (?:a |all )?(?:\w{1,20} )?"
    r"(?:clear(?:er)?|good|better|full|complete|the|enough) "
    r"(?:picture|understanding|overview|idea|view|information|context|details|info)"
    r"(?: (?:of|about) [^,.:;\n]{1,60}| i need)?|(?:it|this|that|everything|the \w{1,20})(?:['’]s| is| becomes| makes)"
    rf"(?: (?:all|much|now|very|perfect|perfectly))* (?:clear(?:er)?|sense)(?: now| to me)*){_ENDS}",
    re.IGNORECASE,
)
_GLANCES = re.compile(
    rf"{_LEAD}(?:(?:everything(?: else)?|all|that|this|it|they) |"
    r"(?:the|this|that|these|those|my|our) (?:[\w`./-]{1,40} ){1,3})"
    r"(?:looks?|seems?|appears?)(?: to be)? (?:(?:all|quite|very|pretty|much) )?"
    r"(?:good|correct|fine|right|ok(?:ay)?|great|better|perfect|reasonable|in order)"
    rf"(?: (?:now|to me|so far|here))*{_ENDS}",
    re.IGNORECASE,
)
_FIRST = (
    r"\W{0,6}(?:(?:ok(?:ay)?|great|good|perfect|right|so|and|but|well|however)[,.!:\s–-]{1,4}){0,3}"
    r"(?:first(?:ly)?|next|then|now|finally)[,:\s]{1,3}(?:of all,? )?"
)
_OWN = (
    r"(?!see\b|confirm\b|reproduce\b|know\b|ask\b|have\b|be\b|note\b|mention\b|point\b|warn\b|tell\b|say\b|stress\b|"
    r"clarify\b|admit\b|correct my)"
)
_NEEDS = re.compile(
    rf"(?:{_LEAD}(?:i|we)|{_FIRST}(?:i|we))(?: (?:now|also|still|just|first|only|then))? "
    r"(?:need to|want to|have to|must|should|would like to|can(?= [^\n]{1,200}[:：]\W{0,4}$))"
    rf"(?: (?:now|also|first|still|just|then))? {_OWN}[a-z]{{2,20}}\b",
    re.IGNORECASE,
)
_STILL = re.compile(
    rf"{_LEAD}(?:(?:it|this|that|they|the \w{{1,20}})(?:['’]s| is|['’]re| are)? )?still (?:failing|broken|not working|"
    rf"the same|red|wrong){_ENDS}|{_LEAD}more (?:issues|errors|failures|problems){_ENDS}|{_LEAD}success{_ENDS}|"
    rf"{_LEAD}(?:stage|step|phase|batch|part|task|iteration|round) \d{{1,2}}(?:\.\d{{1,2}})?(?: is)?(?: now)? "
    rf"(?:completed?|done|finished|ready){_ENDS}|"
    rf"{_LEAD}(?:all )?(?:(?:the|my|our|these) )?(?:[\w-]{{1,20}} )?(?:commits?|push|merge|refactoring|changes?|"
    rf"edits?|updates?|files?)"
    r"(?: (?:is|are|was|were|has been|have been))?(?: (?:now|all|successfully))* "
    rf"(?:done|committed|pushed|staged|applied|succeeded|complete|reverted){_ENDS}",
    re.IGNORECASE,
)
_SLIP = re.compile(
    r"\W{0,6}(?:(?:oh no|oops|whoops|ah|sorry)[!,.\s]{1,4})?my (?:last |previous |first )?(?:edit|command|attempt|"
    r"syntax|call)"
    r"(?: command)? (?:did(?: not|n['’]t)|failed|was (?:wrong|rejected|not)|had|used the wrong)\b[^\n]{0,240}",
    re.IGNORECASE,
)
"""It is put right with the next call."""
_VIEWS = re.compile(
    rf"{_LEAD}(?:we|i)(?:['’]re| are|['’]m| am) (?:(?:now|currently|already) ){{0,2}}(?:looking at|viewing|seeing|"
    rf"given)\b[^\n]{{0,240}}|"
    r"\W{0,6}i see that\b[^\n]{0,200}, so (?:we|i) can\b[^\n]{0,160}|"
    r"\W{0,6}(?:we|i|it)\b[^,\n]{0,160}\b(?:might|may|seems?|looks?)\b[^,\n]{0,80}, (?:so )?(?:now )?"
    r"(?:let['’]s|let us|try to|(?:we|i)(?:['’]ll| will))\b[^\n]{0,120}",
    re.IGNORECASE,
)
"""What is before an agent's eyes, and what it tries with it."""
_ORDERS = re.compile(
    r"\W{0,6}(?:\d{1,2}[.)] )?(?:now|next|then|first|finally)[,\s]{1,3}(?:(?:phase|step|part|stage) \d|(?:also |"
    r"just )?(?:add|update|"
    r"create|fix|write|run|remove|change|rename|check|implement|move|delete|replace|edit|verify|test|commit|build|"
    r"extract|"
    r"refactor|wire|repoint|bump|format)\b)[^\n]{0,200}[:：]\W{0,4}",
    re.IGNORECASE,
)
"""As agents tell themselves what to do, before they do it."""
_STATUS = re.compile(
    rf"{_LEAD}(?:(?:all|both|the|our|my|these|and|of) ){{0,3}}(?:(?!pass|fail)[\w-]{{1,20}} ){{0,3}}?"
    r"(?:tests?|checks?|hooks?|linting|lint|suites?|builds?|specs?)(?: (?:are|is|all|now|still|indeed|also|"
    r"finally)){0,4} "
    r"(?:pass(?:es|ing|ed)?|green|clean|succeed(?:s|ed)?|fail(?:s|ing|ed)?|completed successfully)"
    rf"(?: (?:now|again|too|as expected|successfully)){{0,2}}{_ENDS}|"
    r"[^\n.]{1,14} ?(?:완료|성공|확인|획득|확보)(?:됐습니다|했습니다|되었습니다)?[.!]?",
    re.IGNORECASE,
)
_LED = re.compile(_FIRST, re.IGNORECASE)
_OWN_NEED = re.compile(rf"{_LEAD}i\b(?! see\b)", re.IGNORECASE)
_TELLS_WHY = re.compile(
    r"\b(?:because|since|so that|due to|instead of|rather than|otherwise|unless|only|always|never|every|each|whenever|"
    r"not|before|after|until|without|which|who|while|to (?:make|avoid|prevent|let|allow|satisfy)|"
    r"the fact|is|are|can|may|might|\d+|you|your)\b|n['’]t\b",
    re.IGNORECASE,
)
"""What makes a need worth to be known by others."""


def passes(line: str) -> bool:
    """It holds for a moment only."""
    head = line[:READ_CHARS]
    return len(line) <= READ_CHARS and (
        any(said.fullmatch(head) for said in (_RUNS, _WAITS, _UNDERSTANDS, _GLANCES, _STILL, _SLIP, _VIEWS, _ORDERS))
        or _needs(head)
        or _only_leads(line)
        or fixes.tidies(line)
    )


def is_status(line: str) -> bool:
    """How the tests were, and not a word of which or how many: the next run says that again."""
    return not any(map(str.isdecimal, line[:READ_CHARS])) and _STATUS.fullmatch(line[:READ_CHARS]) is not None


def _needs(head: str) -> bool:
    """What an agent needs to do it does next; what has to be done by whomever is known by its reason."""
    found = _NEEDS.match(head)
    if found is None or _TELLS_WHY.search(head, found.end()) or intents.has_reason(head):
        return False
    return bool(_OWN_NEED.match(head) or _LED.match(head)) or head.rstrip(" *").endswith(":")


def _only_leads(line: str) -> bool:
    """It is about what stands before it, and leads to what comes behind."""
    says = (statements.mends, statements.breaks, statements.teaches)
    return (
        line.rstrip(" *").endswith((":", "："))
        and intents.leans(line)
        and not any(map(str.isdecimal, line))
        and not any(said(line[:600]) for said in says)
    )
