"""What sort of statement a sentence makes: a decision, a preference, a fix, an error, something learned, a next step.

What is denied, wished for or still to be done is not taken for what was done.
"""

from __future__ import annotations

import re

from muster.domain.rules import tongues
from muster.domain.rules.wishes import NO_VERB, prefers

__all__ = ["prefers"]

QUESTION_MARKS = ("?", "？", "؟")

_BODIES = (
    r"(?:assembly|board|council|committee|meeting|members|shareholders|parliament|congress|senate|synod|parish|union|"
    r"association|club|general meeting)"
)
_DECIDED = re.compile(
    r"\b(?:(?:we|i|they|team)(?:['’]ve| have| had|['’]ll)? (?:all )?(?:decided|agreed|chose|chosen|"
    r"settled on|opted|picked|"
    r"are going with|['’]re going with|went with|will go with|going with|will stick with|will (?:use|"
    r"switch|move|migrate|keep|drop))|"
    r"(?:decision|decided|agreed|resolution)\s*(?:is to|was to|on|to|that|against)|"
    r"(?:we|i)['’]ll (?:go|stick) with(?! (?:my|you|him|her|them|us|me)\b)|let['’]s (?:go with|use|stick with|drop)|"
    r"instead of using|(?:chose|chosen|choose|"
    r"picked) [^.\n]{1,80}? (?:over|instead of)|"
    r"going forward,? (?:we|i)|from now on|rather than [^.\n]{1,60}?because|must never)\b"
    rf"|\bwe (?:never|always)\b(?! (?:{NO_VERB}|(?:made|chose|came|went|took|could|would|did|wrote|met|kept|told)\b))"
    rf"|^\W{{0,4}}(?:be it )?resolved[:,]? (?:that (?!issue|bug|problem)|the (?:\w{{1,20}} ){{0,2}}?{_BODIES}\b)"
    rf"|\b(?:it was|be it|hereby|{_BODIES})(?: has| have)? resolved (?:that|to)\b"
    r"|(?:wir haben|haben uns|ich habe) [^.\n]{0,60}?(?:entschieden|beschlossen)|nous avons (?:décidé|choisi)|"
    r"(?:hemos|se ha) (?:decidido|elegido)|abbiamo deciso|decidimos|"
    r"(?:我们?|我們|咱们|大家|团队|團隊|已经?|已經|最终|最終|会议|會議|双方|雙方|一致|后来|"
    r"後來)[^，。、\n]{0,8}[决決]定(?!性|因素|于|於)|"
    r"(?:^|[，。；：:;,!！\s])[决決]定(?!性|因素|于|於|的|論|木|権|权)|"
    r"(?:設計|设计|架构|架構|技术|技術)[决決](?:定|策)(?:是|為|为|[:：])|"
    r"決定(?:しました|した(?!ら|場合|とき|時|い)|済み|事項)|決めました|選びました|"
    r"(?<!なかった)ことにし(?:ました(?!か|ら)|た(?!ら|い|場合|とき|時|ところ|か))|ことに決め|ことで合意し|"
    r"결정(?:했(?!다면|으면)|하였|(?:을|이|은)? ?(?:내렸|내려졌)|(?:이 )?(?:되었|됐)|사항)|"
    r"решили|решено",
    re.IGNORECASE,
)
_STEP = re.compile(
    r"\b(?:will|let['’]s) (?:(?:keep|move) (?:on\b|going\b|\w+ing\b)|(?:use|switch|move|keep|drop)\b[^.\n]{0,200}?"
    r"(?:\b(?:now(?! on)|first|next(?! \w)|quickly)\b|"
    r"\bto (?:find|check|see|look|search|read|verify|inspect|explore|understand|investigate|locate|debug|view|"
    r"change the file|edit|list|get|fetch|run|try|print|query|count|compare|"
    r"determine|identify|confirm)\b|\bas before\b)|"
    r"use (?:the )?`?(?:grep|rg|sed|awk|find|curl|git|bash|jq|cat|ls|read|edit|glob|write|task|websearch|webfetch)\b)",
    re.IGNORECASE,
)
"""What somebody does next is no decision."""
_DESCRIBES = re.compile(
    r"(?:\b(?:is|are|was|were|be|as|makes?)|['’]s) (?:an?|the|another|one) (?:[\w-]{1,20} ){0,3}$", re.IGNORECASE
)
"""Before "decision that": what follows says of what sort it is."""
_REWORDS = re.compile(
    r"^(?!.{0,200}\b(?:we|i)\b).{0,200}\b(?:modified|changed|updated|fixed|added|replaced|rewrote|refactored|"
    r"adjusted|corrected|switched|improved|simplified)\b",
    re.IGNORECASE,
)
"""Before "instead of using", in a list of what was changed: it tells of that."""
_PENDING = re.compile(
    r"\b(?:undecided|decision\b[^.\n]{0,80}? (?:pending|open|outstanding|postponed|deferred|yet to)\b|"
    r"(?:decided|agreed|settled)(?: on)? nothing\b|(?:nichts?|noch keine?[nrs]?) (?:\w{1,20} ){0,2}(?:entschieden|"
    r"beschlossen)\b)|(?:没有?|尚?未)决定|결정(?:하지|되지|하려|할|해야|이 (?:안|필요)|을 (?:못|내리지|기다))|"
    r"아직 [^.\n]{0,40}결정",
    re.IGNORECASE,
)
_FIXED = re.compile(
    r"(?<!\ba )(?<!\ban )(?<!\bthe )(?<!\bonly )(?<![-/_.])\bfixed\b(?![-/_.]\w|\s?[;=(]|[\"'],)"
    r"(?![ -](?:size|width|height|price|rate|number|length|point|amount|cost|"
    r"set|position|order|limit|window|interval)\b)"
    r"(?! (?:costs|prices|rates|fees?|expenses|assets?|incomes?|salar(?:y|ies)|charges|terms?|deposits?|stars?|ideas?|"
    r"gear|budgets?|capital|gaze|eyes)\b| up with\b| (?:to|on) the (?:wall|floor|ceiling|ground|door)\b)|"
    r"\broot cause\b(?! (?:analys[ei]s|workshop|training|template|meeting|review|report)\b)"
    r"[^.\n]{0,80}? (?:was|is|were)\b|\b(?:the )?(?:bug|problem|issue) was\b|\bthe cause (?:was|is)\b|"
    r"\b(?:errors?|bugs?|issues?|problems?|typos?|crash|failures?|leaks?|warnings?) (?:has|have) (?:now )?been "
    r"(?:corrected|repaired|addressed|eliminated|removed)\b|"
    r"(?<![-/_.])\b(?:resolved|solved)\b(?![-/_.]\w|\s?[=(]|[\"'],| (?:mistakes?|paths?|urls?|values?|names?|"
    r"versions?|modules?|promises?|address(?:es)?|refs?|references?|imports?|types?|config\w*)\b)|\bthe fix (?:is|"
    r"was)\b|"
    r"\bno longer (?:occur|happen|crash|fail|hang|throw|rais|block|leak|break|appear|show|loop|flicker|deadlock|freez|"
    r"stall|"
    r"time[sd]? out)(?:e?[sd]?|ing)\b|\b(?:error|exception|crash|bug|problem|issue|warning|leak)(?:e?s)? (?:is|are) "
    r"(?:now )?gone\b"
    r"|原因は|根本原因|修复了|ursache war|behoben",
    re.IGNORECASE,
)
_DENIES = re.compile(
    r"\b(?:not|never|no|nobody|none|nothing|cannot|without|hardly|unable|if|whether|unless|until|once|when|needs?|"
    r"must|should|can|could|may|might|will|would|to be|being|be|remains?|want|try|trying|tried|failed|"
    r"nicht|nie|niemals|kein\w{0,2}|wenn|falls|ob|sobald|muss|müssen|soll(?:te)?n?|kann|können|könnte)\b|"
    r"n['’]t\b|(?:没有?|尚?未|无法|未能)[^，。；\s]{0,2}$",
    re.IGNORECASE,
)
"""Before a word in the same clause: it is not so, or not yet."""
_REFUSES = re.compile(r"\b(?:not|never|no|nobody|without|if|whether|unless|yet to|have to)\b|n['’]t\b", re.IGNORECASE)
_UNKNOWN = re.compile(
    r"\s*(?:still |yet )?(?:not|never|n['’]t|unknown|unclear|in doubt|to be|hard to)\b", re.IGNORECASE
)
_CLAUSE = re.compile(r"[,;:.!?–—]\s|\b(?:and|but|so|because|since|then|that|und|aber|weil)\b", re.IGNORECASE)
_WHY = re.compile(r"\b(?:why|what makes)\b")
_UNFIXED = re.compile(
    r"(?:\b(?:not|never|nobody|cannot|hardly)\b|n['’]t\b)(?! need|"
    r" any\b[^.;\n]{0,40}\bbeing\b)[^.;\n]{0,40}?\b(?:fixed|solved|"
    r"resolved)\b|"
    r"\b(?:cannot|can['’]t|could(?: not|n['’]t)|did(?: not|n['’]t)|unable to) (?:fix|solve|resolve)\b|"
    r"\bun(?:resolved|solved|fixed)\b|\bthe (?:problem|issue|bug) is that\b|\b(?:to|must|should|needs to) be fixed\b|"
    r"\b(?:nicht|nie)\b(?! nur)[^.,;\n]{0,40}?\b(?:behoben|gelöst|repariert)\b|"
    r"(?:没有?|尚未|未能?|无法)(?:完全|彻底)?(?:修复|解决)",
    re.IGNORECASE,
)
_EXPECTED = re.compile(r"should be fixed", re.IGNORECASE)
_HOPED = re.compile(
    r"(?:so |and )?(?:the|this|that|both|all) (?:[\w`.'-]{1,40} ){1,6}should be fixed[.!]?", re.IGNORECASE
)
_AS_EXPECTED = re.compile(
    r"\b(?:succeeded|was successful|applied|in place|looks like|seems|appears|updated|edited|changed|patched|deployed|"
    r"added|removed|replaced|corrected|after (?:this|that|the)|with (?:this|that|these|the)|by (?:this|that|now))\b"
    r"[^.;\n]{0,120}?\bshould be fixed\b|\bshould be fixed (?:now|by (?:this|that|now)\b|"
    r"with (?:this|that|the|my)|after (?:this|that|the)|in (?:this|the) (?:commit|change|version|release))\b",
    re.IGNORECASE,
)
_IT = (
    r"(?:it|this|they|(?:the|that) (?:same )?(?:\w{1,20} )?"
    r"(?:bug|error|problem|issue|crash|failure|leak|exception|deadlock|race)s?)"
)
_COMES_BACK = re.compile(
    rf"\b(?:but|yet|though|although|however|and),? {_IT} (?:(?:has|have|then|now|soon|sometimes|later|just|also) )*"
    r"(?:still (?:happens?|occurs?|fails?|crash(?:es)?|appears?|exists?|persists?|hangs?|leaks?|there\b|present\b|"
    r"open\b)"
    r"|(?:happen|occur|appear|fail|crash)(?:s|es|ed|red)? again\b|reappear(?:s|ed)\b|persists?\b)"
    rf"|\b(?:but|yet|though|although|however),? {_IT} (?:(?:has|have|then|now|soon|sometimes|later|just) )*"
    r"(?:came|comes?|is|are|was|were) back\b"
    r"|\b(?:but|and|then|until) \S{1,40} (?:broke|breaks) (?:it|this|that|them) again\b"
    r"|\b(?:tritt|treten|trat|kommt|kam|passiert|stürzt|besteht) (?:(?:er|sie|es|aber|doch|jedoch|dann|leider|immer) )*"
    r"(?:wieder|weiterhin|erneut|noch|trotzdem)\b",
    re.IGNORECASE,
)
"""After what is called fixed: it was not, or not for long."""
_BELIEVED = re.compile(
    r"\b(?:claim(?:s|ed)? (?:that|to)|allegedly|supposedly|(?:I|we|he|she|they) (?:thought|believed|assumed|hoped))\b"
    r"[^,.;:!?]{0,60}$",
    re.IGNORECASE,
)
_TO_SEE = re.compile(
    r"(?<!able )\bto (?:ensure|verify|check|confirm|make sure|see|test|validate)\b[^.;\n]{0,100}$", re.IGNORECASE
)
"""Nobody has seen it yet."""
_DONE_ONLY = re.compile(
    r"(?:(?:ok(?:ay)?|now|great|yes|and)[,.!\s]+)*"
    r"(?:(?:it|that|this|all|both|everything|they|the (?:bug|problem|issue|error))"
    r"(?:['’]s|['’]re| is| are| was| has been| have been| should be)?\s+|should be )?(?:(?:now|all|finally|also|"
    r"already) )?"
    r"(?:fixed|solved|resolved|sorted(?: out)?|mended|repaired|corrected|patched|work(?:s|ing)(?: now| again| fine)|"
    r"(?:es |das )?(?:ist )?(?:jetzt |nun )?(?:behoben|gelöst|repariert|korrigiert)|"
    r"(?:es )?(?:funktioniert|läuft|geht)(?: jetzt| wieder)+|"
    r"(?:c['’]est )?(?:corrigé|réglé|résolu)|(?:ça )?(?:re)?marche(?: maintenant)?|(?:ya )?(?:está )?(?:arreglado|"
    r"resuelto|"
    r"solucionado|corregido)|ya funciona|risolto|corretto|corrigido|resolvido|opgelost|исправлено|починил|"
    r"修复了|已修复|修好了|解决了|已解决|直りました|直しました|修正しました|修正済み(?:です)?|解決しました|고쳤습니다|"
    r"수정했습니다|해결했습니다)"
    r"(?: (?:it|that|this|now|again|both|them|all|jetzt|wieder))*[\s.!。！:✅👍]*",
    re.IGNORECASE,
)
_NAME = r"(?P<{}>[`'\"“]?\b(?:\w{{1,40}}\.){{0,3}}[A-Z]\w{{0,80}}(?:Error|Exception)s?\b[`'\"”]?)"
_ENDS = (
    r"(?:fail(?:s|ed|ing)?|crash(?:es|ed|ing)?|die[sd]|dying|exit(?:s|ed|ing)?|end(?:s|ed|ing)?(?: up)?|stop(?:s|ped)|"
    r"abort(?:s|ed)?|break(?:s|ing)?|broke|blows up|blew up|results?|resulted) (?:[\w'’-]{1,30} ){0,3}"
    r"(?:with|in|on|by|from|due to|because of) (?:an? |the )?"
)
_MEETS = (
    r"(?:get(?:s|ting)?|got|sees?|seeing|saw|hit(?:s|ting)?|receiv(?:es?|ed|ing)|encounter(?:s|ed|ing)?|r[au]ns? into|"
    r"running into|gives?|gave|caus(?:es?|ed|ing)|produces?|shows?|yields?|reports?|there(?:['’]s| is| are| was| were)|"
    r"keeps?|still|because of|due to|uncaught|unhandled|Uncaught|Unhandled) (?:[\w'’-]{1,30} ){0,2}"
)
_NO_NOUN = "".join(f"(?<!\\b{word} )" for word in ("the", "The", "a", "A", "this", "This", "that", "any", "each", "no"))
_NO_ACCIDENT = "".join(
    f"(?<!\\b{word} )" for word in ("snow", "Snow", "market", "car", "plane", "train", "bus", "bike", "crypto", "stock")
)
"""What crashes where no program does."""
_ACCIDENTS = (
    r"(?:Key|Type|Attribute|Name|Index|Reference|Null(?:Pointer|Reference)|ZeroDivision|UnboundLocal|Recursion|Import|"
    r"ModuleNotFound|ClassCast|NoSuch\w{1,20}|(?:Array)?IndexOutOf\w{1,20}|StackOverflow|OutOfMemory|Memory|"
    r"Operational|"
    r"Unicode\w{0,20}|ConcurrentModification|Syntax|Indentation)(?:Error|Exception)"
)
_BROKEN = re.compile(
    r"\b(?:(?:does|do|did)(?:n['’]t| not) work|(?:is|are) broken|"
    rf"{_ENDS}{_NAME.format('ended')}|"
    rf"{_NO_NOUN}{_NO_ACCIDENT}crash(?:es|ed)?|there(?:['’]s| is| are) (?:\w{{1,12}} ){{0,2}}crash(?:es)?|"
    rf"crash(?:es)? (?:is|"
    rf"are) back|fail(?:s|ed|ing)? (?:with|because|when|to)|"
    rf"{_MEETS}{_NAME.format('met')}|(?<!now )(?<!will )(?:rais|thr[oe]w)(?:es|s|ed|)? (?:an? |"
    rf"the )?[`'\"]?{_ACCIDENTS}\b|"
    rf"throws (?:an? |the )?{_NAME.format('thrown')}(?! (?:for|on|if|unless)\b)|"
    r"regression(?! (?:tests?|suite|testing)\b)|times? out)"
    rf"|{_NAME.format('named')}(?:: \S|,? (?:(?:still|now|again|also|often|sometimes|only|just|suddenly) )?"
    r"(?:occurs?|happens?|appears?|shows? up|comes? (?:up|back|from)|persists?|remains?|is back|pops? up|prevents?|"
    r"blocks?|breaks?|kills?|(?:is|was|are|were|gets?) (?:raised|thrown|logged) (?:in|at|from|during|when|while|"
    r"since))\b)"
    rf"|^\W{{0,4}}(?:(?:[Aa]n?|[Tt]he|[Ss]ome|[Mm]any|[Rr]andom|[Ii]ntermittent|[Ss]poradic|[Aa]nother)\s)?"
    rf"{_NAME.format('alone')}(?=\s(?:in|at|on|during|while|since|after|when|with|every|again|because|from)\b|"
    rf"\W{{0,4}}$)"
)
"""What is said of what does not work. An error that is only named may be one that is handled."""
_NOT_SO = re.compile(
    r"(?:\b(?:not|never|nobody|nothing|hardly|cannot|no longer|without)|n['’]t)\s(?:\S{1,30}\s){0,3}$|"
    r"\bno (?:more |longer |such )?(?:\S{1,30} )?$|"
    r"\b(?:used to|would|should|must|could|can|may|might|will|to be|instead of|rather than|previously|formerly|"
    r"originally|intentionally|deliberately|whether|either)\b|"
    r"\b(?:if|when|whenever|once|unless|until|in case|before|should) "
    r"(?:(?:the|an?|any|each|every|this|that|its|your|our) (?:\S{1,30} ){1,2}|(?:it|one|they|\S{1,30}) )$",
    re.IGNORECASE,
)
"""Before what fails, near to it: it does not, or not in earnest."""
_TESTED = re.compile(
    r"\b(?:(?:tests?|tested|testing|checks?|checked|asserts?|verif(?:y|ies|ied)|ensures?|expects?|expected|documents?|"
    r"documented|explains?) (?:that|whether|how|for|what|when|the case)|mak(?:e|es|ing) sure|made sure|"
    r"(?:changed|made|configured|adapted|rewrote) (?:[^,;:.]{1,40} )?so)\b[^,;:.]{0,60}$",
    re.IGNORECASE,
)
_HANDLED = re.compile(
    r"\b(?:handle[sd]?|handling|catch(?:es|ing)?|caught|swallow(?:s|ed|ing)?|ignor(?:es?|ed|ing)|suppress(?:es|ed|"
    r"ing)?|"
    r"retr(?:y|ies|ied|ying) (?:on|after|for)|cover(?:s|ed|ing)?|expect(?:s|ed|ing)?|test(?:s|ed|ing)? for|"
    r"add(?:s|ed|ing)?|introduc(?:es?|ed|ing)|renam(?:es?|ed|ing)|remov(?:es?|ed|ing)|replac(?:es?|ed|ing)|"
    r"defin(?:es?|ed|ing)|creat(?:es?|ed|ing)|custom|new|called|named|subclass(?:es)?|extend(?:s|ed|ing)?|inherits?|"
    r"convert(?:s|ed|ing)?|turn(?:s|ed|ing)?|map(?:s|ped|ping)|wrap(?:s|ped|ping)?|translat(?:es?|ed|ing)|return(?:s|"
    r"ed)?|"
    r"document(?:s|ed|ing)?|reject(?:s|ed|ing)?|refus(?:es?|ed|ing)|fix(?:es|ed|ing)?|prevent(?:s|ed|ing)?|"
    r"avoid(?:s|ed|ing)?|get(?:s|ting)? rid of|simulat(?:es?|ed|ing)|rais(?:es?|ed|ing)|now throws?|use[sd]?|"
    r"mentions?)\b",
    re.IGNORECASE,
)
_WANTED = re.compile(
    r"[^.;]{0,60}?\b(?:by design|on purpose|intentional(?:ly)?|deliberate(?:ly)?|as (?:intended|expected|designed|"
    r"documented|wanted)|(?:is|are|was|were) (?:\w{1,20} )?(?:expected|intended|handled|caught|gone|fixed|solved|"
    r"resolved|"
    r"ignored|retried|wanted)|no longer|(?:before|until) (?:the|this|that|my) (?:fix|change|patch)|in the past)\b"
)
"""After what fails: it is meant to, or did."""
_ONLY_IF = re.compile(r"[^.;\n]{0,60}\b(?:unless|except)\b", re.IGNORECASE)
"""After what does not work: where it does. That is how it is."""
_FAILS_TO = re.compile(r"fail(?:s|ed|ing)? to", re.IGNORECASE)
_OF_PEOPLE = re.compile(
    rf"\b(?:{_BODIES}|talks|negotiations?|negotiators|government|part(?:y|ies)|jury|summit|conference|debate|coalition|"
    r"ministers?|ministry|referendum|candidates?|opposition|voters|striker|mayor|landlord)\s(?:\S{1,30}\s){0,3}$",
    re.IGNORECASE,
)
_OF_ONESELF = re.compile(r"\b(?:i|you) (?:\w{1,12} )?$", re.IGNORECASE)
_AGREES = re.compile(
    r"\s(?:(?:reach|produce|come to|find|make) (?:an? |any )?(?:\w{1,20} )?"
    r"(?:decision|agreement|deal|compromise|consensus|quorum)|"
    r"agree|decide|elect|convince|persuade|impress|show up|turn up|attend)\b",
    re.IGNORECASE,
)
"""What people fail to do is no fault of a program's."""
_WAS = re.compile(r"\b(?:crashed|failed|did|got|saw|threw|gave|ran|broke|blew|died|received|caused)\b")
_LEARNED = re.compile(
    r"\broot cause (?:is|was)\b(?! (?:still |yet |not )*(?:unknown|unclear|known|open|to be)\b)|"
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
        not _is_next_step(line, found)
        and not _is_denied(line, found, _REFUSES)
        and not _only_tells(line, found)
        and not tongues.is_of_a_problem(line, found)
        for found in _DECIDED.finditer(line)
    ) or tongues.decides(line)


def _only_tells(line: str, decided: re.Match[str]) -> bool:
    """Of a decision that somebody has to take, or of a change that was made."""
    before = line[max(0, decided.start() - 240) : decided.start()]
    match decided.group().lower().split():
        case ["decision", "that"]:
            return _DESCRIBES.search(before[-100:]) is not None
        case ["instead", "of", "using"]:
            return _REWORDS.match(before) is not None
    return False


def _is_next_step(line: str, decided: re.Match[str]) -> bool:
    step = _STEP.search(line, decided.start(), decided.end() + 240)
    return step is not None and step.start() < decided.end()


def mends(line: str) -> bool:
    if line.endswith(QUESTION_MARKS):
        return False
    return tongues.mends(line) or (
        any(
            not _is_denied(line, found, _DENIES)
            and not _UNKNOWN.match(line, found.end())
            and not _TO_SEE.search(line, max(0, found.start() - 120), found.start())
            and not _BELIEVED.search(line, max(0, found.start() - 80), found.start())
            for found in _FIXED.finditer(line)
        )
        and not _comes_back(line)
    )


def _comes_back(line: str) -> bool:
    fixed = _FIXED.search(line)
    return fixed is not None and _COMES_BACK.search(line, fixed.end()) is not None


def breaks(line: str, *, past: bool = True, hopes: bool = False) -> bool:
    """`past`: what only was so before counts, too. `hopes`: who mended it says that it should be fixed."""
    hoped = hopes and _HOPED.fullmatch(line[:120]) is not None
    if not line.endswith(QUESTION_MARKS) and not hoped and (_is_unfixed(line) or _comes_back(line)):
        return True
    return tongues.breaks(line) or any(
        (past or not _WAS.search(found.group())) and _is_so(line, found) for found in _BROKEN.finditer(line)
    )


def _is_unfixed(line: str) -> bool:
    return any(not _EXPECTED.match(found.group()) or not expects(line) for found in _UNFIXED.finditer(line))


def expects(line: str) -> bool:
    """It says that something is mended by now, as far as anybody knows."""
    return _AS_EXPECTED.search(line) is not None


def _is_so(line: str, found: re.Match[str]) -> bool:
    if _FAILS_TO.fullmatch(found.group()) and (
        _OF_ONESELF.search(line, max(0, found.start() - 40), found.start())
        or _OF_PEOPLE.search(_clause_before(line, found.start()))
        or _AGREES.match(line, found.end())
    ):
        return False
    if found.group().endswith("work"):
        return not (_NOT_SO.search(_clause_before(line, found.start())) or _ONLY_IF.match(line, found.end()))
    at = max((found.start(name) for name in ("met", "named", "alone", "thrown")), default=-1)
    before = _clause_before(line, max(at, found.start()))
    if _TESTED.search(line, max(0, found.start() - 80), found.start()) or _NOT_SO.search(before):
        return False
    if _WANTED.match(line, found.end()):
        return False
    return at < 0 or _HANDLED.search(before) is None


def _clause_before(line: str, at: int) -> str:
    return _CLAUSE.split(_WHY.split(line[max(0, at - 80) : at])[-1])[-1]


def is_done(line: str) -> bool:
    """It says that something is mended, and not a word of what."""
    return _DONE_ONLY.fullmatch(line[:120]) is not None


def teaches(line: str) -> bool:
    return _LEARNED.search(line) is not None or tongues.teaches(line)


def _is_denied(line: str, said: re.Match[str], by: re.Pattern[str]) -> bool:
    """Whether something before it in its clause says that it is not so."""
    return by.search(_CLAUSE.split(line[max(0, said.start() - 80) : said.start()])[-1]) is not None


def narrates(line: str) -> bool:
    return _NARRATES.match(line) is not None
