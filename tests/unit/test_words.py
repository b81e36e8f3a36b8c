"""Words as they are found: whatever form, script, or part of a name they are asked in."""

from __future__ import annotations

from uuid import uuid4

import pytest

from muster.domain import words
from muster.domain.search import Query
from muster.domain.stems import stem

PROJECT = uuid4()


def found(text: str, query: str) -> bool:
    """Whether a query for it would find the text."""
    terms = set(words.index(PROJECT, text).terms)
    wanted = words.wanted(query)
    return bool(wanted) and all(terms & set(want.terms) for want in wanted)


@pytest.mark.parametrize(
    "family",
    [
        "licence license licensing licensed licences", "organise organize organisation organizing organised",
        "cancel cancelled canceled cancelling cancellation", "colour color colours coloured",
        "analyse analyze analysis",
        "connect connection connected connecting", "decide decision decided decisions", "retry retries retried",
        "deploy deployed deploying deploys", "migrate migration migrations migrating", "run ran running runs",
        "index indices indexes indexing", "behaviour behavior behaviours", "defence defense", "write wrote written",
        "configure configuration configured", "subscribe subscription", "failure failed failing", "query queries",
        "database databases", "cache caching cached", "dependency dependencies", "resolve resolution",
    ],
)  # fmt: skip
def test_forms_of_a_word_are_one(family: str) -> None:
    assert len({stem(word) for word in family.split()}) == 1, {word: stem(word) for word in family.split()}


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("NEW_CHECKOUT_FLOW is off", "newCheckoutFlow"), ("newCheckoutFlow is off", "new-checkout-flow"),
        ("new_checkout_flow is off", "newcheckoutflow"), ("seen: E4711-B", "e4711b"), ("ERR-4711", "err4711"),
        ("It came with v2.13.0-rc1", "2.13.0"), ("in src/new_checkout.py", "NewCheckout"),
        ("checkout_logging", "checkoutlogging"),
    ],
)  # fmt: skip
def test_a_name_is_one_however_its_parts_are_joined(text: str, query: str) -> None:
    terms = set(words.index(PROJECT, text).terms)
    whole = [want for want in words.wanted(query) if "".join(filter(str.isalnum, query.lower()))[:8] in
             "".join(filter(str.isalnum, want.terms[0]))]  # fmt: skip
    assert any(terms & set(want.terms) for want in whole), (terms, whole)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Die Lizenzen wurden nicht verlängert und sind abgelaufen", "Lizenz"),
        ("La conexión con la base de datos no funciona por las noches", "conexiones"),
        ("Les connexions à la base de données sont fermées", "connexion"),
        ("As conexões com o banco de dados não são fechadas", "conexão"),
        ("Le connessioni al database non sono chiuse per un errore", "connessione"),
        ("Ошибка подключения к базе данных на сервере", "подключение"),
        ("Größenänderung im Straßenverzeichnis", "GROSSENANDERUNG"),
        ("数据库连接池已耗尽", "连接池"),
        ("データベースの接続プールが枯渇した", "接続プール"),
        ("서울 데이터베이스 연결이 실패했습니다", "데이터베이스"),
        ("ฐานข้อมูลล้มเหลว", "ข้อมูล"),
        ("修复了 PostgreSQL 连接超时 timeout 的问题", "PostgreSQL 超时"),
        ("我家的猫", "猫"),
        ("The ＦＵＬＬＷＩＤＴＨ word", "fullwidth"),
    ],
)
def test_languages(text: str, query: str) -> None:
    assert found(text, query)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("muster/storage/words.py reads twice", "muster/storage/words.py"),
        ("muster/storage/words.py reads twice", "words.py"),
        ("muster/storage/words.py reads twice", "storage"),
        ("see words.py:42 for it", "words.py"),
        (r"C:\Users\me\words.py", "C:/Users/me/words.py"),
        ("getUserById returns None", "getUserById"),
        ("getUserById returns None", "user"),
        ("HTTPServerError was raised", "server error"),
        ("max_retry_count is 5", "retry"),
        ("psycopg.errors.UniqueViolation", "UniqueViolation"),
        ("psycopg.errors.UniqueViolation", "violation"),
        ("upgraded to v1.2.3", "1.2.3"),
        ("mongo says E11000 duplicate key", "e11000"),
        ("net::ERR_CONNECTION_RESET", "ERR_CONNECTION_RESET"),
        ("listens on 127.0.0.1:5432", "127.0.0.1"),
        ("listens on 127.0.0.1:5432", "5432"),
        ("written in C++ and C#", "c++"),
        ("the kebab-case-name flag", "kebab-case-name"),
        ("std::vector grows", "vector"),
        ("the client's request", "client"),
        ("many GPUs", "GPU"),
    ],
)
def test_names_are_found_whole_and_in_parts(text: str, query: str) -> None:
    assert found(text, query)


def test_small_words_find_nothing() -> None:
    assert words.wanted("what is the") == []
    assert [want.text for want in words.wanted("why was the import slow?")] == ["import", "slow"]


def test_what_is_said_twice_counts_more_and_what_stands_in_much_less() -> None:
    def weight(text: str, narrative: str = "") -> float:
        return words.index(PROJECT, text, narrative=narrative).weights[words.dimension("pool")]

    assert weight("pool") > weight("other", "pool")
    assert weight("other", "pool pool") > weight("other", "pool")
    assert weight("other", "pool") > weight("other", "pool " + "word " * 200)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("What did we say about ENISA last month?", {"enisa"}),
        ("Which ENISA?", {"enisa"}),
        ("Who is Mrs. Oyelaran of Brightwell?", {"mrs", "oyelaran", "brightwell"}),
        ("Kestrel stopped. Since when? Tests pass in March", set()),
        ("kestrel job", set()),
        ("warum mag Frau Schönfelder keine Umlaute", {"frau", "schonfelder", "umlaute"}),
        ("где живёт Петрова", {"петрова"}),
        ("rows of api.Gateway and WorkerPool", set()),
    ],
)
def test_who_is_named_is_meant(query: str, names: set[str]) -> None:
    assert {want.text for want in words.wanted(query) if want.weight > 1} == names


def test_a_word_is_a_project_s_own() -> None:
    assert words.word(PROJECT, "pool") != words.word(uuid4(), "pool")
    assert -(2**63) <= words.word(PROJECT, "pool") < 2**63
    assert 1 <= words.dimension("pool") <= words.SPACE


def test_a_long_text_keeps_its_beginning_its_concepts_and_its_files() -> None:
    text = " ".join(f"w{number}x" for number in range(5_000))
    kept = words.index(PROJECT, "the title", narrative=text, concepts=["pooling"], files=["a/b.py"])
    assert len(kept.terms) <= words.MAX_TERMS
    assert {"titl", "pool", "b.py", words.concept_term("Pooling"), words.file_term("b.py")} <= set(kept.terms)
    assert len(kept.words) == len(kept.terms) == len(set(kept.terms))


@pytest.mark.parametrize("text", ["", "\x00", "\ud800", "'", "....", "::", "a" * 100_000, "ﷺ" * 500, "🙂 🙂", "_" * 9])
def test_any_text_is_read(text: str) -> None:
    words.index(PROJECT, text, narrative=text, facts=[text], concepts=[text], files=[text])
    words.wanted(text)


def test_a_type_without_a_name_is_one_that_nothing_has() -> None:
    assert all(Query(query="pool", type=["", "decision"]).filters())
