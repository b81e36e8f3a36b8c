"""What an agent says that it does next, and nothing else; and which sentence of several says by itself what it is
about. People are read otherwise: what they are going to do is what they tell of their lives."""

from __future__ import annotations

import re

from muster.domain.rules import upcoming

READ_CHARS = 600
"""Of one sentence."""

_LEAD = (
    r"\W{0,6}(?:(?:ok(?:ay)?|alright|now|first|firstly|next|then|finally|lastly|also|great|good|perfect|excellent|sure|"
    r"right|so|and|but|well|here|hmm|thus|therefore|hence|once more|once again|again|meanwhile|for now|to start|"
    r"to begin|understood|got it|wait|actually|yes|exactly|oops|you(?:['’]re| are) (?:absolutely )?right|"
    r"good (?:point|idea|catch|thinking|question)|as (?:a|the) (?:next|first|last|final) step|in the (?:next|first|"
    r"last) step|"
    r"after (?:that|this)|with (?:that|this)|as suggested[^,\n]{0,40}|using (?:it|this|that|them)|"
    r"based on (?:this|that|it))[,.!:\s–-]{1,4}){0,5}"
)
_GOAL = (
    r"(?:(?:to|in order to|before|after|by|when|while|given|from|with|for|since it['’]s|now that)\b"
    r"(?![^,\n]{0,200}\b(?:is|are|was|were|has|have|fails?|failed)\b)[^,\n]{1,200},\s)?"
)
"""What it is done for: "To be sure, I'll run it"."""
_I = r"(?:i|we)"
_NOT_A_STEP = (
    r"(?!\s(?:(?:also|just|always|now|then|still|therefore)\s)?(?:not|never|always|keep (?!\w{1,20}ing\b)|leave|avoid|"
    r"stick|stay|remain|refuse|be (?:away|back|there|late|in|on|at)|have to)\b)"
)
_AHEAD = re.compile(
    rf"{_LEAD}{_GOAL}(?:"
    rf"{_I}(?:['’]ll| will|['’]m going to| am going to|['’]re going to| are going to|['’]m about to| am about to)\b"
    rf"{_NOT_A_STEP}|(?:let me|let['’]s|let us|allow me to)\b{_NOT_A_STEP}(?! know\b)"
    r")",
    re.IGNORECASE,
)
"""It is about to be done."""
_PLANNED = re.compile(
    rf"{_LEAD}{_GOAL}(?:{_I} (?:can(?! (?:also |now |clearly )?(?:see|confirm|tell|say|report|reproduce)\b)|"
    r"could|should(?! have\b)|need to|want to|must|have to|shall|would like to|may now|are ready to|"
    rf"am ready to)(?: now| also| then| first| try| next)?\b{_NOT_A_STEP}"
    r"|(?:it['’]s|it is|it would be|it['’]d be) (?:\w{1,20} )?(?:important|necessary|time|best|better|good idea|useful|"
    r"a good idea|essential|crucial|wise)\b[^.\n]{0,20}?\bto\b"
    r"|(?:the|my|our) (?:next|first|last|final) (?:step|task|thing|goal)(?: [^.,;:\n]{1,60})? (?:is|would be|will be)\b"
    r"|(?:next|remaining|first) steps?\b[^.\n]{0,20}[:：])",
    re.IGNORECASE,
)
"""It is to be done, by whomever: that may be worth to be known, but seldom as a title."""
_DOING = re.compile(
    rf"{_LEAD}(?:calling|running|executing|invoking|opening|checking|reading|looking|searching|proceeding|continuing|"
    r"starting|moving|submitting|verifying|trying|fetching|listing|inspecting|installing|updating|creating)\b"
    r"(?![^\n]{0,300}\b(?:is|are|was|were|has|have|had|shows?|showed|fails?|failed|gives?|gave|works?|worked|causes?|"
    r"takes?|took|needs?|requires?|returns?|makes?|made|reveals?|means?|produces?|prints?|does|did|do|can|cannot|will|"
    r"won|would|should|must|helps?|helped|breaks?|broke|solves?|solved|fixes|fixed|confirm(?:s|ed)?|succeed(?:s|ed)?|"
    r"crash(?:es|ed)?|hangs?|leads?|led|result(?:s|ed)?)\b)",
    re.IGNORECASE,
)
_TRIES = re.compile(
    r"(?:(?:now|next|then)[,\s]{1,3})?(?:try|check|submit|look|search|locate|continue|proceed|cat|ls|open|run)\b"
    r"(?!\s\w{1,20}\s\w{3,20}ed\b)"
    r"(?![^\n]{0,100}\b(?:you|your|before|after|if|when|whenever|always|never|unless|must|should|because|since|is|are|"
    r"was|were|works?|remains?|has|have|had|fails?)\b)"
    r"[^\n`/:=]{0,70}",
    re.IGNORECASE,
)
"""Short, as somebody notes what they do."""
_BARE = re.compile(
    r"[-*•\s]{0,6}(?:\[[^\]\n]{1,300}\]\([^)\n]{1,400}\)|`?[\w.~@-]{0,60}(?:/[\w.@-]{1,80}){1,20}(?::\d{1,6})?`?|"
    r"`{3}\w{0,20}|"
    r"https?://\S{1,400})[\s.,:：`]{0,4}"
)
_USES_NOW = re.compile(
    r"\bi(?:['’]ll| will) use\b(?: (?:the|an?|your|this|that|these|those|my)\b|[^\n]{0,200}\bfor (?:this|that|it)\b)|"
    r"\blet['’]s (?:go with|use|stick with|drop)\b[^\n]{0,200}(?:\bas suggested\b|[:：]\W{0,4}$)",
    re.IGNORECASE,
)
_AGREES = re.compile(
    r"\W{0,6}(?:(?:you['’]re|you are|that['’]s|that is) (?:absolutely |completely |totally |quite |very )?"
    r"(?:right|correct|true)(?: to (?:question|ask|doubt|point out|push back on) (?:this|that|it)|"
    r" (?:on|about) (?:all points|this|that|it|everything))?|(?:i )?(?:understand|understood|apologi[sz]e|sorry)|"
    r"(?:i apologi[sz]e|my apologies|sorry|i['’]m sorry) (?:for|about) (?:the|that|this|my|any) [^,;:\n]{1,160}|"
    r"my apologies|"
    r"my (?:mistake|bad)|i (?:completely |totally )?missed (?:the mark|the point|that|it)|"
    r"(?:what an? )?(?:great|good|excellent|fair|nice|brilliant|perfect) (?:question|catch|point|idea|news|progress|"
    r"work|"
    r"thinking|strategy|analysis|suggestion|insight|observation|plan|call|eye|advice|feedback|choice|approach)|"
    r"(?:this|that) is (?:strange|odd|weird|interesting|unexpected|surprising)|"
    r"i see|hmm+|oh no|oops|whoops|ah|let me know\b.{0,200}|happy to help|i['’]d be happy to help|good|perfect|"
    r"excellent|great)\W{0,6}",
    re.IGNORECASE,
)
_REASON = re.compile(
    r"\b(?:because|since|so that|due to|the reason|as (?:it|this|that|they|there)|given that|weil|parce que|porque)\b",
    re.IGNORECASE,
)
_ALSO_TELLS = re.compile(
    r"\s[-–—]\s(?:(?:i think|i see|apparently|actually|since|because) )?(?:it|there|the|this|that|they|these|those|our|"
    r"my|its?)\b[^\n]{0,120}\b(?:is|are|was|were|seems?|looks?|has|have|needs?|fails?|does|doesn|isn|aren|appears?)\b|"
    r"\(which (?:is|are|was|were)\b",
    re.IGNORECASE,
)
"""Behind a dash: how something is."""
_LEANS = re.compile(
    r"\W{0,4}(?:(?:however|but|and|so|then|thus|therefore|hence|also|instead|otherwise|additionally|moreover|"
    r"furthermore|as a result|as expected|exactly|again|finally|now(?! that\b)|next)[,\s]{1,3}){0,3}"
    r"(?:(?:it|this|that|these|those|they|he|she|such|both|neither|either|which|the (?:former|latter|same))\b"
    r"(?!['’]?\s?(?:is|s) (?:possible|likely|clear|known|important|worth)\b)|using (?:it|this|that|them)\b|"
    r"in (?:that|this|such a|either|both) cases?\b|one of them\b|doing (?:so|this|that)\b|"
    r"here(?:['’]s| is| are)\b|(?:as|like) (?:above|before)\b)",
    re.IGNORECASE,
)
"""How a sentence begins that is about what the one before it names."""
_THESE_NAMED = re.compile(
    r"\W{0,4}(?:this|that|these|those) (?!is\b|was\b|are\b|were\b|will\b|would\b|has\b|have\b|means?\b|suggests?\b|"
    r"confirms?\b|indicates?\b|should\b|can\b|could\b|may\b|might\b|shows?\b|allows?\b|makes?\b|also\b|didn\b|did\b|"
    r"does\b|doesn\b|implies\b|could\b|must\b|fixes\b|fixed\b|gives?\b|looks?\b|seems?\b)\w{3,}",
    re.IGNORECASE,
)
"""It names its thing all the same: "This file holds the rates"."""
_TURNS = re.compile(
    r"\W{0,4}(?:on the other hand|however|in addition|additionally|furthermore|moreover|by contrast|similarly|"
    r"in particular|in that case|in this case|then|instead(?! of\b))\b",
    re.IGNORECASE,
)


def is_ahead(line: str) -> bool:
    """It says what is done next."""
    head = line[:READ_CHARS]
    found = _AHEAD.match(head) or _DOING.match(head) or _TRIES.fullmatch(head.rstrip(".:! …"))
    return (found is not None and _ALSO_TELLS.search(head) is None) or upcoming.is_ahead(line)


def uses_now(line: str) -> bool:
    """What an agent takes for the step at hand is no decision."""
    return _USES_NOW.search(line[:READ_CHARS]) is not None


def is_planned(line: str) -> bool:
    """It says what is to be done, next or at all."""
    return is_ahead(line) or _PLANNED.match(line[:READ_CHARS]) is not None


def agrees(line: str) -> bool:
    """ "You're right!", as agents begin."""
    return _AGREES.fullmatch(line[:300]) is not None or upcoming.understands(line)


def has_reason(line: str) -> bool:
    return _REASON.search(line[:READ_CHARS]) is not None or upcoming.has_reason(line)


def leans(line: str) -> bool:
    """What it is about stands in another sentence."""
    return _LEANS.match(line[:200]) is not None and not _THESE_NAMED.match(line[:200])


def is_bare(line: str) -> bool:
    """A link, a path or a fence, and nothing said of it."""
    return _BARE.fullmatch(line[:READ_CHARS]) is not None


def weight(line: str) -> int:
    """How much less it says by itself than it seems to."""
    heavy = 90 * (is_planned(line) or agrees(line) or is_bare(line)) + 60 * leans(line)
    bare = 40 * (len(line) < 40 and line.isupper() and " " not in line)
    return heavy + bare + 15 * (_TURNS.match(line[:80]) is not None) + 25 * line.rstrip(" *").endswith((":", "："))


def leaning(line: str) -> int:
    """The same of what people say: they mean what they say they do."""
    return 60 * leans(line)


def telling(line: str) -> int:
    """Names, numbers and some length: more to be known by than "That is nice"."""
    return min(len(line), 90) + 12 * len(re.findall(r"\d+|(?<!^)(?<![.!?] )\b[A-Z][\w-]+|`[^`]+`", line[:300]))
