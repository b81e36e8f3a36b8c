"""Decisions, causes, faults and fixes in nine languages: Korean, Arabic, Hindi, Turkish, Polish, Ukrainian, Russian,
Vietnamese and Thai."""

from __future__ import annotations

import re

_CLAUSE = re.compile(r"[,،;؛:.।!…]\s|\n|[–—]")

_DECIDED = re.compile(
    # Korean
    r"기로 (?:했(?!다면|으면|더라면|었|나요|습니까)|하였(?!다면|으면)|결정|합의|정했)"
    # Arabic: the prefixes of "and" and "so" are written to the word
    r"|(?<!\w)[وف]?(?:قررنا|قرّرنا|قررت|قرر الفريق|اتفقنا|اخترنا|تقرر|تم اتخاذ (?:ال)?قرار|تم الاتفاق|القرار هو)(?!\w)"
    # Hindi
    r"|(?:फैसला|फ़ैसला|निर्णय) (?:किया|लिया|हुआ)|(?:हमने|मैंने|टीम ने) (?:\S{1,20} ){0,10}?(?:तय किया"
    r"|चुना)(?=[\s।,.]|$)"
    # Turkish
    r"|\bkarar (?:verdi[km]|aldı[km]|verildi|alındı|kıldık)\b|\bkararlaştır(?:dık|ıldı)\b|\banlaştık\b"
    # Polish
    r"|\b(?:zdecydowa|postanowi|ustali|uzgodni|wybra)(?:liśmy|łyśmy|łem|łam)\b|\b(?:zdecydowano|postanowiono"
    r"|uzgodniono)\b"
    # Ukrainian, whose word for it solves problems, too
    r"|\b(?:вирішил[иа]|вирішив|вирішено|постановили|домовил(?:ись|ися)|обрали)\b"
    r"(?!(?: \w{1,20}){0,2} (?:проблем|питан|помилк|задач|баг))"
    # Vietnamese
    r"|\b(?:chúng tôi|chúng ta|chúng mình|nhóm|đội|tôi|mình|cả nhóm)"
    r" (?:(?!chưa|không|phải|sẽ|cần|muốn)\w{1,12} ){0,3}?(?:quyết định|thống nhất|nhất trí)\b"
    # Thai, which has no blanks between words
    r"|(?<!การ)(?<!ไม่)(?<!ได้)(?<!ต้อง)(?<!จะ)(?<!ให้)(?<!ช่วย)ตัดสินใจ(?!ไม่ได้|ไม่ถูก|หรือ|ยัง)"
    r"|(?<!ไม่)ตกลงกัน(?:ว่า|ที่จะ)|มีมติ(?:ว่า|ให้)",
    re.IGNORECASE,
)
_UNDECIDED = re.compile(
    r"(?:(?<!\w)(?:لم|لن|ما|إذا|لو|هل|عندما|متى|لماذا|بعد أن|قبل أن|nie|czy|jeśli|jeżeli|gdyby|gdy|kiedy|dlaczego|"
    r"не|якщо|якби|чи|коли|чому|chưa|không|nếu|khi|tại sao|vì sao|eğer|henüz|neden)(?!\w)|अगर|यदि|क्या|क्यों|ถ้า|"
    r"(?<!ปัญ)หาก"
    r"|เมื่อ|ยัง|ทำไม|만약|왜)"
    r"[^\n]{0,40}$",
    re.IGNORECASE,
)
"""Before a decision in the same clause: it is none, or none yet."""

_SOLVES = re.compile(r"решили|решено|вирішил[иа]|вирішив|вирішено", re.IGNORECASE)
_PROBLEM_BEFORE = re.compile(
    r"(?<!\w)(?:проблем|ошибк|помилк|баг|задач|збі[йї]|збо[юї]|инцидент|інцидент)\w{0,4}(?: [\w-]{1,30}){0,6} $",
    re.IGNORECASE,
)
_PROBLEM_AFTER = re.compile(r"(?: \w{1,20}){0,2} (?:проблем|ошибк|помилк|баг|задач)", re.IGNORECASE)

_CAUSE = re.compile(
    r"원인은\s|(?:버그|오류|문제|에러|장애|결함|충돌|누수|원인)[^.\n]{0,60}(?:수정|해결|복구)(?:했|하였|됐|되었|"
    r"\s?완료)"
    r"|(?:버그|오류|문제|에러|장애|결함|충돌|누수)[^.\n]{0,60}고쳤"
    r"|(?<!\w)[وف]?(?:كان )?(?:السبب|السبب (?:الجذري|الرئيسي|الحقيقي)|سبب (?:المشكلة|الخطأ|العطل|الفشل|التوقف"
    r"|الانهيار|البطء))"
    r" (?:هو|هي|كان|كانت|يعود|أن)(?!\w)"
    r"|(?<!\w)[وف]?(?:أصلحنا|أصلحت|حللنا|عالجنا|تم إصلاح|تم حل|تمت معالجة) (?:\S{1,20} ){0,2}?(?:ال)?(?:مشكل|خطأ|خلل"
    r"|عطل|تسريب|علة|انهيار)"
    r"|(?:मूल |असली |इसका |समस्या का |गड़बड़ी का )कारण (?:\S{1,20} ){1,12}?(?:था|थी|थे|है)(?=[\s।,.]|$)"
    r"|(?:समस्या|गड़बड़ी|बग|त्रुटि|दिक्कत) (?:\S{1,20} ){0,6}?(?:ठीक|हल|दूर) (?:कर दिया|कर दी|किया|की|हो गया|हो गई"
    r"|कर लिया)(?=[\s।,.]|$)"
    r"|\b(?:kök neden|(?:sorunun|hatanın|arızanın|çökmenin) (?:nedeni|sebebi|kaynağı))\b"
    r"|\b(?:hata|sorun|arıza|çökme|bug|sızıntı)\w{0,8} (?:\w{1,20} ){0,3}?(?:düzelt(?:tik|tim|ildi)|gider(?:dik|dim"
    r"|ildi)|"
    r"çöz(?:dük|düm|üldü)|onar(?:dık|dım|ıldı))\b"
    r"|\bprzyczyną (?:\w{1,20} ){0,3}?(?:był[aoy]?|jest|okaza\w{1,4})\b|\b(?:naprawi|rozwiąza|usun[ąę])(?:liśmy|łem"
    r"|łam|no|ono|łyśmy) "
    r"(?:\w{1,20} ){0,2}?(?:błąd|bład|błęd|problem|usterk|awari|wyciek)"
    r"|\b(?:błąd|problem|usterka|awaria|wyciek) (?:\w{1,20} ){0,4}?(?:naprawion|rozwiązan|usunięt)\w{1,2}\b"
    r"|\bпричин(?:а|ой|ою) (?:\w{1,20} ){0,3}?(?:был[аио]?|в том|стал[аио]?|була|був|було|в тому|оказал\w{1,4}"
    r"|виявил\w{1,4})(?!\w)"
    r"|\b(?:исправил|починил|устранил|виправил|полагодил|усунул)[аи]? (?:\w{1,20} ){0,2}?(?:ошибк|баг|проблем|утечк"
    r"|сбо[йя]|падени|"
    r"помилк|витік|збі[йю])"
    r"|\bвиправив (?:\w{1,20} ){0,2}?(?:помилк|баг|проблем|витік)"
    r"|\b(?:ошибк|проблем|утечк|помилк)[аиу] (?:\w{1,20} ){0,4}?(?:исправлен|устранен|устранён|решен|решён|виправлен"
    r"|усунут|усунен|вирішен)[ао]\b"
    r"|\b(?:проблем|ошибк|помилк)[ауиы] (?:\w{1,20} ){0,4}?(?:решили|вирішили)\b"
    r"|\b(?:решили|вирішили) (?:\w{1,20} ){0,2}?(?:проблем|ошибк|помилк)"
    r"|\bnguyên nhân (?:\w{1,12} ){0,5}?(?:là|do)\b"
    r"|\bđã (?:sửa|khắc phục|giải quyết|vá)(?: xong| được)? (?:\w{1,12} ){0,2}?(?:lỗi|sự cố|vấn đề|bug)\b"
    r"|\b(?:lỗi|sự cố|vấn đề|bug) (?:\w{1,12} ){0,8}?đã được (?:sửa|khắc phục|giải quyết|vá)\b"
    r"|สาเหตุ(?:\S{0,60}?)(?:คือ|มาจาก|เกิดจาก)|แก้(?:ไข)?(?:บั๊ก|ข้อผิดพลาด|ปัญหา)\S{0,60}? ?(?:แล้ว|เรียบร้อย)",
    re.IGNORECASE,
)
"""What was wrong, or that it is put right."""
_WRONG = re.compile(
    r"\b(?:проблема|ошибка|дело|баг)(?: \w{1,20}){0,2}? (?:в том,? что|заключается в)\b|"
    r"\bпроблема(?: \w{1,20}){0,2}? — (?:в|что)\b"
    r"|\b(?:проблема|помилка|справа)(?: \w{1,20}){0,2}? (?:в тому,? що|полягає в)\b"
    r"|\bproblem (?:\w{1,20} )?(?:polega na tym|w tym), że\b"
    r"|\bdas (?:\w{1,20} )?problem (?:ist|liegt (?:daran|darin)|besteht darin), dass\b"
    r"|\ble (?:\w{1,20} )?problème (?:est|vient du fait) qu(?:e\b|['’])|\bel (?:\w{1,20} )?problema (?:es|"
    r"está en) que\b"
    r"|\bo (?:\w{1,20} )?problema é que\b|\bil (?:\w{1,20} )?problema è che\b|\bhet (?:\w{1,20} )?probleem is dat\b"
    r"|\bsorun şu(?: ki)?\b|\bvấn đề (?:\w{1,12} ){0,2}?là\b|(?:المشكلة|العلة) (?:هي |تكمن في |في )أن|"
    r"समस्या यह है कि|ปัญหาคือ"
    r"|(?:问题|問題)(?:在于|在於|出在)"
    r"|問題は[^。\n]{2,120}(?:ことです|点です|ためです)"
    r"|문제는 [^.\n]{2,120}(?:입니다|다는 것|것이다|습니다)",
    re.IGNORECASE,
)
"""What is the matter, and not what it comes from."""
_APART = re.compile(
    r"\b(?:есть|обнаружил[аио]?\w{0,3}|вижу|нашёл|нашел|нашла) (?:\w{1,20} ){0,2}?(?:несоответстви|расхождени|конфликт)"
    r"|\b(?:но|а|однако) (?:сам )?(?:код|frontend|backend|фронтенд|бэкенд|сервер|клиент|api|форма|тест|функция|"
    r"скрипт)\w{0,3} "
    r"(?:\w{1,20} ){0,2}?(?:ожидает|проверяет|возвращает|отправляет|использует|ищет|ждёт|ждет|читает|передаёт|"
    r"передает)\b"
    r"|\b(?:але|а|проте) (?:сам )?(?:код|frontend|backend|сервер|клієнт|api|форма|тест|функція)\w{0,3} "
    r"(?:\w{1,20} ){0,2}?(?:очікує|перевіряє|повертає|надсилає|використовує|шукає|читає)\b"
    r"|\b(?:выяснилось|оказалось|оказывается|з['’]ясувалося|виявилося),? (?:что|що)\b",
    re.IGNORECASE,
)
"""One thing does not go with another, or something turned out."""
_UNKNOWN = re.compile(
    r"아직|모르|모릅|알 수 없|불명|파악 ?(?:중|하지|되지)|확인 ?중|조사 ?중|아니|아닙|못|않|해야|할 예정|만약"
    r"|(?<!\w)(?:ليس|ليست|غير (?:معروف|واضح|معلوم)\w?|مجهول\w?|لم|لن|لا|إذا|لو|يجب|سوف|سيتم|بعد أن|ربما|قد)(?!\w)"
    r"|नहीं|अज्ञात|अगर|यदि|शायद|करना"
    r"|\b(?:değil|henüz|eğer|bilinmiyor|belirsiz|belli|galiba|belki)\b"
    r"|\b(?:nie|nieznan\w|niejasn\w|jeszcze|jeśli|gdyby|gdy|czy|może|chyba)\b"
    r"|\b(?:не|неизвестн\w|неясн\w|если|когда|возможно|невідом\w|якщо|коли|можливо|ще|еще|ещё)\b"
    r"|\b(?:chưa|không|nếu|khi|sẽ|cần|có thể|có lẽ)\b"
    r"|ยังไม่|ไม่ทราบ|ไม่ใช่|ไม่รู้|ไม่ได้|ถ้า|(?<!ปัญ)หาก|ต้องแก้|จะแก้|อาจ",
    re.IGNORECASE,
)
"""In the same clause: nobody knows, or it is not done."""
_ASKS = re.compile(
    r"^(?:(?:لماذا|هل|ماذا|ما هو|ما هي|قل لي لماذا|dlaczego|czemu|czy|почему|зачем|чому|навіщо|tại sao|vì sao|neden"
    r"|niçin|niye)(?!\w)|"
    r"क्यों |क्या |ทำไม|왜 )[^.!।]{0,400}$|(?:ไหม|มั้ย|หรือไม่|หรือเปล่า|[습합됩입갑옵봅줍납십랍립]니까)\W{0,3}$",
    re.IGNORECASE,
)


_PLAIN = (
    "karar", "owano", "iono", "przyczyn", "napraw", "usterk", "awari", "wyciek", "usun", "hata", "sorun", "neden",
    "niye", "czemu", "dlaczego", "czy",
)  # fmt: skip
"""What these languages say without a letter of their own."""


def _is_foreign(line: str) -> bool:
    """Whether it may be said in one of them: most lines are not."""
    if not line.isascii():
        return True
    low = line.lower()
    return any(word in low for word in _PLAIN)


def is_of_a_problem(line: str, decided: re.Match[str]) -> bool:
    """In Ukrainian and Russian the same words solve it: that is no decision."""
    return _SOLVES.fullmatch(decided.group()) is not None and (
        _PROBLEM_BEFORE.search(_before(line, decided.start())) is not None
        or _PROBLEM_AFTER.match(line, decided.end()) is not None
    )


def decides(line: str) -> bool:
    return _is_foreign(line) and any(
        not _UNDECIDED.search(_before(line, found.start())) and not is_of_a_problem(line, found)
        for found in _DECIDED.finditer(line)
    )


def mends(line: str) -> bool:
    return _is_foreign(line) and any(
        not _UNKNOWN.search(_before(line, found.start()) + _CLAUSE.split(line[found.start() : found.end() + 80])[0])
        for found in _CAUSE.finditer(line)
    )


def breaks(line: str) -> bool:
    return _WRONG.search(line) is not None and not line.endswith(("?", "？", "؟"))


def teaches(line: str) -> bool:
    return _is_foreign(line) and _APART.search(line) is not None


def asks_to_know(line: str) -> bool:
    return _is_foreign(line) and _ASKS.search(line) is not None


def _before(line: str, at: int) -> str:
    return _CLAUSE.split(line[max(0, at - 80) : at])[-1]
