"""What sort of statement a sentence makes: a decision, a preference, a fix, an error, something learned, a next step.

What is denied, wished for or still to be done is not taken for what was done.
"""

from __future__ import annotations

import re

_DECIDED = re.compile(
    r"\b(?:(?:we|i|they|team)(?:['’]ve| have| had|['’]ll)? (?:all )?(?:decided|agreed|chose|chosen|"
    r"settled on|opted|picked|"
    r"are going with|['’]re going with|went with|will go with|going with|will stick with|will (?:use|"
    r"switch|move|migrate|keep|drop))|"
    r"(?:decision|decided|agreed|resolution)\s*(?:is to|was to|on|to|that|against)|"
    r"let['’]s (?:go with|use|stick with|drop)|instead of using|(?:chose|chosen|choose|"
    r"picked) [^.\n]{1,80}? (?:over|instead of)|"
    r"going forward,? (?:we|i)|from now on|rather than [^.\n]{1,60}?because|must never|we never|we always)\b"
    r"|(?:wir haben|haben uns|ich habe) [^.\n]{0,60}?(?:entschieden|beschlossen)|nous avons (?:décidé|choisi)|"
    r"(?:hemos|se ha) (?:decidido|elegido)|abbiamo deciso|decidimos|决定|決定|決めました|選びました|결정|решили|решено",
    re.IGNORECASE,
)
_STEP = re.compile(
    r"\b(?:will|let['’]s) (?:(?:keep|move) (?:on\b|going\b|\w+ing\b)|(?:use|switch|move|keep|drop)\b[^.\n]{0,200}?"
    r"(?:\b(?:now(?! on)|first|next(?! \w)|quickly)\b|"
    r"\bto (?:find|check|see|look|search|read|verify|inspect|explore|understand|investigate|locate|debug|view|"
    r"change the file|edit|list|get|fetch|run)\b)|"
    r"use (?:the )?`?(?:grep|rg|sed|awk|find|curl|git|bash|jq|cat|ls|read|edit|glob|write|task|websearch|webfetch)\b)",
    re.IGNORECASE,
)
"""What somebody does next is no decision."""
_PENDING = re.compile(
    r"\b(?:undecided|decision\b[^.\n]{0,80}? (?:pending|open|outstanding|postponed|deferred|yet to)\b)", re.IGNORECASE
)
_RULE = (
    r"(?:always|never|please (?:always|never|do not|don['’]t)) (?:use|write|run|add|commit|push|put|name|call|ask|do|"
    r"make|include|change|touch|create|mock|deploy|go|merge|release|ship|delete|remove|edit|install|start|stop|send|"
    r"set|keep|leave|test|check|review|read|open|close|format|lint|document|log|store|save|rebase|force|skip|disable|"
    r"enable|rename|return|throw|catch|import|export|pin|tag|sign|wrap|escape|quote|validate|share|print|expose|"
    r"hard-?code|update|upgrade|follow|prefer|avoid|explain|answer|reply|work|build|back|rely|trust|assume|bypass)"
)
_OPENING = r"^(?:(?:no|yes|ok(?:ay)?|please|and|but|so|remember|also|well|hey|stop)\b[\s,:;.!–-]*)*"
_NO_VERB = (
    r"(?:mind|again|ever|been|seen|had|heard|got|gone|done|was|were|is|are|has|have|happens?|works|too|to|a|an|the|"
    r"there|this|that|so|as|at|in|on|up|great|good|nice|fun|happy|glad|welcome|better|more|less|my|your|his|her|our|"
    r"not|only|just|knew|thought|saw|felt|found|wanted|one|something|someone|nothing|for|from|by|with|if|when|"
    r"loved|liked|nearly|almost|\w+ly|(?!embed|need|feed|seed|speed|shed|shred|proceed|exceed)\w+ed|\w+ing)\b"
)
_PREFERS = re.compile(
    r"\b(?:i|we|he|she|they|user|client|customer)(?:['’]d| would)? (?:really |much |always |usually |do not |don['’]t |"
    r"strongly )*(?:prefer|like|love|hate|dislike|enjoy|favou?r|can['’]t stand|want you to)s?\b|\bmy favou?rite\b|"
    rf"\b{_RULE}\b|{_OPENING}(?:always|never) (?!{_NO_VERB})[a-z]|"
    r"\bprefers? \w+|\bich bevorzuge|\bje préfère|\bprefiero|偏好|喜欢|好き",
    re.IGNORECASE,
)
_INTENDS = re.compile(r"(?:['’]d| would) (?:really |much )*(?:like|love|hate) (?:to|for|you to)\b", re.IGNORECASE)
"""What somebody would like to do next is no preference."""
_FIXED = re.compile(
    r"(?<!\ba )(?<!\ban )(?<!\bthe )\bfixed\b(?![ -](?:size|width|height|price|rate|number|length|point|amount|cost|"
    r"set|position|order|limit|window|interval)\b)|"
    r"\broot cause\b[^.\n]{0,80}? (?:was|is|were)\b|\b(?:the )?(?:bug|problem|issue) was\b|\bthe cause (?:was|is)\b|"
    r"\b(?:resolved|solved)\b|\bthe fix (?:is|was)\b"
    r"|原因は|根本原因|修复了|ursache war|behoben",
    re.IGNORECASE,
)
_DENIES = re.compile(
    r"\b(?:not|never|no|nobody|none|nothing|cannot|without|hardly|unable|if|whether|unless|until|once|when|needs?|"
    r"must|should|can|could|may|might|will|would|to be|being|be|remains?|want|try|trying|tried|failed)\b|n['’]t\b",
    re.IGNORECASE,
)
"""Before a word in the same clause: it is not so, or not yet."""
_REFUSES = re.compile(r"\b(?:not|never|no|nobody|without|if|whether|unless|yet to|have to)\b|n['’]t\b", re.IGNORECASE)
_UNKNOWN = re.compile(
    r"\s*(?:still |yet )?(?:not|never|n['’]t|unknown|unclear|in doubt|to be|hard to)\b", re.IGNORECASE
)
_CLAUSE = re.compile(r"[,;:.!?–—]\s|\b(?:and|but|so|because|since|then|that)\b", re.IGNORECASE)
_UNFIXED = re.compile(
    r"(?:\b(?:not|never|nobody|cannot|hardly)\b|n['’]t\b)(?! need)[^.;\n]{0,40}?\b(?:fixed|solved|resolved)\b|"
    r"\b(?:cannot|can['’]t|could(?: not|n['’]t)|did(?: not|n['’]t)|unable to) (?:fix|solve|resolve)\b|"
    r"\bun(?:resolved|solved|fixed)\b|\bthe (?:problem|issue|bug) is that\b|\b(?:to|must|should|needs to) be fixed\b",
    re.IGNORECASE,
)
_BROKEN = re.compile(
    r"\b(?:(?:does|do|did)(?:n['’]t| not) work|(?:is|are) broken|crash(?:es|ed)?|fail(?:s|ed|"
    r"ing)? (?:with|because|when|to)|"
    r"[A-Z]\w*(?:Error|Exception)\b|regression|times? out)",
)
_LEARNED = re.compile(
    r"\b(?:i (?:found|noticed|learned|discovered|see) (?:that|out)|it turns out|note that|"
    r"remember that|keep in mind|turned out (?:that|to)|the (?:bug|problem|issue) is|"
    r"apparently|discovered that|learned that)\b",
    re.IGNORECASE,
)
_TOOLS = (
    r"(?:the )?`?(?:grep|rg|sed|awk|find|curl|git|bash|jq|cat|ls|read|edit|glob|write|task|websearch|webfetch|shell|"
    r"terminal|search)\b"
)
_NARRATES = re.compile(
    r"(?:(?:ok(?:ay)?|alright|now|first|next|then|great|good|perfect|sure|right|so|and|well)[,.!:\s–-]+)*"
    r"(?:(?:i|we)(?:['’]ll| will| am going to|['’]m going to|['’]re going to)|let me|let['’]s|"
    r"(?:i need|i want|i['’]d like|i would like) to(?=[^\n]{0,160}\b(?:first|now|next)\b))\s+"
    r"(?:(?:now|first|then|next|also|just|quickly|start by|begin by)\s+)*"
    rf"(?:use {_TOOLS}|(?:keep|continue) (?:\w+ing|on)\b|continue\b|"
    r"look(?:ing)? (?:at|for|into|in|up|through|around|closer)\b|"
    r"check(?:ing)? (?!in\b|out\b)|search(?:ing)?\b|grep|"
    r"find(?:ing)? (?:the|out|where|who|what|why|how|all|every|its)\b|"
    r"read(?:ing)? (?:the|it|this|that|all|every|its|through|`|\S+\.\w)|see (?:what|why|how|if|whether|where|which)\b|"
    r"(?:inspect|explore|examine|investigat|verify|scan|locat|trac|debug)(?:e|ing)?\b|figure out\b|"
    r"(?:take|have) a (?:closer |quick )?look|run(?:ning)? (?:the|it|this|that|all|both)\b)",
    re.IGNORECASE,
)
"""How an assistant says what it does next."""


def decides(line: str) -> bool:
    if _PENDING.search(line):
        return False
    return any(
        not _is_next_step(line, found) and not _is_denied(line, found, _REFUSES) for found in _DECIDED.finditer(line)
    )


def _is_next_step(line: str, decided: re.Match[str]) -> bool:
    step = _STEP.search(line, decided.start(), decided.end() + 240)
    return step is not None and step.start() < decided.end()


def prefers(line: str) -> bool:
    return any(not _INTENDS.search(line, found.start(), found.end() + 8) for found in _PREFERS.finditer(line))


def mends(line: str) -> bool:
    if line.endswith(("?", "？")):
        return False
    return any(
        not _is_denied(line, found, _DENIES) and not _UNKNOWN.match(line, found.end())
        for found in _FIXED.finditer(line)
    )


def breaks(line: str) -> bool:
    return _BROKEN.search(line) is not None or (not line.endswith(("?", "？")) and _UNFIXED.search(line) is not None)


def teaches(line: str) -> bool:
    return _LEARNED.search(line) is not None


def _is_denied(line: str, said: re.Match[str], by: re.Pattern[str]) -> bool:
    """Whether something before it in its clause says that it is not so."""
    before = line[max(0, said.start() - 80) : said.start()]
    return by.search(_CLAUSE.split(before)[-1]) is not None


def narrates(line: str) -> bool:
    return _NARRATES.match(line) is not None
