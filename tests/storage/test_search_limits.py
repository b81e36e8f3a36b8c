"""Long texts, many files, and what is seen again: found as well as what is short and seen once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from muster.domain.memory import NewObservation
from muster.domain.search import Query
from muster.storage import observations, search
from muster.storage.context import context_for
from muster.storage.observations import Where

from .memories import Project

NOW = datetime.now(UTC)


async def first(project: Project, query: str, **more: Any) -> str | None:
    where = Query(query=query, **more)
    found = await search.search(project.tenant.db, project.tenant.id, [str(project.id)], where)
    return found.items[0]["title"] if found.items else None


async def test_a_long_text_is_found_by_any_word_of_it(project: Project) -> None:
    words = [
        f"{chr(97 + n % 26)}{'aeiou'[n % 5]}{chr(98 + n // 26 % 24)}{'aeiou'[n // 7 % 5]}lm{n:04d}" for n in range(1500)
    ]
    await project.put(NewObservation(title="The handbook", narrative=" ".join(words)))
    await project.put(*(NewObservation(title=f"A note, the {n}th") for n in range(20)))
    for word in (words[0], words[400], words[900], words[-1]):
        assert await first(project, word) == "The handbook", word


async def test_all_files_and_concepts_are_filters(project: Project) -> None:
    await project.put(
        NewObservation(
            title="Renamed all of them",
            files_modified=[f"src/pkg{n}/mod_{n}.py" for n in range(100)],
            concepts=[f"concept{n}" for n in range(100)],
        )
    )
    for n in (0, 29, 30, 99):
        assert await first(project, "rename", file=f"mod_{n}.py")
        assert await first(project, "rename", file=f"src/pkg{n}/mod_{n}.py")
        assert await first(project, "rename", concept=[f"concept{n}"])


@pytest.mark.parametrize("vectors", [False, True])
async def test_an_identifier_in_a_long_text_is_found_first(project: Project, vectors: bool) -> None:
    said = "The service was restarted because its connections to the database had all been used up by the import. "
    notes = [
        NewObservation(title=f"Notes {n}", narrative=said * 20 + f"It was svc-{n:02d}. " + said * 20) for n in range(40)
    ]
    ids = await project.put(*notes)
    if vectors:  # all alike, in another order than the ids
        await project.vectors(ids, [[1.0, (n * 7 % 40) / 400, 0.0] for n in range(40)])
    for n in range(40):
        found = await project.find(f"svc-{n:02d}", vector=[1.0, 0.05, 0.0] if vectors else None, limit=1)
        assert found == [f"Notes {n}"]


async def test_names_without_their_umlauts(project: Project) -> None:
    await project.titled("Herr Schröder prüft die Größenbeschränkung", "Frau Mueller liest")
    for query in ("Schroeder", "schroder", "Groessenbeschraenkung", "Größenbeschränkung"):
        assert await first(project, query) == "Herr Schröder prüft die Größenbeschränkung", query
    assert await first(project, "Müller") == "Frau Mueller liest"


async def test_digests_that_begin_alike_are_told_apart(project: Project) -> None:
    await project.titled("Commit 9f3c2ab7d41e", "Commit 9f3c2ab8d41e")
    for query in ("9f3c2ab8", "9f3c2ab8d4", "9f3c2ab8d41e8c55aa00112233445566778899aa"):
        assert await first(project, query) == "Commit 9f3c2ab8d41e", query
    assert await first(project, "9f3c2ab7d") == "Commit 9f3c2ab7d41e"


async def test_a_type_is_the_same_in_any_case(project: Project) -> None:
    await project.put(NewObservation(title="We pool", type="Decision"))
    assert await first(project, "pool", type=["decision"]) == "We pool"
    listed, _ = await observations.page(project.tenant.db, project.tenant.id, Where(type=["DECISION"]))
    assert len(listed) == 1


async def test_who_asked_the_same_has_not_answered_it(project: Project) -> None:
    ids = await project.put(
        NewObservation(title="why 502 on login", type="request", narrative="why 502 on login"),
        NewObservation(
            title="The login answers 502 under load", type="bugfix",
            narrative="The proxy kept too few connections open to the service; keepalive is 256 now.",
        ),
    )  # fmt: skip
    assert await first(project, "login 502") == "The login answers 502 under load"
    await project.vectors(ids, [[1.0, 0.0, 0.0], [0.9, 0.1, 0.0]])
    for query in ("login 502", "why 502 on login?"):
        assert await project.find(query, vector=[1.0, 0.0, 0.0], limit=1) == ["The login answers 502 under load"]


async def test_what_was_seen_again_is_found_by_both_times(project: Project) -> None:
    said = "The importer must lock the table before it reads the licences, else rows are lost on the way."
    events = await project.events(2)
    one, two = events[:1], events[1:]
    old, new = NOW - timedelta(days=400), NOW - timedelta(days=2)
    for at, sources in ((old, one), (new, two)):
        about = NewObservation(title=said, narrative=said, occurred_at=at, sources=sources)
        await project.put(about, job=True)
    assert await project.tenant.rows("SELECT seen, last_seen_at FROM observations") == [(2, new)]
    month, year = NOW - timedelta(days=30), NOW - timedelta(days=365)
    assert await first(project, "importer licences", after=month) == said
    assert await first(project, "importer licences", before=year) == said
    assert await first(project, "importer licences", after=NOW) is None
    db, who = project.tenant.db, project.tenant.id
    assert len((await observations.page(db, who, Where(after=month)))[0]) == 1
    assert len((await observations.page(db, who, Where(after=NOW)))[0]) == 0


async def test_a_small_budget_tells_what_the_first_says(project: Project) -> None:
    await project.put(
        NewObservation(
            title="The login answers 502 under load", type="bugfix",
            narrative="The proxy kept too few connections; keepalive is 256 now. " + "It was seen on a Monday. " * 20,
        ),
        *(NewObservation(title=f"Refactored the wishlist module, step {n}") for n in range(20)),
    )  # fmt: skip
    db, who = project.tenant.db, project.tenant.id
    told = await context_for(db, who, project.id, "why does the login answer 502", budget_tokens=300)
    assert "keepalive is 256" in told.markdown
    assert told.tokens <= 300


async def test_an_agent_is_not_told_what_it_is_asked(project: Project) -> None:
    await project.put(
        NewObservation(title="deploy ocelot", type="request", narrative="Please deploy the ocelot service"),
        NewObservation(title="Ocelot deploys need the VPN"),
    )
    db, who = project.tenant.db, project.tenant.id
    for task in ("deploy ocelot\nPlease deploy the ocelot service", "Deploy the ocelot service, please."):
        told = await context_for(db, who, project.id, task, budget_tokens=100)
        assert [item["title"] for item in told.items] == ["Ocelot deploys need the VPN"], task


@pytest.mark.parametrize(
    ("title", "budget"), [("部署需要先连接专用网络" * 18, 100), ("a long title of words " * 20, 100)]
)
async def test_a_long_title_is_told_as_far_as_it_fits(project: Project, title: str, budget: int) -> None:
    await project.put(NewObservation(title=title[:200]))
    told = await context_for(project.tenant.db, project.tenant.id, project.id, title[:40], budget_tokens=budget)
    assert title[:12] in told.markdown
    assert told.tokens <= budget


async def test_a_mistake_that_changes_the_stem_is_forgiven(project: Project) -> None:
    await project.put(
        *(
            NewObservation(title=f"The {name} was moved to the other cluster")
            for name in (
                "scheduler", "ranking", "tokenizer", "migrations", "configuration", "synchronization", "permissions",
            )
        ),
        NewObservation(title="Messages are dropped when the disk is full"),
    )  # fmt: skip
    for query, found in {
        "schedler": "scheduler", "ranknig": "ranking", "tokneizer": "tokenizer", "tokenzier": "tokenizer",
        "migraitons": "migrations", "configuraton": "configuration", "syncronization": "synchronization",
        "permissons": "permissions", "mesages": "Messages", "messagse": "Messages", "drps": "dropped",
    }.items():  # fmt: skip
        title = await first(project, query)
        assert title is not None, query
        assert found in title, query


async def test_mistakes_in_other_languages_are_forgiven(project: Project) -> None:
    words = ("Überweisungen", "Kündigungen", "Verschlüsselung", "Berechtigungen", "Zahlungsabwicklung")
    await project.titled(*(f"Die {word} werden mit dem neuen Dienst geprüft" for word in words))
    await project.titled("Las notificaciones de los usuarios no se envían con el servidor nuevo")
    for query, found in {
        "Überweisugen": "Überweisungen", "Kündgung": "Kündigungen", "Verschlüselung": "Verschlüsselung",
        "Berechtgungen": "Berechtigungen", "Zahlungsabwiklung": "Zahlungsabwicklung",
        "notificacones": "notificaciones",
    }.items():  # fmt: skip
        title = await first(project, query)
        assert title is not None, query
        assert found in title, query


async def test_a_misspelt_word_counts_as_the_one_that_was_meant(project: Project) -> None:
    """Vectors know nothing of words that are none: the only row that holds the word goes first."""
    wanted = NewObservation(title="The scheduler drops a beat")
    others = [NewObservation(title=f"{name} is kept for an hour") for name in ("Cache", "Index", "Archive")]
    ids = await project.put(wanted, *others)
    await project.vectors(ids, [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.9, 0.1, 0.0], [0.9, 0.2, 0.0]])
    found = await project.found("shceduler mesages", vector=[1.0, 0.0, 0.0])
    assert found.items[0]["title"] == wanted.title


async def test_a_short_word_that_is_none_here_is_not_taken_for_its_neighbour(project: Project) -> None:
    """`sent` is right, and nobody asks for a seat. By itself it may be a mistake, and the beginning of a word is."""
    await project.titled("Authorization of the licence is by seat", "The cooks make soup", "Trains are late")
    await project.titled(*(f"Invoices of {month} go by mail" for month in ("March", "April", "May")))
    for query, found in {
        "when are invoices sent": "Invoices", "sent": "seat", "when are invoices auth": "Authorization",
    }.items():  # fmt: skip
        title = await first(project, query)
        assert title is not None, query
        assert found in title, query
