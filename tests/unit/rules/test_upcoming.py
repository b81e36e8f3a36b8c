"""What an agent is about to do is nothing to remember in any language; what it did, decides and finds is."""

from __future__ import annotations

import time

import pytest

from muster.domain.memory import NewObservation
from muster.domain.rules import intents, upcoming
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only


def agent(text: str) -> list[NewObservation]:
    return made(event({"role": "assistant", "content": [{"type": "text", "text": text}]}))


@pytest.mark.parametrize(
    "text",
    [
        "運賃表の回帰確認としてテストを実行します。",
        "まず既存の倉庫ロジックを特定し、最小差分で保存処理まで追加します。",
        "最終報告用に、変更箇所の行番号を確定するため差分を確認します。",
        "次に `labels.ts` を読んで、印刷APIの有無を調べます。",
        "了解しました。ではラベルの修正を進めます。",
        "`README` に手順を追記します。あわせて目次を更新します。",
        "倉庫の実装が進行中です。コード確認を進めています。",
        "それでは始めましょう。",
        "Теперь обновим таблицу тарифов:",
        "Давайте сначала посмотрим на текущий файл:",
        "Отлично! Теперь давайте проверим, что склад собирается без ошибок:",
        "Я проанализирую склад и печать этикеток. Начну с изучения документации и кода.",
        "Теперь нужно исправить второе место, где печатается этикетка:",
        "Хорошо, сейчас запущу тесты.",
        "Теперь нужно убедиться, что принтер знает зону.",
        "Понял! Сначала изучу структуру склада:",
        "Сейчас буду искать, где печатается этикетка.",
        "Тепер оновимо таблицю тарифів:",
        "Давайте спочатку подивимося на поточний файл.",
        "Чудово! Зараз перевірю склад.",
        "이제 `rates.py` 파일을 추가하고 푸시하겠습니다.",
        "먼저 창고 코드를 확인하겠습니다.",
        "알겠습니다. 라벨 프린터를 살펴보겠습니다.",
        "이어서 모든 창고를 조사합니다.",
        "테스트 돌려볼게요.",
        "让我先查看一下运费表。",
        "现在我来运行测试。",
        "好的，接下来我们检查标签打印机的代码：",
        "讓我們先看看倉庫的設定。",
        "我先读取配置文件，然后修改运费。",
        "Ich werde jetzt die Tarife aktualisieren.",
        "Als Nächstes schauen wir uns den Etikettendrucker an:",
        "Perfekt! Lass mich die Tests noch einmal laufen lassen.",
        "Jetzt füge ich die Zone hinzu:",
        "Ich prüfe zuerst die Konfiguration.",
        "Je vais maintenant mettre à jour les tarifs.",
        "Parfait ! Vérifions d'abord l'imprimante :",
        "Commençons par regarder le fichier des zones.",
        "Laissez-moi lire la configuration.",
        "Ahora voy a actualizar las tarifas.",
        "¡Perfecto! Vamos a revisar la impresora:",
        "Déjame ver el archivo de zonas.",
        "Primero ejecutaré las pruebas.",
        "Agora vou atualizar as tarifas.",
        "Deixe-me verificar a impressora primeiro:",
        "Vamos rodar os testes.",
        "Ora aggiorniamo le tariffe:",
        "Perfetto! Vediamo prima il file delle zone.",
        "Adesso eseguirò i test.",
        "Ik ga nu de tarieven bijwerken.",
        "Laten we eerst naar de printer kijken:",
        "Teraz zaktualizuję tabelę stawek.",
        "Najpierw sprawdźmy drukarkę etykiet:",
        "Şimdi tarifeleri güncelleyeceğim.",
        "Önce yazıcıya bakalım:",
        "Testleri çalıştırıyorum.",
        "الآن سأقوم بتحديث جدول الأسعار.",
        "دعني أتحقق من الطابعة أولا:",
        "अब मैं दरों की तालिका अपडेट करूँगा।",
        "चलिए पहले प्रिंटर देखते हैं।",
        "Bây giờ tôi sẽ cập nhật bảng giá.",
        "Hãy kiểm tra máy in trước.",
        "Sekarang saya akan memperbarui tabel tarif.",
        "Nu ska jag uppdatera taxorna.",
        "Lad mig først se på printeren.",
        "ตอนนี้ผมจะตรวจสอบตารางราคา",
    ],
)
def test_what_an_agent_is_about_to_do_is_nothing(text: str) -> None:
    assert agent(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "テストを実行しました。12件失敗しています。",
        "運賃表を更新しました。",
        "このスクリプトは毎晩テストを実行します。",
        "サーバーが起動時に設定を確認します。",
        "起動時は状態が `disconnected` になります。",
        "この方法ではエラーが発生します。",
        "保存先は `data/rates.json` です。",
        "印刷には管理者の権限が必要です。",
        "Обновил таблицу тарифов.",
        "Будем использовать Postgres для тарифов.",
        "Тесты проходят, кроме печати этикеток.",
        "Теперь нужно передавать зону в заголовке.",
        "Вижу, что этикетки печатаются без зоны.",
        "Склад проверяет зону при каждом запросе.",
        "Оновив таблицю тарифів.",
        "서버는 시작할 때 설정을 확인합니다.",
        "테스트를 실행했습니다. 열두 개가 실패합니다.",
        "요금표에는 Postgres를 사용하겠습니다.",
        "这个服务每晚检查一次运费表。",
        "我们将使用 Postgres 保存运费。",
        "我已经更新了运费表。",
        "Ich habe die Tarife aktualisiert.",
        "Wir werden Postgres für die Tarife verwenden.",
        "Ich sehe zwei Fehler im Protokoll der Waage.",
        "Der Drucker prüft die Zone bei jedem Start.",
        "J'ai mis à jour les tarifs.",
        "Nous allons garder Postgres pour les tarifs.",
        "L'imprimante vérifie la zone au démarrage.",
        "He actualizado las tarifas.",
        "Vamos a usar Postgres para las tarifas.",
        "Vamos bien con las tarifas del norte.",
        "Atualizei as tarifas.",
        "Vou manter o Postgres para as tarifas.",
        "Ho aggiornato le tariffe.",
        "La stampante controlla la zona.",
        "Ik heb de tarieven bijgewerkt.",
        "We gaan Postgres gebruiken voor de tarieven.",
        "Zaktualizowałem tabelę stawek.",
        "Tarifeleri güncelledim.",
        "Tarifeler için Postgres kullanacağız.",
        "قمت بتحديث جدول الأسعار.",
        "मैंने दरों की तालिका अपडेट कर दी।",
        "हम दरों के लिए Postgres का उपयोग करेंगे।",
        "Tôi đã cập nhật bảng giá.",
        "Máy in kiểm tra vùng khi khởi động.",
        "Saya sudah memperbarui tabel tarif.",
        "Jag har uppdaterat taxorna.",
    ],
)
def test_what_it_did_decides_or_finds_is_kept(text: str) -> None:
    (one,) = agent(text)
    assert one.importance >= 0.35
    assert one.narrative == text


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("インライン編集を撤去し、ダイアログに切替済みです。次に印刷の調整を行い、テストを実行します。",
         "インライン編集を撤去し、ダイアログに切替済みです。"),
        ("Отлично! Предупреждения весов исчезли. Теперь давайте проверим печать:", "Предупреждения весов исчезли."),
        ("Der Drucker braucht Port 9100. Ich prüfe jetzt die Konfiguration.", "Der Drucker braucht Port 9100."),
        ("이 프린터는 9100 포트가 필요합니다. 먼저 설정을 확인하겠습니다.", "이 프린터는 9100 포트가 필요합니다."),
        ("Ahora voy a revisar la impresora. La zona norte no tiene tarifa.", "La zona norte no tiene tarifa."),
        ("完成了运费表，共 12 行。现在我来运行测试。", "完成了运费表，共 12 行。"),
    ],
)  # fmt: skip
def test_what_it_tells_beside_it_is_the_title(text: str, title: str) -> None:
    (one,) = agent(text)
    assert (one.type, one.title, one.narrative) == ("fact", title, text)


@pytest.mark.parametrize(
    "text",
    [
        "差分の適用が失敗したため、`rates.ts` を全面的に修正します。",
        "Jetzt füge ich die Zone von Hand hinzu, denn der Import kennt sie nicht.",
        "먼저 창고를 확인하겠습니다. 요금표가 비어 있기 때문에 필요합니다.",
    ],
)
def test_a_reason_is_kept(text: str) -> None:
    assert len(agent(text)) == 1


@pytest.mark.parametrize(
    "text",
    ["Теперь обновим таблицу тарифов.", "明日、倉庫を確認します。", "Ich werde morgen die Waage prüfen.",
     "이제 창고를 확인하겠습니다.", "Ahora voy a actualizar las tarifas.", "我先查看一下运费表。"],
)  # fmt: skip
def test_what_a_person_is_going_to_do_is_kept(text: str) -> None:
    one = only(event({"speaker": "Ann", "text": text}))
    assert one.title == f"Ann: {text}"
    assert one.importance > 0.25
    assert len(made(event({"role": "user", "content": text}))) == 1


def test_hostile_steps_take_no_longer_than_they_are() -> None:
    began = Stopwatch(time.process_time)
    bits = ("теперь ", "давайте ", "ich werde ", "wir en ", "je vais ", "を確認し", "が", "がをが", "は、", "확인 ",
            "는 ", "हम ", "alım ", "我们", "ok, ", "понимаю ", "。", "ます", "ない", "- ")  # fmt: skip
    for bit in (*bits, "ahora, voy a "):
        for text in (bit * (256_000 // len(bit)), bit * (590 // len(bit))):
            for _ in range(20):
                upcoming.is_ahead(text)
                upcoming.understands(text)
                intents.has_reason(text)
    assert began.fair < 5
