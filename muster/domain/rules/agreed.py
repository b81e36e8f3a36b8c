"""What somebody decides by agreeing to what an agent recommends, or by choosing among what it offers."""

from __future__ import annotations

import re
from itertools import islice

from muster.domain.memory import NewObservation
from muster.domain.rules import asking
from muster.domain.rules.acts import Act
from muster.domain.rules.sentences import sentences
from muster.domain.rules.talk import is_of_agent, is_of_user
from muster.domain.rules.text import concepts_of, language_of, one_line

MAX_CHARS = 400
"""Of a message that agrees. Who writes more says themselves what they decide."""
READ_CHARS = 16_000
_SENTENCES = 200
LEAD = "Decided: "

_AGREES = re.compile(
    r"\W{0,4}(?:(?:ok(?:ay)?|great|good|perfect|yes|yeah|yep|sure|thanks?|alright)[,.!:\s–-]{1,4}){0,3}"
    r"(?:(?:i )?(?:(?:fully|totally|completely) )?agreed?(?: with (?:you|that|this|it|your \w{2,20}))?|sounds good|"
    r"let['’]?s (?:do|go with|go for|take) (?:that|it|this|your \w{2,20})|do (?:that|it|so)|"
    r"go ahead(?: with (?:that|it))?|"
    r"(?:go|let['’]?s go) (?:with|for) (?:your \w{2,20}|option \w{1,3}|\d{1,2}))[\s.,!]{0,4}",
    re.IGNORECASE,
)
_RECOMMENDS = re.compile(
    r"\W{0,6}(?:(?:my|our|the) )?recommendation(?:\*\*)?\s?(?::|is(?: to)?\b)(?:\*\*)?\s{0,3}(?P<what>\S.{5,})|"
    r"\W{0,6}(?:so |therefore |overall, )?(?:i|we)(?:['’]d| would)? (?:strongly )?(?:recommend|suggest|propose)"
    r"(?! (?:you|that you|reading|looking|checking|asking)\b)(?: (?:going with|to go with|using|we use|that we use))? "
    r"(?P<way>\S.{5,})",
    re.IGNORECASE,
)
_HEAD = re.compile(r"\W{0,6}(?:(?:my|our|the) )?recommendation\W{0,6}", re.IGNORECASE)
_BUT = re.compile(
    r"\b(?:but|except|instead|however|although|though|only|not|no|rather)\b|n['’]t\b|[?？]", re.IGNORECASE
)
_BARE = re.compile(r"option \w{1,3}[ .:*]{0,4}", re.IGNORECASE)
_NAMED = re.compile(r"\W{0,8}(?P<name>option \w{1,3})\*{0,2}\s?[:–—-]\*{0,2} ?(?P<what>\w.{2,})", re.IGNORECASE)
_OPTION = re.compile(r"\b(?:option|go with|for) (\w{1,3})\b", re.IGNORECASE)
_CHOOSES = re.compile(
    r"\W{0,4}(?:(?:ok(?:ay)?|great|good|perfect|yes|yeah|yep|sure|thanks?|alright|hmm+|then|so)[,.!:\s–-]{1,4}){0,3}"
    r"(?:(?:let['’]?s (?:do|go with|go for|try|take|use)|(?:i(?:['’]d|['’]ll| would| will)? )?(?:go (?:with|for)|"
    r"choose|pick|"
    r"take|prefer|like|want|vote for)|do|use|try|implement) )?(?:the )?"
    r"(?P<said>(?:option|approach|variant|alternative|solution|choice|number|plan|#) ?)?(?P<name>\d{1,2}|[a-h])"
    r"(?:,? (?:please|then|it is|looks good|sounds good|seems best))?[\s.,!)]{0,4}",
    re.IGNORECASE,
)
_CHOICE_CHARS = 80
_OFFERED = re.compile(
    r"^[ \t]{0,6}(?:#{1,6} |[-*•] )?(?:\*\*)?(?:(?:option|approach|variant|alternative|solution|choice|plan) "
    r"(?P<name>\d{1,2}|[a-h])\b(?:\*\*)?\s?[:.)–—-]|\(?(?P<number>\d{1,2}|[A-Ha-h])[.)])(?:\*\*)?[ \t]{1,4}"
    r"(?P<what>\S[^\n]{2,300})$",
    re.IGNORECASE | re.MULTILINE,
)
_MOST_OFFERED = 60


def decided(act: Act, before: Act | None, made: list[NewObservation]) -> list[NewObservation]:
    """With the decision that a person takes by agreeing. `made` of what they say; a wish in it stays one."""
    if before is None or not is_of_user(act) or not is_of_agent(before):
        return made
    if act.event.session_id != before.event.session_id:
        return made
    choice = chosen(act.text, before.text)
    title = agreed_to(act.text, before.text) or choice
    if not title:
        return made
    narrative = f"{act.text}\n\n{title.removeprefix(LEAD)}"
    decision = NewObservation(
        type="decision",
        title=one_line(title, 200),
        narrative=narrative,
        concepts=concepts_of(narrative),
        language=language_of(narrative),
        importance=0.8,
        occurred_at=act.event.occurred_at,
        sources=[act.event.id, before.event.id],
    )
    return [decision, *(one for one in made if one.type == "preference" or (one.type == "decision" and not choice))]


def agreed_to(text: str, before: str) -> str:
    """What was recommended `before`, where `text` agrees to it. Empty: it does not, or nothing was."""
    if len(text) > MAX_CHARS or _BUT.search(text):
        return ""
    first = next(iter(sentences(text, 1)), "")
    if not _AGREES.fullmatch(first[:120]):
        return ""
    what = _recommended(before[-READ_CHARS:])
    chosen = _OPTION.search(first)
    if chosen and not re.search(rf"\b{re.escape(chosen[1])}\b", what, re.IGNORECASE):
        return ""
    return f"{LEAD}{what}" if what else ""


def chosen(text: str, before: str) -> str:
    """Which of what was offered `before`, by its number. Empty: none, or nobody knows which."""
    if len(text) > _CHOICE_CHARS or not (found := _CHOOSES.fullmatch(text.strip())):
        return ""
    before = before[-READ_CHARS:]
    if not found["said"] and not any(map(asking.asks_to_know, sentences(before[-800:], _SENTENCES)[-3:])):
        return ""
    offers = list(islice(_OFFERED.finditer(before), _MOST_OFFERED))
    offers = [one for one in offers if one["name"]] or offers
    named = [(one["name"] or one["number"]).casefold() for one in offers]
    name = found["name"].casefold()
    if len(named) < 2 or named.count(name) != 1:
        return ""
    what = offers[named.index(name)]["what"].replace("**", "").strip("*_ ")
    return f"{LEAD}{what}" if what.rstrip(":：") and not asking.asks_to_know(what) else ""


def _recommended(text: str) -> str:
    """The one thing that is. Of several, nobody knows which was agreed to."""
    lines = sentences(text, _SENTENCES)
    found: list[str] = []
    for number, line in enumerate(lines):
        if said := _RECOMMENDS.match(line[:600]):
            found.append((said["what"] or said["way"]).strip("*_ "))
        elif _HEAD.fullmatch(line[:60]) and number + 1 < len(lines):
            found.append(lines[number + 1].strip("*_ "))
    if len(found) != 1 or asking.asks_to_know(found[0]):
        return ""
    what = found[0].replace("**", "")
    if not _BARE.fullmatch(what):
        return what
    # What the option is stands where the options are told.
    name = what.rstrip(" .:*").casefold()
    told = (_NAMED.match(line[:300]) for line in lines)
    is_it = next((one["what"] for one in told if one and one["name"].casefold() == name), "")
    return f"{what.rstrip(' .:*')}: {is_it.replace('**', '')}" if is_it else what
