"""What somebody wants to be so always: told from what they want now, and from what a thing always does."""

from __future__ import annotations

import re

NO_VERB = (
    r"(?:mind|again|ever|been|seen|had|heard|got|gone|done|was|were|is|are|has|have|happens?|works|too|to|a|an|the|"
    r"there|this|that|so|as|at|in|on|up|great|good|nice|fun|happy|glad|welcome|better|more|less|my|your|his|her|our|"
    r"not|only|just|knew|thought|saw|felt|found|wanted|one|something|someone|nothing|for|from|by|with|if|when|"
    r"loved|liked|nearly|almost|\w+ly|(?!embed|need|feed|seed|speed|shed|shred|proceed|exceed)\w+ed|\w+ing)\b"
)
"""No order begins so behind "always" and "never"."""
_RULE = (
    r"(?:always|never|please (?:always|never|do not|don['’]t)) (?:use|write|run|add|commit|push|put|name|call|ask|do|"
    r"make|include|change|touch|create|mock|deploy|go|merge|release|ship|delete|remove|edit|install|start|stop|send|"
    r"set|keep|leave|test|check|review|read|open|close|format|lint|document|log|store|save|rebase|force|skip|disable|"
    r"enable|rename|return|throw|catch|import|export|pin|tag|sign|wrap|escape|quote|validate|share|print|expose|"
    r"hard-?code|update|upgrade|follow|prefer|avoid|explain|answer|reply|work|build|back|rely|trust|assume|bypass)"
)
_STANDING = re.compile(
    r"\b(?:i|we)(?:['’]d like| want| need| would like) to (?:approve|review|confirm|sign off|be asked(?: about)?|check|"
    r"see|decide(?: on)?) (?:all|every|each|any)\b|"
    r"\b(?:i|we)(?:['’]d like| want| need| would like) to (?:be )?(?:ap{1,2}r(?!e)[a-z]{2,5}ing|aprove|review+ing|"
    r"confirming|checking|signing off(?: on)?|asked(?: about| before)?|told(?: about| before)?|"
    r"consulted(?: before| on)?)"
    r" (?:all|every|each|any)\b|"
    r"^(?:(?:no|yes|ok(?:ay)?|please|and|but|so|also|well|hey|stop)\b[\s,:;.!–-]{1,4}){0,3}"
    r"(?:(?:check with|ask|consult|tell|show) me (?:first )?(?:before (?:you\b|every|each|any|\w{2,20}ing\b)|"
    r"every time|each time)|(?:do not|don['’]?t) (?:[\w-]{1,20} ){1,6}without (?:asking|checking with|telling|"
    r"consulting|my (?:approval|ok(?:ay)?|consent|permission|confirmation|review))\b)|"
    r"\bno (?:[\w-]{1,20} ){1,4}without my (?:approval|ok(?:ay)?|consent|permission|confirmation|review)\b|"
    r"\b(?:we|you)(?:['’]re| are) (?:supposed to be )?practi[cs]ing "
    r"(?:(?-i:[A-Z]{2,6})\b|outside-in|test-(?:first|driven)|"
    r"trunk-based|pair programming|continuous \w{2,20}|extreme programming|domain-driven)|"
    r"\b(?:we|you) (?:sh[a-z]{3,5}|must|need to|have to|always) (?:be )?(?:go(?:ing)?|work(?:ing)?|proceed(?:ing)?|"
    r"develop(?:ing)?) (?:outside-in|inside-out|top-down|bottom-up|test-first|test-driven|step by step|in small steps|"
    r"one \w{2,20} at a time)\b|"
    r"\bi (?:want|['’]d like|would like) (?:us|you) to (?:[^.\n]{1,80}? (?:at a time|each time|every time|whenever|"
    r"from now on|as we go|step by step|in small steps)\b|(?:always|never|only)\b)|"
    r"\bwe (?:practi[cs]e|follow|adhere to|stick to) (?!(?:the|that|this|your|up|him|her|them|it|for|with|piano|"
    r"yoga|every|each|on)\b)[\w-]{2,30}|"
    r"\b(?:practi[cs]e|follow|use) (?:strict )?(?:[AB]?TDD|BDD|DDD|SDD|test-driven|trunk-based|conventional commits)\b",
    re.IGNORECASE,
)
"""How somebody wants to work, from now on."""
_OPENING = r"^(?:(?:no|yes|ok(?:ay)?|please|and|but|so|remember|also|well|hey|stop)\b[\s,:;.!–-]*)*"
_ALWAYS_ELSEWHERE = (
    r"^(?:bitte,? |und |aber |also |nein,? )*(?:"
    r"(?:immer|nie(?:mals)?) (?!(?:noch|wenn|wieder|mehr|dann|zuvor|hat|haben|ist|sind|war|waren|wird|werden|wurden?|"
    r"kann|können|muss|müssen)\b)(?:[^\s.,;!?]{1,40} ){0,10}?(?!ge(?!ben\b|hen\b))(?-i:[a-zäöüß]{2,30})(?:en|ern|eln)"
    r"(?=[.,;!]|$)"
    r"|(?:verwende|nutze|benutze|schreibe?|nimm|mache?|pushe|committe|teste|frage?|lasse?|formatiere|prüfe|antworte)n? "
    r"(?:\w{1,30} ){0,3}(?:immer|nie(?:mals)?)\b)"
    r"|^(?:s['’]il (?:te|vous) pla[iî]t,? |merci de |veuillez )?(?:n(?:e |['’])\w{2,20}(?:-\w{2,6})? jamais\b|"
    r"(?:toujours|ne jamais) (?!(?:entre|autre|encore|pire|notre|votre)\b)\w{1,20}(?:er|ir|re)\b|"
    r"(?:utilise|écris|écrive|fais|ajoute|demande|lance|teste|garde|mets|mette|réponds|réponde)z? (?:\w{1,20} ){0,2}"
    r"toujours\b)"
    r"|^(?:por favor,? )?(?:(?:nunca|jamás) (?!(?:antes|es|has|más)\b)\w{2,20}(?:[aei]r|[ae]s)\b|"
    r"siempre (?:\w{2,20}[aei]r|us[ae]|escrib[ea]|haz|haga|ejecut[ae]|pregunt[ae]|pon|ponga|respond[ea]|añad[ea]|"
    r"prueb[ae]|utili[zc][ae]|documenta|valida|revisa)\b|"
    r"(?:usa|escribe|haz|ejecuta|pregunta|pon|responde|añade|utiliza) siempre\b)"
)
_PREFERS = re.compile(
    r"\b(?:i|we|he|she|they|user|client|customer)(?:['’]d| would)? (?:really |much |always |usually |do not |don['’]t |"
    r"strongly )*(?:prefer|like|love|hate|dislike|enjoy|favou?r|can['’]t stand|want you to)s?\b|\bmy favou?rite\b|"
    rf"\b{_RULE}\b|{_OPENING}(?:always|never) (?!{NO_VERB})[a-z]|"
    rf"{_ALWAYS_ELSEWHERE}|"
    r"\bprefers? \w+|\bich bevorzuge|\bje préfère|\bprefiero|偏好|喜欢|好き",
    re.IGNORECASE,
)
_INTENDS = re.compile(
    r"(?:['’]d| would) (?:really |much )*(?:like|love|hate) (?:to|for|you to)\b|(?:['’]d| would) like\s?[.,;!)]",
    re.IGNORECASE,
)
"""What somebody would like to do next is no preference."""
_ONCE = re.compile(
    r"(?<!n['’]t )(?<!not )\bwant you to\b(?![^.\n]{0,160}\b(?:always|never|only|every|each|whenever|from now on|"
    r"in (?:the )?future|going forward|any ?time|before you|without|stop \w+ing|as we go|instead of|rather than|"
    r"be (?:brief|short|concise|careful|strict|honest|critical))\b)|"
    r"\bwant you to\b[^.\n]{0,160}\b(?:at this time|right now|now|yet|today|for now|at the moment|this time)\b|"
    r"(?:['’]d| would) (?:like|love) you (?:\w{1,12} )to\b",
    re.IGNORECASE,
)
"""It is to be done now."""
_HAPPENS = re.compile(
    r"\b(?:(?:it|which|that|this)(?:['’]ll| will| would| can| could| may| might)?|(?:will|would|can|could|may|"
    r"might)(?: then| also| still)?)(?: almost| nearly| practically| virtually)? $|\b(?:almost|nearly|practically|"
    r"virtually) $",
    re.IGNORECASE,
)
"""Before "always": what a thing does is nobody's wish."""


_REACTS = re.compile(
    r"\b(?:i|we) (?:really |also |do |quite |still )*(?:like|love|prefer|dislike|hate) (?:how|where|what|this|that|"
    r"these|those|"
    r"both|it(?! when)|your|the (?:idea|look|sound|direction|way|approach|design|name|new|first|second|third|last|"
    r"latter|"
    r"former|result|outcome)s?|(?:option |number |approach |#)?(?:\d{1,2}|[a-c])(?: (?:or|and) (?:\d{1,2}|"
    r"[a-c]))?(?=\W|$))\b",
    re.IGNORECASE,
)
"""To what is before them: it holds for that alone."""
_HATES = re.compile(
    r"\b(?:i|we) (?:really |also |do |just )*(?:dislike|hate) (?:how|that|it|when|what)\b", re.IGNORECASE
)
"""It is not to be so again."""
_RULES_NEXT = re.compile(
    rf"{_OPENING}(?:(?:next time|in (?:the )?future|whenever|every time|each time|any ?time|when(?:ever)? i|if i) "
    r"(?:(?!you should have)[^.,;\n]){0,120},|(?:next time|in (?:the )?future|from now on|going forward),?) "
    r"(?:(?:please|just|then|you (?:should|must|need to|have to)|make sure (?:to|you)) )*"
    r"(?:do|don['’]?t|never|always|use|ask|run|check|make|tell|read|show|stop|wait|think|write|keep|avoid|try|follow|"
    r"verify|say|give|look|commit|test|explain|answer|remember|start|put|add|leave|be)\b",
    re.IGNORECASE,
)
"""What somebody tells to be done each time."""


def reacts(line: str) -> bool:
    """It likes what is at hand, and asks for nothing."""
    return _REACTS.search(line) is not None and not _HATES.search(line)


def rules(line: str) -> bool:
    """Of a person who speaks to an agent: it is to be so from now on."""
    return _RULES_NEXT.match(line) is not None and not line.rstrip().endswith("?")


def prefers(line: str) -> bool:
    return _STANDING.search(line) is not None or any(
        not _INTENDS.search(line, found.start(), found.end() + 8)
        and not _ONCE.search(line, found.start(), found.end() + 200)
        and not _HAPPENS.search(line, max(0, found.start() - 60), found.start())
        for found in _PREFERS.finditer(line)
    )
