"""The set that search is measured by is what it says it is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from itertools import groupby
from pathlib import Path

import pytest

from benchmarks.recall import locomo, scores, xquad
from benchmarks.recall.material import KINDS
from benchmarks.recall.overlap import content_words, shared
from benchmarks.recall.questions import Question, Turn, number, recall_set

ROOT = Path(__file__).parents[2]
SET, UNSEEN = recall_set(), recall_set("unseen")
TURNS = {turn.id: turn for one in (SET, UNSEEN) for turn in one.turns}
QUESTIONS = [*SET.questions, *UNSEEN.questions]


def test_it_is_large_enough() -> None:
    assert len(SET.questions) >= 300
    assert len(SET.turns) >= 3000
    assert len({turn.session for turn in SET.turns}) >= 60
    assert len({turn.project for turn in SET.turns}) >= 5
    assert len(UNSEEN.questions) >= 250
    assert len(UNSEEN.turns) >= 1000


def test_every_kind_is_asked_often_enough_in_both_halves() -> None:
    counts = Counter((question.kind, question.half) for question in SET.questions)
    assert {kind for kind, _ in counts} == set(KINDS)
    assert min(counts.values()) >= 15, counts
    assert min(Counter(question.kind for question in UNSEEN.questions).values()) >= 30


def test_weights_are_judged_on_what_they_were_not_set_on() -> None:
    """The second set shares no project, no question and nothing that was written by hand with the first."""
    assert {turn.project for turn in SET.turns}.isdisjoint(turn.project for turn in UNSEEN.turns)
    assert {turn.text for turn in SET.turns if turn.kept}.isdisjoint(turn.text for turn in UNSEEN.turns)
    assert {question.half for question in UNSEEN.questions} == {"held out"}


def test_ids_and_questions_are_unique() -> None:
    assert len(TURNS) == len(SET.turns) + len(UNSEEN.turns)
    assert len({question.id for question in QUESTIONS}) == len(QUESTIONS)
    assert [text for text, times in Counter(q.text.lower() for q in QUESTIONS).items() if times > 1] == []


def test_evidence_is_there_in_the_question_s_project() -> None:
    for question in QUESTIONS:
        assert question.evidence
        assert {TURNS[turn].project for turn in question.evidence} == {question.project}


def test_the_turns_of_a_session_follow_each_other() -> None:
    for _, turns in groupby(SET.turns, key=lambda turn: turn.session):
        times = [turn.at for turn in turns]
        assert times == sorted(times)


def test_questions_of_several_sessions_have_evidence_in_several() -> None:
    for question in QUESTIONS:
        if question.kind == "multi":
            assert len({TURNS[turn].session for turn in question.evidence}) >= 2, question


def test_paraphrases_share_no_content_word_with_what_answers_them() -> None:
    found = {
        question.text: words
        for question in QUESTIONS
        if question.kind == "paraphrase"
        for turn in question.evidence
        if (words := shared(question.text, TURNS[turn].said))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("question", "answer", "words"),
    [
        ("Who handles licensing?", "Nadia has the licences.", {"licensing"}),
        ("How large is it?", "It is as large as that.", {"large"}),
        ("What is it?", "That is what it is.", set()),
    ],
)
def test_forms_of_a_word_are_the_same_word(question: str, answer: str, words: set[str]) -> None:
    assert shared(question, answer) == words


def test_questions_in_another_language_are_about_turns_in_another_language() -> None:
    languages = Counter(
        "cjk"
        if any(ord(character) > 0x2E80 for character in question.text)
        else "ascii"
        if question.text.isascii()
        else "other"
        for question in SET.questions
        if question.kind == "language"
    )
    assert all(languages[script] >= 10 for script in ("cjk", "ascii", "other")), languages


def test_there_is_enough_to_be_mistaken_for_evidence() -> None:
    """Of what was written by hand, a good part answers nothing; and most questions share words with other turns."""
    evidence = {turn for question in SET.questions for turn in question.evidence}
    assert sum(turn.kept and turn.id not in evidence for turn in SET.turns) >= 80
    disturbed = 0
    for question in SET.questions:
        words = content_words(question.text)
        disturbed += any(
            words & content_words(turn.said) for turn in SET.turns
            if turn.project == question.project and turn.id not in question.evidence
        )  # fmt: skip
    assert disturbed / len(SET.questions) > 0.75


def by_chance(question: Question, turn: Turn) -> float:
    return number(f"{question.id}/{turn.id}", 1 << 40)


def by_length(question: Question, turn: Turn) -> float:
    return len(turn.text)


def by_place(question: Question, turn: Turn) -> float:
    return -int(turn.id[-2:])


@pytest.mark.parametrize("key", [by_chance, by_length, by_place])
def test_nothing_but_what_is_said_gives_an_answer_away(key: object) -> None:
    judged = []
    for question in SET.questions:
        turns = [turn for turn in SET.turns if turn.project == question.project]
        turns.sort(key=lambda turn: key(question, turn), reverse=True)  # type: ignore[operator]
        judged.append(scores.of([(turn.id,) for turn in turns[:50]], question.evidence))
    assert scores.mean(judged).recall_10 < 0.08
    assert scores.mean(judged).mrr < 0.08


def test_it_is_the_same_in_every_process() -> None:
    """Also where hashes of strings are others."""
    code = (
        "import hashlib; from benchmarks.recall.questions import recall_set; "
        "print(hashlib.sha256(repr([recall_set(), recall_set('unseen')]).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_scores() -> None:
    ranking = [("a",), ("b", "c"), ("d",), ("e",), ("f",), ("g",)]
    assert scores.of(ranking, ["a"]) == (1.0, 1.0, 1.0)
    assert scores.of(ranking, ["c", "g"]) == (0.5, 1.0, 0.5)
    assert scores.of(ranking, ["x"]) == (0.0, 0.0, 0.0)
    assert scores.mean([scores.of(ranking, ["a"]), scores.of(ranking, ["x"])]) == (0.5, 0.5, 0.5)


def test_fused_is_only_ahead_when_it_beats_both() -> None:
    good, bad = scores.Score(1.0, 1.0, 1.0), scores.Score(0.5, 0.5, 0.5)
    assert scores.lost({"single": {"words": bad, "vectors": bad, "fused": good}}) == []
    assert scores.lost({"single": {"words": good, "vectors": bad, "fused": good}}) == ["single"]


def test_conversations_of_others_are_read(tmp_path: Path) -> None:
    said = {"speaker": "Ann", "dia_id": "D1:1", "text": "Look!", "blip_caption": "a photo of a kite"}
    talk = {"session_1_date_time": "1:56 pm on 8 May, 2023", "session_1": [said]}
    asked = [
        {"question": "What did Ann fly?", "category": 4, "evidence": ["D1:1; D9:9"]},
        {"question": "Who is Bob?", "category": 1, "evidence": ["D9:9"]},
        {"question": "And?", "category": 3},
    ]
    file = tmp_path / "talks.json"
    file.write_text(json.dumps([{"conversation": talk, "qa": asked}, {**talk, "qa": []}]))
    given = locomo.read(file)
    assert [(turn.id, turn.said, turn.at.isoformat()) for turn in given.turns] == [
        (f"talk-{place}/D1:1", "Ann: Look! [shares a photo: a photo of a kite]", "2023-05-08T13:56:00+00:00")
        for place in (0, 1)
    ]
    assert [(one.kind, one.project, one.evidence) for one in given.questions] == [
        ("one turn", "talk-0", ("talk-0/D1:1",))
    ]
    table = scores.table(given.questions, {"fused": [scores.of([("talk-0/D1:1",)], ("talk-0/D1:1",))]})
    assert list(table) == ["one turn", "all"]


def test_paragraphs_in_many_languages_are_read(tmp_path: Path) -> None:
    text = "Кайт упал в реку вчера вечером, около пяти. Анна достала его только утром, вместе с Борисом."
    asked = {"id": "q1", "question": "Кто достал кайт?", "answers": [{"answer_start": text.index("Анна")}]}
    for language in ("ru", "zh"):
        about = {"data": [{"paragraphs": [{"context": text, "qas": [asked] * 700}]}]}
        (tmp_path / f"xquad.{language}.json").write_text(json.dumps(about))
    given = xquad.read(tmp_path)
    first, second = (turn for turn in given.turns if turn.project == "ru")
    assert first.text.endswith("около пяти.")
    assert second.text.startswith("Анна")
    assert {(one.kind, one.project, one.evidence) for one in given.questions if one.kind == "ru"} == {
        ("ru", "ru", (second.id,))
    }
    assert len(given.questions) == 2 * xquad.QUESTIONS
    assert [turn.text for turn in given.turns if turn.project == "zh"] == [text], "of each language by its own marks"
