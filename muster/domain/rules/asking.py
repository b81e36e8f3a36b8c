"""What asks for something, what asks to know something, and what is only polite: in the words of several languages."""

from __future__ import annotations

import re
from collections.abc import Sequence

from muster.domain.rules import tongues
from muster.domain.rules.sentences import sentences
from muster.domain.rules.text import language_of

COURTESY_CHARS = 200

_ASKS = re.compile(
    r"^(?:please\b|can you|could you|would you|i need you|i want you|i'd like you|help me|add|fix|make|"
    r"write|create|implement|"
    r"update|change|remove|delete|refactor|rename|run|test|check|find|look|show|explain|investigate|build|"
    r"deploy|review|"
    r"move|use|let's)\b",
    re.IGNORECASE,
)
_ASKS_ELSEWHERE = re.compile(
    r"^(?:bitte|kannst du|könntest du|können sie|könnten sie|würdest du|würden sie|hilf mir|ich möchte,? dass|füge?|"
    r"ergänze?|ändere?|erstelle?|lösche?|entferne?|behebe?|repariere?|prüfe?|schreibe?|zeige?|erkläre?|verschiebe?|"
    r"benenne?|aktualisiere?|installiere?|implementiere?|richte|mach(?:e)?|"
    r"s['’]il (?:te|vous) pla[iî]t|peux-tu|pouvez-vous|pourriez-vous|pourrais-tu|veuillez|merci de|ajoute[zr]?|"
    r"corrige[zr]?|supprime[zr]?|crée[zr]?|modifie[zr]?|écrivez|montre-moi|explique[zr]?|vérifie[zr]?|renomme[zr]?|"
    r"déplace[zr]?|fais|faites|aide-moi|je voudrais que|"
    r"puedes|podrías|puede usted|añade|añadir|agrega|corrige|arregla|elimina|borra|cambia|escribe|muestra|"
    r"explica|verifica|revisa|busca|renombra|mueve|ejecuta|haz|ayúdame|necesito que|quiero que|"
    r"per favore|puoi|potresti|aggiungi|correggi|rimuovi|scrivi|mostra|spiega|controlla|rinomina|sposta|esegui|"
    r"vorrei che|"
    r"você pode|poderia|adicione|corrija|remova|crie|altere|escreva|explique|verifique|renomeie|faça|preciso que|"
    r"alsjeblieft|kun je|kunt u|voeg|verwijder|verander|schrijf|controleer|hernoem|verplaats|"
    r"proszę|czy możesz|dodaj|popraw|usuń|zmień|napisz|pokaż|sprawdź|uruchom|"
    r"можешь|можете|добавь(?:те)?|исправь(?:те)?|удали(?:те)?|сделай(?:те)?|измени(?:те)?|создай(?:те)?|"
    r"напиши(?:те)?|покажи(?:те)?|проверь(?:те)?|найди(?:те)?|запусти(?:те)?|переименуй(?:те)?)\b"
    r"|\b(?:bitte|s['’]il (?:te|vous) pla[iî]t|por favor|per favore|alsjeblieft|пожалуйста|lütfen)\b"
    r"|ください|下さい|てほしい|て欲しい|お願い(?:します|いたします)|(?:もらえ|いただけ)ますか|くれますか"
    r"|请(?![求假教客问])|請(?![求假教客問])|帮我|帮忙|麻烦[你您]|^(?:把|添加|增加|修改|删除|修复|创建|检查|实现|更新)"
    r"|주세요|주십시오|해 ?줘|바랍니다|부탁(?:합니다|드립니다|해요)",
    re.IGNORECASE,
)
_POINTS_OUT = re.compile(
    r"\W{0,4}(?:please (?:note|be aware|remember that)\b|bitte (?:beachte|denk)|veuillez noter|tenga en cuenta|"
    r"请注意|請注意)|ご(?:注意|了承)ください",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"[?？؟]\s*$|^(?:what|when|where|who|why|how|which|is|are|do|does|did|can|could|should|would|will|have|has)\b[^.!]*$"
    r"|(?:ですか|ますか|까요|吗|呢)[。?？]?$",
    re.IGNORECASE,
)
_PAUSE = r"[\s,.!…。！、，:;)(\-–—👍🙏😀-🙏]"
_POLITE = (
    r"(?:ok(?:ay)?|k|yes|yeah|yep|yup|no|nope|sure(?: thing)?|(?:many )?thanks?(?: you)?(?: so much| a (?:lot|ton|"
    r"million)|"
    r" again| very much| for (?:your|the|all the) (?:help|work|quick (?:fix|help|answer))| indeed)?|thx|ty|cheers|"
    r"(?:much )?appreciated|"
    r"great|good(?: morning| night| evening| afternoon)?|nice|perfect|cool|awesome|excellent|brilliant|fantastic|"
    r"wonderful|"
    r"amazing|super|done|got it|understood|"
    r"(?:great|good|nice|excellent|amazing|awesome|fantastic) (?:idea|point|catch|job|work|stuff|one)|"
    r"alright|all (?:right|good|set|done)|right|fine|let['’]s (?:do (?:it|that|this)|go)|"
    r"hi(?: there)?|hello(?: there)?|hey(?: there)?|(?:good)?bye|bye[ -]bye|"
    r"(?:see|talk to|speak to) you(?: all| guys)?(?: later| soon| tomorrow| then| next (?:week|time)| around|"
    r" on \w+day)?|"
    r"(?:until|till) (?:tomorrow|then|next time)|(?:have|enjoy) (?:a (?:nice|good|great|lovely) (?:day|evening|"
    r"weekend|one)|"
    r"your (?:day|evening|weekend|holidays?))|take care|you(?:['’]re| are) welcome|no problem|"
    r"(?:i think )?(?:that|this)(?:['’]s|['’]ll be| is| was| will be) (?:all|it|everything|enough)"
    r"(?: i (?:need|needed|wanted))?(?: (?:for|from) (?:now|today|the day|tonight|me|this week))*|"
    r"(?:i['’]m|we['’]re|i am|we are) (?:all )?(?:done|finished|good|through)(?: (?:here|for (?:now|today)))*|"
    r"(?:nothing|no more|nothing else|that(?:['’]s| is) all)(?: (?:else|more))? for (?:now|today)|"
    r"let['’]s (?:stop|leave it)(?: (?:here|there|at that))?(?: for (?:now|today))?|"
    r"sounds good|will do|"
    r"(?:i )?(?:(?:fully|totally|completely|absolutely) )?agree(?: (?:with (?:you|that|this|it)|completely|fully))?|"
    r"do (?:that|it|so)(?: please)?|ultra-?think|think (?:very |really )?(?:hard|harder|deeply)|"
    r"on it|continue|go on|go ahead|proceed|please|lgtm|looks (?:good|great|fine)(?: to me)?|"
    r"noted|makes sense|well done|no worries|of course|absolutely|certainly|"
    r"definitely|hmm+|wow|haha+|lol|agreed|"
    r"exactly|ack|roger|true|false|null|none|undefined|"
    r"working on it|one moment|let me (?:check|see|look)|"
    r"(?:vielen |besten |herzlichen )?dank(?:e(?: (?:schön|sehr|dir|ihnen|euch))?)?|bitte(?: schön| sehr)?|"
    r"das (?:war['’]?s|wars|wäre es|ist alles|reicht)(?: (?:für|bis) (?:heute|jetzt|morgen)| erst ?mal)*|"
    r"bis (?:morgen|später|dann|bald|nächste woche)|tschüss?|auf wiedersehen|guten (?:morgen|tag|abend)|hallo|moin|"
    r"(?:sehr )?gut(?:e arbeit| gemacht)?|prima|toll|klasse|alles klar|in ordnung|passt|einverstanden|genau|"
    r"schönen (?:tag|abend|feierabend)(?: noch)?|"
    r"merci(?: (?:beaucoup|bien))?|c['’]est (?:tout|bon|parfait)(?: pour (?:aujourd['’]hui|l['’]instant|le moment))?|"
    r"à (?:demain|bientôt|plus(?: tard)?)|au revoir|bonjour|salut|bon(?:ne)? (?:journée|soirée|nuit|travail)|parfait|"
    r"bien joué|d['’]accord|très bien|"
    r"(?:muchas )?gracias|eso es todo(?: por (?:hoy|ahora))?|hasta (?:mañana|luego|pronto)|adiós|hola|"
    r"buen(?:os días|as (?:tardes|noches)| trabajo)|perfecto|vale|de acuerdo|muy bien|"
    r"grazie(?: mille)?|è tutto(?: per oggi)?|a domani|ciao|perfetto|va bene|obrigad[oa]|até (?:amanhã|logo)|"
    r"ja|nein|oui|non|si|sí|"
    r"好的?|谢谢|多谢|辛苦了|明天见|再见|收到|没问题|就这样|就这些|はい|いいえ|ありがとう(?:ございます|ございました)?|"
    r"お疲れ様(?:です|でした)?|以上です|また明日|了解(?:です|しました)?|わかりました|助かりました|"
    r"네|예|감사합니다|고마워요?|수고하셨습니다|알겠습니다|da|да|нет|(?:большое )?спасибо|до (?:завтра|свидания)|"
    r"привет|хорошо)"
    r"(?![A-Za-zÀ-ɏ])"
)
_COURTESY = re.compile(rf"(?:{_POLITE}{_PAUSE}*)+", re.IGNORECASE)
_BARE_ANSWER = re.compile(
    r"(?:yes|yeah|yep|no|nope|sure|true|false|none|agreed|i agree|do (?:that|it|so)|"
    r"ja|nein|oui|non|sí|はい|いいえ|네|да|нет|好的?)\b",
    re.I,
)
_LEAD = re.compile(
    r"(?:(?:so|ok(?:ay)?|and|also|hey|hi|alright|anyway|yes|yeah|well(?=[,.!:–-]))[,.!:\s–-]+(?=\w)|"
    r"(?:thanks?(?: you)? for [^,.!?\n]{1,60}[,.!]\s+|"
    r"(?!(?:no|nope|nein|non|нет|いいえ|done|please|bitte|none|null|true|false|nothing|until|till|bis|à|a|hasta|até|"
    rf"до)\b){_POLITE}"
    r"\s?(?:[,.!:;…–—-]+\s+|[。！、，👍🙏😀-🙏]\s*))"
    r"(?:(?:(?:and|but|und|et|y) )?(?:now|then|jetzt|maintenant|ahora)\b,?\s+(?!that\b|the\b|is\b|it\b|we\b|i\b))?)",
    re.IGNORECASE,
)
"""Of one word or phrase before what matters."""
_TELLS = re.compile(
    r"(?:(?:I|we)(?!(?:'d|'ll| will| would| want| need| wish| have to| must| should)\b)|he|she|they|my|our)\b",
    re.IGNORECASE,
)
"""How somebody begins who tells of a life, and not what is to be done."""


_STATES = re.compile(
    r"(?:(?:I|we)(?:['’]ve| have| had| just| already|['’]m| am| are|['’]re)\b|you (?:can|may|will|should be able to)\b|"
    r"you['’]ll (?:find|see)\b|(?:there|here)(?:['’]s| is| are)\b|"
    r"(?!(?:make|ensure|see|let|do|please|can|could|would|will|when|if|where|while|once|what|who|why|how|which)\b)"
    r"(?:[^\s,.;:!?]{1,40} ){1,7}?(?:is|are|was|were|isn['’]t|aren['’]t|has|have|fails?|failed|does|doesn['’]t|"
    r"don['’]t|shows?|says?|seems?|looks?|takes?|needs?)\b)",
    re.IGNORECASE,
)
"""How a sentence begins that says how something is, before one that asks."""
_ASKS_TOGETHER = re.compile(
    r"(?:can|could|shall|should) we\b|(?:i|we)(?:['’]d like| want| need| would like) (?:you )?to\b", re.I
)
_ASKS_OF_IT = re.compile(
    r"(?:(?:please|can you|could you|would you|let['’]s|so|then|and|now|just|also)[\s,]+)*"
    r"(?:\w{2,12} ){0,2}(?:it|this|that|them|these|those|why|how|(?:find|figure|work) out (?:why|how|what))"
    r"(?: (?:please|now|too|first|up|out|again))*(?: and (?:\w{2,12} ){1,2}(?:it|this|that|them))?\W{0,3}",
    re.IGNORECASE,
)
"""It asks, and does not say what about."""
_OF_BEFORE = re.compile(r"\b(?:it|this|them|there|these|those)\b|\bthat(?=\W{0,3}$)", re.IGNORECASE)


def is_courtesy(text: str) -> bool:
    return len(text) <= COURTESY_CHARS and _COURTESY.fullmatch(text.strip()) is not None


def begins_politely(sentence: str) -> bool:
    return _COURTESY.fullmatch(sentence[:COURTESY_CHARS]) is not None


def is_bare_answer(text: str) -> bool:
    return _BARE_ANSWER.match(text) is not None


def without_courtesy(sentence: str) -> str:
    """From where it says something."""
    rest = sentence
    for _ in range(6):
        found = _LEAD.match(rest)
        if found is None or not re.search(r"\w", rest[found.end() :]):
            return rest
        rest = rest[found.end() :]
    return rest


def asks(sentence: str) -> bool:
    """Whether it surely asks for something to be done."""
    head = without_courtesy(sentence[:600])
    return (_ASKS.match(head) or _ASKS_ELSEWHERE.search(head)) is not None and not _POINTS_OUT.match(head)


def wanted(lines: Sequence[str], first: str) -> str:
    """Of what is said in a request, what is asked for. `first`: how it begins, if not with courtesy."""
    if asks(first) or not _STATES.match(first[:200]):
        return first
    ask = next((line for line in lines if asks(line) or _ASKS_TOGETHER.match(without_courtesy(line[:600]))), first)
    if ask is first or _ASKS_OF_IT.fullmatch(ask[:120]):
        return first
    # What "it" is stands before it.
    before = lines[max(0, lines.index(ask) - 1)]
    return f"{ask.rstrip('.?!')}: {before}" if _OF_BEFORE.search(ask) and len(ask) < 80 and before != ask else ask


def asks_to_know(sentence: str) -> bool:
    return _QUESTION.search(sentence[:400]) is not None or tongues.asks_to_know(sentence[:400])


def tells(sentence: str) -> bool:
    return _TELLS.match(sentence) is not None


def asks_for_work(text: str) -> bool:
    """Not a statement, and not a question. In a language whose verbs are not known here, anything may."""
    if language_of(text) not in (None, "en"):
        return True
    return any(asks(line) for line in sentences(text[:2_000], 300))
