"""What a tool was given, as what it means: a command, a plan, questions to the user and what was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from muster.domain.rules.json import dicts, first, line_of, opened, text_of
from muster.domain.rules.text import cleaned, one_line, readable, unique

COMMAND_CHARS = 4000
MAX_QUESTIONS = 8


class Choice(NamedTuple):
    """A question that somebody was asked, and the answer."""

    question: str
    answer: str
    about: str
    """What the answer was said to mean, and what was said beside it."""
    others: list[str]
    """What was not chosen."""


def command_of(asked: dict[str, Any]) -> str:
    command = first(asked, "command", "cmd", "script", "argv", "input")
    if isinstance(command, list):
        words = [word for word in command[:200] if isinstance(word, str)]
        if len(words) >= 3 and words[0].rpartition("/")[2] in ("sh", "bash", "zsh") and words[1] in ("-c", "-lc"):
            words = words[2:]
        return cleaned(" ".join(words), COMMAND_CHARS)
    return text_of(command, COMMAND_CHARS)


def plan_of(asked: dict[str, Any]) -> list[tuple[str, str]]:
    items = []
    for item in dicts(first(asked, "todos", "plan", "items", "steps", "tasks")):
        what = line_of(item, "content", "step", "title", "subject", "text", "description")
        if what:
            items.append((what, line_of(item, "status", "state") or "pending"))
    return items[:50]


# -- Questions -------------------------------------------------------------------------------------------------------

_QUESTION = ("question", "prompt", "message", "header")
_BEFORE = ("User has answered your questions:", "User has answered your question:", "User selected:", "User chose:",
           "User answered:", "User responded:", "The user answered:", "<answer>")  # fmt: skip
_NO_ANSWER = ("the user did not", "user did not", "no answer", "cancel", "timed out", "user declined", "dismissed")


def choices_of(asked: Mapping[str, Any], answered: Any) -> list[Choice]:
    """Of each question that was answered."""
    questions = dicts(opened(asked.get("questions"))) or [dict(asked)]
    places = [place for place in (answered, asked) if isinstance(place, dict)]
    found = []
    for number, question in enumerate(questions[:MAX_QUESTIONS]):
        what = line_of(question, *_QUESTION)
        answer = _answer(question, what, number, answered, places, alone=len(questions) == 1)
        if not what or not readable(answer) or answer.lower().startswith(_NO_ANSWER):
            continue
        options = [(label, line_of(one, "description")) for one in _options(question)
                   if (label := line_of(one, "label", "name", "value", "text", "title"))]  # fmt: skip
        chosen = {answer, *(part.strip() for part in answer.split(","))}
        about = [about for label, about in options if label in chosen and about]
        about += [note for place in places if (note := _note(place, what))]
        others = unique((one_line(label) for label, _ in options if label not in chosen), 8)
        found.append(Choice(what, answer, "\n".join(about), others))
    return found


def _options(question: Mapping[str, Any]) -> list[dict[str, Any]]:
    options = opened(first(question, "options", "choices", "follow_up"))
    plain = [{"label": one} for one in options[:20] if isinstance(one, str)] if isinstance(options, list) else []
    return plain or dicts(options)


def _answer(
    question: Mapping[str, Any], what: str, number: int, answered: Any, places: list[dict[str, Any]], *, alone: bool
) -> str:
    for place in places:
        answers = opened(place.get("answers", place.get("answer")))
        keys = (question.get("question"), what, question.get("id"), question.get("header"))
        if isinstance(answers, dict):
            value = next((answers[key] for key in keys if isinstance(key, str) and key in answers), None)
        elif isinstance(answers, list) and len(answers) > number:
            value = answers[number]
        else:
            value = answers if alone and isinstance(answers, str) else None
        if told := _told(value):
            return told
    texts = [text_of(answered), *(text_of(place.get(key)) for place in places[:1] for key in ("output", "result"))]
    return next((told for text in texts if text and (told := _in(text, what, alone=alone))), "")


def _told(value: Any) -> str:
    """One answer, or several; in itself, or under a name for it."""
    if isinstance(value, dict):
        value = first(value, "answers", "answer", "selected", "label", "value", "text")
    if isinstance(value, list):
        return ", ".join(told for one in value[:20] if (told := _told(one)))
    return cleaned(value, 2000) if isinstance(value, str) else ""


def _in(text: str, what: str, *, alone: bool) -> str:
    """Where it is a text, each answer stands behind its question, in quotes."""
    head = f'"{what}"="'
    if (at := text.find(head)) >= 0:
        rest = text[at + len(head) :][:2000]
        ends = [end for mark in ('",', '".', '" ') if (end := rest.find(mark)) >= 0]
        return rest[: min(ends)] if ends else rest.rstrip('"')
    if not alone or '"="' in text:
        return ""
    for begins in _BEFORE:
        text = text.removeprefix(begins).strip()
    return text.removesuffix("</answer>").strip()[:2000]


def _note(place: Mapping[str, Any], what: str) -> str:
    notes = place.get("annotations")
    inner = notes.get(what) if isinstance(notes, dict) else None
    return text_of(inner.get("notes"), 1000) if isinstance(inner, dict) else ""
