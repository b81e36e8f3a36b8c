"""What an agent is told before it starts."""

from __future__ import annotations

from datetime import UTC, datetime

from muster.domain.memory import NewObservation
from muster.storage.context import context_for

from .memories import Project, new_project


async def test_context_keeps_to_its_budget_and_tells_what_matters(project: Project) -> None:
    await project.put(
        NewObservation(title="We pool connections", type="decision", narrative="Because opening costs 20 ms. " * 20),
        NewObservation(title="Pool exhausted under load", type="bugfix", facts=["The limit was 5", "It is 20 now"]),
        NewObservation(title="pool exhausted  under load!", type="bugfix"),
        NewObservation(title="The pool's file", files_modified=["src/pool.py"]),
    )
    await project.put(NewObservation(title="Session of Monday", type="summary"), summary=True)
    db, who = project.tenant.db, project.tenant.id
    told = await context_for(db, who, project.id, "make the connection pool larger", files=["src/pool.py"])
    titles = [item["title"] for item in told.items]
    assert len(titles) == 4  # of the two that say the same, one
    assert {"Session of Monday", "The pool's file", "We pool connections"} < set(titles)
    assert "## Decisions" in told.markdown
    assert "## Errors and fixes" in told.markdown
    assert all(item["id"] in told.markdown for item in told.items)
    for budget in (100, 150, 200, 400, 1000):
        told = await context_for(db, who, project.id, "make the connection pool larger", budget_tokens=budget)
        assert told.tokens <= budget
        assert len(told.markdown) / 4 <= budget
    empty = await new_project(project.tenant)
    assert (await context_for(db, who, empty.id, "anything")).markdown == ""


async def test_what_fits_a_task_best_comes_first_whatever_it_is(project: Project) -> None:
    others = [NewObservation(title=f"Widget report {word}", type="decision", narrative=f"Of the {word} widget")
              for word in ("amber", "cobalt", "ochre", "teal", "umber")]  # fmt: skip
    await project.put(
        *others,
        NewObservation(title="The zeppelin importer drops rows of last year", narrative="It reads 100 at a time."),
        NewObservation(title="Why does the zeppelin importer drop rows?", type="question"),
    )
    told = await context_for(project.tenant.db, project.tenant.id, project.id, "Mend the rows of the zeppelin importer")
    groups = list(dict.fromkeys(item["group"] for item in told.items))
    assert told.items[0]["title"].startswith("The zeppelin importer drops")
    assert groups[0] == "Facts"
    assert [item["title"] for item in told.items if item["group"] == "Questions asked"] == [
        "Why does the zeppelin importer drop rows?"
    ]
    places = [told.markdown.index(f"## {group}") for group in groups]
    assert places == sorted(places)


async def test_what_is_known_comes_before_what_was_asked_for(project: Project) -> None:
    wanted = [
        NewObservation(title=f"Deploy build {n} to the edge of {place}", type="request")
        for n, place in ((214, "Bern"), (215, "Graz"), (216, "Brno"))
    ]
    await project.put(
        *wanted,
        NewObservation(title="Edge boxes take signed builds alone", narrative="What is not signed is rolled back."),
    )
    db, who = project.tenant.db, project.tenant.id
    told = await context_for(db, who, project.id, "Deploy build 217 to the edge of Linz")
    assert [item["group"] for item in told.items] == ["Facts", *["Asked for before"] * 3]
    small = await context_for(db, who, project.id, "Deploy build 217 to the edge of Linz", budget_tokens=100)
    assert [item["title"] for item in small.items] == ["Edge boxes take signed builds alone"]


async def test_a_large_budget_is_used_and_a_small_one_goes_to_the_files(project: Project) -> None:
    await project.put(
        *(
            NewObservation(title=f"The pool number {n} has {n * 7} connections and a name of its own")
            for n in range(70)
        ),
        NewObservation(title="Never sort in here", files_modified=["src/sorting.py"]),
    )
    db, who = project.tenant.db, project.tenant.id
    told = await context_for(db, who, project.id, "make the connection pool larger", budget_tokens=8000)
    assert len(told.items) > 60
    told = await context_for(
        db, who, project.id, "make the connection pool larger", files=["src/sorting.py"], budget_tokens=130
    )
    assert "Never sort in here" in [item["title"] for item in told.items]
    assert len(told.items) < 4


async def test_the_summary_that_has_to_do_with_the_task_is_told_and_what_the_last_one_left_open(
    project: Project,
) -> None:
    sessions = [
        (
            "Summary: Mend the zeppelin importer",
            "Done:\n- The importer reads rows\n\nOpen:\n- Rows of 2019 are missing",
        ),
        ("Summary: Paint the pages", "Done:\n- The pages are green\n\nOpen:\n- The footer is still blue"),
    ]
    for day, (title, narrative) in enumerate(sessions, 1):
        at = datetime(2026, 11, day, tzinfo=UTC)
        await project.put(
            NewObservation(title=title, type="summary", narrative=narrative, occurred_at=at), summary=True
        )
    await project.put(
        NewObservation(title="I want to see each migration before it runs.", type="preference"),
        NewObservation(title="I like it!", type="preference"),
        *(NewObservation(title=f"Zeppelin importer, part {n}", narrative="It reads rows.") for n in range(5)),
    )
    db, who = project.tenant.db, project.tenant.id
    told = await context_for(db, who, project.id, "Load the missing rows of the zeppelin importer")
    groups = {item["title"]: item["group"] for item in told.items}
    assert groups["Summary: Mend the zeppelin importer"] == "Recent summaries"
    assert groups["Summary: Paint the pages"] == "Left open"
    assert groups["I want to see each migration before it runs."] == "Preferences"
    assert "Open: Rows of 2019 are missing" in told.markdown
    assert "The footer is still blue" in told.markdown
    assert "The pages are green" not in told.markdown
    told = await context_for(db, who, project.id, "Paint the footer of the pages")
    assert "The pages are green" in told.markdown
