"""Word forms brought to one: "licensing", "licence" and "licensed" are found by each other.

Light on purpose. A stem need not be a word, it need only be the same for the forms of one, and the cost of a wrong
match is small, since rarity and meaning rank beside it.
"""

from __future__ import annotations

import re
from collections.abc import Container
from functools import lru_cache

_VOWELS = frozenset("aeiouy")
_SYLLABLE = re.compile(r"[aeiouy]+[^aeiouy]")

# As they are written once accents are gone.
STOP_WORDS: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": "a about above after again all also am an and any are as at be because been before being between both "
        "but by can could did do does doing don during each for from further had has have having he her here "
        "hers him his how i if in into is it its itself just let me more most my no nor not now of off on "
        "once only or other our ours out over own please same shall she should so some such than that the "
        "their theirs them then there these they this those through to too under until up us very was we were "
        "what when where which while who whom why will with would you your yours",
        "de": "aber als am an auch auf aus bei bin bis da damit dann das dass dem den der des die dies diese dieser "
        "dieses doch dort du durch ein eine einem einen einer eines er es fur hat hatte ich ihr im in ist ja "
        "kann kein keine mit muss nach nicht noch nur ob oder ohne sehr sein sich sie sind so uber um und uns "
        "unter vom von vor war waren warum was welche wenn werden wer wie wir wird wo wurde wurden zu zum zur",
        "fr": "ai alors au aucun aussi autre aux avec avoir car ce ces cette comme comment dans de des du elle "
        "elles en est et etaient etait ete etre eu fait il ils je la le les leur lui mais meme mes moi mon ne "
        "nos notre nous on ont ou par pas plus pour pourquoi qu quand que quel quelle qui quoi sa sans se ses "
        "si son sont sur ta te tes toi ton tout tres tu un une vos votre vous",
        "es": "al algo como con contra cual cuando cuantos de del desde donde el ella ellos en entre era eran es "
        "esa ese eso esta estaba estan este esto fue fueron ha habia han hasta hay la las le les lo los mas "
        "me mi mucho muy no nos o para pero por porque que quien se ser si sin sobre son su sus tambien te "
        "tiene tu un una uno y ya",
        "pt": "a ao aos as ate com como da das de depois do dos e ela ele eles em entre era essa esse esta estava "
        "este eu foi foram ha isso isto ja mais mas me mesmo meu muito na nao nas nem no nos num numa o onde "
        "os ou para pela pelo por porque qual quando que quem sao se sem ser seu sua tambem tem um uma",
        "it": "ad agli ai al alla alle anche che chi ci come con cosa cui da dai dal dalla dei del della delle di "
        "dove e era erano essere fra gli ha hanno ho i il in io la le lo loro ma mi ne nei nel nella noi non "
        "o per perche piu quale quando quella quello questa questo se sei si sia sono su sua sul sulla suo "
        "tra tu un una uno",
        "ru": "а без более бы был была были было в вам вас весь во вот все всего вы где да для до его ее если есть "
        "еще же за здесь и из или им их к как какая какие какой ко когда кто ли мы на над не него нет ни но "
        "ну о об он она они от по под при с со так также там то того тоже только у уже чего чем что чтобы эта "
        "эти это этот я",
    }.items()
}

QUESTION_WORDS = frozenset(
    {
        "much", "many", "happen", "happened", "mention", "mentioned", "wieviel", "wieviele", "welcher", "welches",
        "welchem", "welchen", "quel", "quelle", "quels", "quelles", "combien", "cual", "cuales", "cuanto", "cuanta",
        "cuantos", "cuantas", "quanto", "quanta", "quanti", "quante", "quantos", "quantas",
    }
)  # fmt: skip
"""How it is asked for, and not what."""

CALENDAR = frozenset(
    """
    january february march april may june july august september october november december
    jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun
    monday tuesday wednesday thursday friday saturday sunday
    januar februar marz mai juni juli oktober dezember
    montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag
    janvier fevrier mars avril juin juillet aout septembre octobre novembre decembre
    lundi mardi mercredi jeudi vendredi samedi dimanche
    enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
    lunes martes miercoles jueves viernes sabado domingo
    gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre
    lunedi martedi mercoledi giovedi venerdi sabato domenica
    janeiro fevereiro marco maio junho julho setembro outubro novembro dezembro
    januari februari maart mei augustus oktober
    maandag dinsdag woensdag donderdag vrijdag zaterdag zondag
    """.split()  # noqa: SIM905
)
"""Written as names are, and named by many."""

IRREGULAR = {
    form: word
    for word, forms in {
        "begin": "began begun", "break": "broke broken", "bring": "brought", "build": "built", "buy": "bought",
        "catch": "caught", "child": "children", "choose": "chose chosen", "criterion": "criteria", "draw": "drew drawn",
        "drive": "drove driven", "fall": "fell fallen", "feel": "felt", "find": "found", "forget": "forgot forgotten",
        "get": "got gotten", "give": "gave given", "go": "went gone", "grow": "grew grown", "hide": "hid hidden",
        "hold": "held", "index": "indices", "keep": "kept", "know": "knew known", "leave": "left", "lose": "lost",
        "make": "made", "matrix": "matrices", "mean": "meant", "meet": "met", "pay": "paid", "person": "people",
        "rewrite": "rewrote rewritten", "rise": "rose risen", "run": "ran", "say": "said", "see": "saw seen",
        "sell": "sold", "send": "sent", "speak": "spoke spoken", "spend": "spent", "steal": "stole stolen",
        "take": "took taken", "tell": "told", "think": "thought", "throw": "threw thrown", "vertex": "vertices",
        "wake": "woke woken", "write": "wrote written", "freeze": "froze frozen", "eat": "ate eaten", "teach": "taught",
        "gray": "grey", "program": "programme programmes", "fix": "fixes", "die": "dies died dying",
        "lie": "lies lied lying", "tie": "ties tied tying", "mouse": "mice", "foot": "feet", "man": "men",
        "woman": "women", "life": "lives", "leaf": "leaves", "datum": "data", "bus": "buses",
        "gpu": "gpus", "cpu": "cpus", "menu": "menus",
    }.items()
    for form in forms.split()
}  # fmt: skip

RELATED = {
    # What a noun's ending does to its verb, by stem.
    "decis": "decid", "divis": "divid", "collis": "collid", "provis": "provid", "permiss": "permit",
    "submiss": "submit", "admiss": "admit", "transmiss": "transmit", "emiss": "emit", "omiss": "omit",
    "extens": "extend", "expans": "expand", "suspens": "suspend", "inclus": "includ", "exclus": "exclud",
    "conclus": "conclud", "invas": "invad", "descript": "describ", "subscript": "subscrib",
    "resolut": "resolv", "solut": "solv", "consumpt": "consum", "assumpt": "assum", "resumpt": "resum",
    "recept": "receiv", "reduct": "reduc", "introduct": "introduc", "product": "produc", "destruct": "destroy",
    "failur": "fail", "removal": "remov", "renew": "renew", "analyt": "analys",
    "choic": "choos", "growth": "grow", "repetit": "repeat", "maintenanc": "maintain",
    "mainten": "maintain", "practis": "practic", "acquisit": "acquir", "requisit": "requir", "synchron": "sync",
    "synchronis": "sync", "configurat": "configur", "config": "configur",
    "us": "use", "sise": "size", "summaris": "summari", "tokenis": "token", "expiri": "expir", "parser": "pars",
    "runner": "run", "imag": "image", "pag": "page", "db": "databas", "repo": "repositori", "doc": "document",
}  # fmt: skip

# What stays of a word must be long enough to tell it from others.
SUFFIXES: dict[str, frozenset[str]] = {
    language: frozenset(suffixes.split())
    for language, suffixes in {
        "de": "ungen ung heiten heit keiten keit ierungen ierung ieren iert ten tet te ern em en er es et e s n t",
        "fr": "issements issement ements ement ations ation ateurs ateur euses euse eurs eur ives ive ifs if ees ee "
        "es er ez ent ait aient ant ants ante antes e s x",
        "es": "aciones acion amientos amiento imientos imiento adores adora ador idades idad mente ando iendo aron "
        "ieron aban aba ado ada ados adas ido ida idos idas ar er ir os as es o a e s",
        "pt": "acoes acao coes cao oes ao amentos amento imentos imento adores ador idades idade mente ando endo indo "
        "aram eram iram avam ava ado ada ados adas ido ida idos idas ar er ir os as es o a e s",
        "it": "azioni azione amenti amento imenti imento atori atore mente ando endo ati ate ato ata uti ute uto "
        "uta iti ite ito ita are ere ire i e o a",
        "ru": "иями ями ами иях ях ах ого его ому ему ыми ими ость ости остью ение ения ению ением ений ание ания "
        "анию анием аний ться тся ется ится уется ать ять ить еть ала ила али или ешь ует ают яют ает яет ит "
        "ат ят ый ий ой ая яя ое ее ые ие ую юю ов ев ей ом ем ам ям а я о е ы и у ю ь й",
    }.items()
}


@lru_cache(maxsize=20_000)
def stem(word: str, language: str = "en") -> str:
    """`word` in lower case and without accents."""
    if language == "en":
        return _english(word)
    return word[: _end(word, SUFFIXES.get(language, ()), 4)]


def _end(word: str, endings: Container[str], keep: int = 0) -> int:
    """Where the longest of these endings begins that leaves so many letters; where the word ends, if none does."""
    for start in range(max(keep, len(word) - _LONGEST), len(word)):
        if word[start:] in endings:
            return start
    return len(word)


def guess_language(words: list[str]) -> str:
    """By the small words that hold a sentence together; English where they do not tell."""
    if sum(1 for word in words if "а" <= word[:1] <= "я") * 2 > len(words):
        return "ru"
    best, most = "en", 0
    for language, stops in STOP_WORDS.items():
        found = sum(1 for word in words if word in stops)
        # English goes first, and another must beat it clearly: its words stand in every language's technical text.
        if found > most + (1 if best == "en" else 0):
            best, most = language, found
    return best


def _measure(word: str) -> int:
    """How many times a vowel is followed by a consonant: roughly its syllables."""
    return len(_SYLLABLE.findall(word))


def _short(word: str) -> bool:
    """Ends as "hop" does: what lost its e ("hoping") is told from what doubled ("hopping")."""
    return (
        len(word) >= 3
        and word[-1] not in "aeiouywx"
        and word[-2] in _VOWELS
        and word[-3] not in _VOWELS
        and _measure(word) == 1
    )


def _english(word: str) -> str:
    word = word.removesuffix("'s").removesuffix("’s")
    word = IRREGULAR.get(word, word)
    if len(word) <= 3 or not word.isascii() or not word.isalpha():
        return RELATED.get(word, word)
    word = _american(word)
    word = _plural(word)
    word = _past(word)
    if word.endswith("y") and len(word) > 2 and word[-2] not in _VOWELS:
        word = word[:-1] + "i"
    word = _ending(word)
    silent = word.endswith("e") and (_measure(word[:-1]) > 1 or (_measure(word[:-1]) == 1 and not _short(word[:-1])))
    if silent or (word.endswith("ll") and _measure(word) > 1):
        word = word[:-1]
    if word.endswith("enc"):
        word = word[:-1] + "s"  # licence, defence, offence
    elif word.endswith(("enci", "anci")) and len(word) > 6:
        word = word[:-4]  # dependency
    elif word.endswith("ag") and len(word) > 5:
        word = word[:-2]  # leakage
    elif word.endswith("alis") and len(word) > 6:
        word = word[:-2]  # normalise
    elif word.endswith("si"):
        word = word[:-1]  # analysis, hypothesis
    return RELATED.get(word, word)


def _american(word: str) -> str:
    """British and American spelling made one."""
    word = re.sub(r"([iy])z(?=e|i|a)", r"\1s", word) if "z" in word and len(word) > 4 else word
    if "our" in word and len(word) > 5:
        word = re.sub(r"(?<=[bdhilmnv])our(?=s?$|ed$|ing$|it|al|ful|less|able)", "or", word)
    if word.endswith(("tre", "tres")):
        word = re.sub(r"tre(s?)$", r"ter\1", word)
    if "ogue" in word:
        word = re.sub(r"ogue(?=s?$|d$)", "og", word)
    return re.sub(r"l(l)(?=ed$|ing$|er$|ers$|ation$)", "l", word) if _measure(word) > 2 else word


def _plural(word: str) -> str:
    if word.endswith("sses"):
        return word[:-2]
    if word.endswith("ies"):
        return word[:-2] if len(word) > 4 else word[:-1]
    if word.endswith(("xes", "ches", "shes", "zes")):
        return word[:-2] if word.endswith(("xes", "shes")) else word[:-1]
    if word.endswith("s") and not word.endswith(("ss", "us")):
        return word[:-1]
    return word


def _past(word: str) -> str:
    for ending in ("ingly", "edly", "ing", "ed"):
        if word.endswith(ending):
            rest = word[: -len(ending)]
            if not any(letter in _VOWELS for letter in rest) or len(rest) < 2:
                return word
            if rest.endswith(("at", "bl", "is", "ys")):
                return rest + "e"
            if rest[-1] == rest[-2] and rest[-1] not in "aeiouylsz":
                return rest[:-1]
            return rest + "e" if _short(rest) else rest
    return word


# What takes an ending's place, and how much of a word must stand before it.
_STEPS: dict[str, tuple[str, int]] = {
    "isational": ("is", 1), "isation": ("is", 1), "ational": ("ate", 1), "fulness": ("ful", 1), "ousness": ("ous", 1),
    "iveness": ("ive", 1), "tional": ("tion", 1), "biliti": ("ble", 1), "iviti": ("ive", 1), "aliti": ("al", 1),
    "lessli": ("less", 1), "ation": ("ate", 1), "entli": ("ent", 1), "ousli": ("ous", 1), "fulli": ("ful", 1),
    "alism": ("al", 1), "alli": ("al", 1), "ator": ("ate", 1), "abli": ("able", 1), "iser": ("is", 1), "li": ("", 1),
}  # fmt: skip
_LATER: dict[str, tuple[str, int]] = {
    "icate": ("ic", 1), "iciti": ("ic", 1), "alise": ("al", 1), "ative": ("", 2), "ical": ("ic", 1), "ness": ("", 1),
    "ful": ("", 1),
}  # fmt: skip
_LAST = {
    "ement", "ance", "ence", "able", "ible", "ment", "ant", "ent", "ism", "ate", "iti", "ous", "ive", "al", "er", "or",
    "ic",
}  # fmt: skip
_LONGEST = max(len(ending) for endings in (*SUFFIXES.values(), _STEPS, _LATER, _LAST) for ending in endings)


def _ending(word: str) -> str:
    for steps in (_STEPS, _LATER):
        start = _end(word, steps)
        if start < len(word):
            instead, before = steps[word[start:]]
            if _measure(word[:start]) >= before:
                word = word[:start] + instead
    if word.endswith("ion") and len(word) > 5 and word[-4] in "st":
        # -ion before the rest: "connection" is of one measure less than "connector".
        word = word[:-3]
    rest = word[: _end(word, _LAST)]
    return rest if _measure(rest) > 1 else word
