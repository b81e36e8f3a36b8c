"""Decisions, causes, fixes and questions in languages that have a script, or word endings, of their own."""

from __future__ import annotations

import time

import pytest

from muster.domain.rules import tongues
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, only


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("세션 저장소를 Redis로 변경하기로 했습니다.", "decision"),
        ("배포는 금요일에 하지 않기로 결정했습니다.", "decision"),
        ("PostgreSQL을 쓰기로 했다.", "decision"),
        ("قررنا تأجيل الإصدار إلى يوم الأحد.", "decision"),
        ("اتفقنا على استخدام PostgreSQL بدلا من MySQL.", "decision"),
        ("وقررنا عدم استخدام Redis للجلسات.", "decision"),
        ("हमने सत्रों के लिए Redis का उपयोग करने का फैसला किया।", "decision"),
        ("हमने Redis का उपयोग नहीं करने का निर्णय लिया।", "decision"),
        ("Oturumlar için Redis kullanmaya karar verdik.", "decision"),
        ("Sürümü ertelememiz kararlaştırıldı.", "decision"),
        ("Zdecydowaliśmy się na PostgreSQL.", "decision"),
        ("Postanowiliśmy nie używać Redisa.", "decision"),
        ("Ми вирішили перенести реліз на неділю.", "decision"),
        ("Вирішено не використовувати Redis.", "decision"),
        ("Chúng tôi quyết định dùng PostgreSQL.", "decision"),
        ("Nhóm đã thống nhất hoãn bản phát hành.", "decision"),
        ("เราตัดสินใจใช้ PostgreSQL แทน MySQL", "decision"),
        ("원인은 시간대 설정이었고 수정했습니다.", "bugfix"),
        ("로그인 오류를 수정했습니다.", "bugfix"),
        ("السبب هو انتهاء صلاحية الشهادة.", "bugfix"),
        ("كان سبب المشكلة هو ذاكرة التخزين المؤقت.", "bugfix"),
        ("أصلحنا الخطأ في صفحة الدخول.", "bugfix"),
        ("समस्या का कारण पुराना कैश था।", "bugfix"),
        ("लॉगिन की समस्या को ठीक कर दिया।", "bugfix"),
        ("Sorunun nedeni eski önbellekti.", "bugfix"),
        ("Giriş hatasını düzelttik.", "bugfix"),
        ("Przyczyną była nieaktualna pamięć podręczna.", "bugfix"),
        ("Naprawiliśmy błąd logowania.", "bugfix"),
        ("Причина була в часовому поясі.", "bugfix"),
        ("Ми виправили помилку входу.", "bugfix"),
        ("Причина была в часовом поясе, исправил.", "bugfix"),
        ("Я исправил ошибку входа.", "bugfix"),
        ("Nguyên nhân là bộ nhớ đệm cũ.", "bugfix"),
        ("Đã sửa lỗi đăng nhập.", "bugfix"),
        ("สาเหตุคือแคชเก่า", "bugfix"),
        ("แก้ไขปัญหาการเข้าสู่ระบบแล้ว", "bugfix"),
        ("لماذا يفشل الاختبار على ويندوز؟", "question"),
        ("هل تم نشر الإصدار؟", "question"),
        ("لماذا يفشل الاختبار", "question"),
        ("왜 테스트가 실패합니까", "question"),
        ("ทำไมการทดสอบล้มเหลว", "question"),
        ("Dlaczego test nie przechodzi", "question"),
        ("Почему падает тест", "question"),
        ("Tại sao bài kiểm tra thất bại", "question"),
        ("결정: Redis를 쓴다.", "decision"),
        ("القرار: سنستخدم Redis.", "decision"),
        ("원인: 오래된 캐시.", "bugfix"),
        ("Przyczyna: stara pamięć podręczna.", "bugfix"),
    ],
)
def test_what_is_decided_and_why_it_failed(text: str, kind: str) -> None:
    assert only(event({"role": "assistant", "text": text})).type == kind


@pytest.mark.parametrize(
    "text",
    [
        "아직 데이터베이스를 결정하지 못했습니다.",
        "내일 결정할 예정입니다.",
        "원인은 아직 모릅니다.",
        "원인은 확인 중입니다.",
        "파일 이름을 수정했습니다.",
        "لم نقرر بعد.",
        "السبب غير معروف.",
        "ليس السبب هو الشبكة.",
        "لم يتم إصلاح الخطأ.",
        "سوف يتم إصلاح الخطأ غدا.",
        "अगर हमने फैसला किया तो मैं बताऊंगा।",
        "समस्या का कारण पता नहीं है।",
        "Henüz karar vermedik.",
        "Sorunun nedeni henüz bilinmiyor.",
        "Dosyanın adını düzelttik.",
        "Jeszcze nie zdecydowaliśmy.",
        "Przyczyną nie była sieć.",
        "Jeśli zdecydowaliśmy inaczej, powiem.",
        "Ми ще не вирішили.",
        "Ми вирішили складну задачу.",
        "Причина ще невідома.",
        "Причина пока неизвестна.",
        "Chúng tôi chưa quyết định.",
        "Nguyên nhân chưa rõ là do đâu.",
        "เรายังไม่ได้ตัดสินใจ",
        "เรายังไม่ทราบสาเหตุ",
        "การตัดสินใจเป็นเรื่องยาก",
        "ยังไม่ได้แก้ไขปัญหาการเข้าสู่ระบบ",
        "الخادم يعمل على المنفذ 8443.",
        "서버는 8443 포트에서 실행됩니다.",
    ],
)
def test_what_is_not_decided_and_not_known_is_neither(text: str) -> None:
    assert only(event({"role": "assistant", "text": text})).type not in ("decision", "bugfix")


@pytest.mark.parametrize(
    "text",
    ["هل قررنا تأجيل الإصدار؟", "هل السبب هو الشهادة؟", "Redis를 쓰기로 했습니까?", "Czy zdecydowaliśmy się na Redis?",
     "Chúng tôi quyết định dùng Redis chưa?", "원인은 무엇입니까?", "Neden karar verdik?", "Чому ми вирішили так?"],
)  # fmt: skip
def test_who_asks_has_decided_nothing(text: str) -> None:
    assert only(event({"role": "assistant", "text": text})).type == "question"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Проблема в том, что зона находится в поле `parcel`, а не в корне.", "error"),
        ("Понял! Дело в том, что весы отправляют граммы.", "error"),
        ("Проблема: принтер возвращает зону без номера.", "error"),
        ("Проблема в тому, що зона лежить у полі `parcel`.", "error"),
        ("Problem polega na tym, że waga wysyła gramy.", "error"),
        ("Das Problem ist, dass die Waage Gramm sendet.", "error"),
        ("Le problème est que la balance envoie des grammes.", "error"),
        ("El problema es que la báscula envía gramos.", "error"),
        ("O problema é que a balança envia gramas.", "error"),
        ("Il problema è che la bilancia invia grammi.", "error"),
        ("Het probleem is dat de weegschaal grammen stuurt.", "error"),
        ("Vấn đề là cân gửi gam.", "error"),
        ("問題は、秤がグラムで送っていることです。", "error"),
        ("问题在于秤发送的是克。", "error"),
        ("문제는 저울이 그램을 보낸다는 것입니다.", "error"),
        ("В базе зона `NORTH`, но код проверяет `N`.", "discovery"),
        ("Вижу проблему! В коде есть несоответствие между зонами весов и принтера.", "discovery"),
        ("Оказалось, что весы отправляют граммы.", "discovery"),
        ("У базі зона `NORTH`, але код перевіряє `N`.", "discovery"),
    ],
)
def test_what_is_the_matter_is_known(text: str, kind: str) -> None:
    assert only(event({"role": "assistant", "text": text})).type == kind


@pytest.mark.parametrize(
    "text",
    [
        "Проблем с печатью больше нет.",
        "В чём проблема, пока неизвестно.",
        "Код проверяет зону перед печатью.",
        "Das ist kein Problem für die Waage.",
        "没有问题是因为秤很新。",
        "Das Problem ist gelöst.",
        "문제는 없습니다.",
    ],
)
def test_what_is_no_matter_is_no_error(text: str) -> None:
    assert only(event({"role": "assistant", "text": text})).type not in ("error", "discovery")


def test_a_question_is_a_sentence_of_its_own() -> None:
    one = only(event({"role": "assistant", "text": "لماذا فشل؟ السبب هو انتهاء صلاحية الشهادة."}))
    assert (one.type, one.title) == ("bugfix", "السبب هو انتهاء صلاحية الشهادة.")


def test_a_long_line_takes_no_longer_than_it_is() -> None:
    began = Stopwatch(time.process_time)
    bits = ("원인은 ", "오류 ", "قررنا ", "السبب ", "हमने ", "कारण ", "समस्या ", "hata ", "przyczyną ", "причина ",
            "ошибки ", "chúng tôi ", "nguyên nhân ", "lỗi ", "สาเหตุ", "แก้ปัญหา", "чому ", "karar ")  # fmt: skip
    for bit in (*bits, "но код "):
        for text in (bit * (20_000 // len(bit)), bit.strip() * (20_000 // len(bit))):
            tongues.decides(text)
            tongues.mends(text)
            tongues.breaks(text)
            tongues.teaches(text)
            tongues.asks_to_know(text)
    assert began.fair < 5
