"""Cells of notebooks: what came of running one, and whether it is the same that ran before."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from muster.domain.rules.json import opened
from muster.domain.rules.text import cleaned
from muster.domain.shapes.parts import Part, listed, mapping, use

MAX_OUTPUTS = 200
"""Of a cell, the last: an error is."""
MAX_CELLS = 12
"""Of a notebook."""
_OUTPUTS = frozenset({"stream", "execute_result", "display_data", "error", "pyout", "pyerr"})
_RUNS = re.compile(
    r"(?:execute|run|exec|eval)\w*(?:cell|code|notebook|python|kernel)\w*|\w*(?:jupyter|ipython|ipykernel|notebook)\w*|"
    r"\w{0,20}python\w{0,20}|code_interpreter",
    re.IGNORECASE,
)
_SHOWS = re.compile(
    r"(?:notebook_?)?(?:read|get|list|view|show|inspect|search|find|open|edit|write|insert)", re.IGNORECASE
)
_TRACEBACK = "Traceback (most recent call last)"
_LAST = re.compile(r"(?:[\w.]{1,200}\.)?[A-Za-z_]\w{2,80}(?:: \S.{0,2000})?")


def from_kernel(tool: str, answered: Any) -> Any:
    """What a kernel answered, as an answer of any tool. What only shows a cell did not run it."""
    if _SHOWS.match(tool.rpartition("__")[2][:100]) or (outputs := _outputs(answered)) is None:
        return answered
    said, errors = [], []
    for output in outputs[-MAX_OUTPUTS:]:
        if not isinstance(output, dict) or not (kind := _kind(output)):
            continue
        about = {**output, **mapping(output.get("content"))}
        if kind in ("error", "pyerr"):
            errors.append(_error(about))
        else:
            data = about.get("data")
            said.append(_text(data.get("text/plain") if isinstance(data, dict) else about.get("text")))
    told = {"output": "\n".join(part.rstrip("\n") for part in said if part)}
    return told | ({"error": "\n".join(errors)} if errors else {})


def has_raised(tool: str, answer: str) -> bool:
    """Whether a tool that runs code says that it failed: with a trace, and last the error."""
    if _TRACEBACK not in answer or not _RUNS.fullmatch(tool.rpartition("__")[2][:100].replace("-", "_")):
        return False
    return _LAST.fullmatch(answer.rstrip()[-4000:].rpartition("\n")[2].strip()[:2200]) is not None


def notebook(kind: str, document: dict[str, Any]) -> list[Part] | None:
    """Cells as notebooks keep them, those that ran. None: there is none."""
    if any(isinstance(document.get(key), str) for key in ("tool_name", "toolName", "tool")) or "tool" in kind:
        return None
    cells = listed(document.get("cells"), 1000) if "nbformat" in document else [mapping(document.get("cell")), document]
    where = {key: document[key] for key in _NOTEBOOKS if isinstance(document.get(key), str)}
    found = [part for cell in cells for part in _cell(cell, where, alone="nbformat" not in document)]
    return found[-MAX_CELLS:] or None


def _cell(cell: dict[str, Any], where: dict[str, Any], *, alone: bool) -> list[Part]:
    outputs, code = cell.get("outputs"), _code(cell)
    if cell.get("cell_type") == "markdown" and alone and code.strip():
        return [Part("message", {"text": code})]
    if cell.get("cell_type", "code") != "code" or not isinstance(outputs, list) or not code.strip():
        return []
    if "cell_type" not in cell and _outputs(outputs) is None:
        return []
    numbers = {key: cell[key] for key in _NUMBERS if _given(cell, key) is not None}
    return use("The notebook", {"code": code, **numbers, **where}, {"outputs": outputs})


def _outputs(answered: Any, level: int = 0) -> list[Any] | None:
    answered = opened(answered)
    if isinstance(answered, list):
        return answered if any(isinstance(one, dict) and _kind(one) for one in answered[-MAX_OUTPUTS:]) else None
    if not isinstance(answered, dict) or level > 2:
        return None
    if _kind(answered) or (isinstance(answered.get("ename"), str) and "evalue" in answered):
        return [{"output_type": "error", **answered} if "ename" in answered else answered]
    for key in ("outputs", "output", "result", "cell", "content"):
        if (found := _outputs(answered.get(key), level + 1)) is not None:
            return found
    return None


def _kind(output: Mapping[str, Any]) -> str | None:
    kind = output.get("output_type") or output.get("msg_type")
    return kind if isinstance(kind, str) and kind in _OUTPUTS else None


def _error(output: Mapping[str, Any]) -> str:
    """Its trace, and last what went wrong, as Python prints it."""
    name, why = _text(output.get("ename")).strip(), _text(output.get("evalue")).strip()
    last = f"{name}: {why}" if name and why else name or why
    trace = cleaned("\n".join(_text(line) for line in _listed(output.get("traceback"))))
    if not last:
        return trace or "error"
    return f"{trace.removesuffix(last).rstrip()}\n{last}".strip()


def _listed(value: Any) -> list[Any]:
    return value[-100:] if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "".join(part for part in value[:5000] if isinstance(part, str))
    return value if isinstance(value, str) else ""


# -- Which cell it is ------------------------------------------------------------------------------------------------

_NUMBERS = ("cell_id", "cellId", "cell_index", "cellIndex", "cell_number", "cell", "index", "id")
_NOTEBOOKS = ("notebook_path", "notebook", "path", "file_path", "uri")
_CODE = ("code", "source", "cell_source")
_CELLS = re.compile(r"cell|notebook", re.IGNORECASE)
_CALLED = re.compile(r"(?<![\w.])([A-Za-z_][\w.]{1,80})\(")
_ARROW = re.compile(r"^-{1,8}> {0,8}\d{1,6} (.{1,400})$", re.MULTILINE)


def is_same_cell(tool: str, later: Mapping[str, Any], failed: Mapping[str, Any], trace: str) -> bool:
    """By its number in its notebook; or by its code, where that does again what failed."""
    ours, theirs = _code(later).strip(), _code(failed).strip()
    if not theirs and not _CELLS.search(tool[:200]):
        return False
    if any(_given(later, key) != _given(failed, key) for key in _NOTEBOOKS):
        return False
    if any(_given(failed, key) is not None and _given(later, key) == _given(failed, key) for key in _NUMBERS):
        return True
    if not ours or not theirs:
        return False
    arrow = _ARROW.search(trace[:20_000])
    line = arrow[1].strip() if arrow and arrow[1].strip() in theirs else theirs.rpartition("\n")[2].strip()
    if ours == theirs or line in (one.strip() for one in ours.split("\n")):
        return True
    called = _CALLED.search(line[:400])
    return called is not None and f"{called[1]}(" in ours


def _given(asked: Mapping[str, Any], key: str) -> Any:
    value = asked.get(key)
    return value if isinstance(value, str | int) else None


def _code(asked: Mapping[str, Any]) -> str:
    return next((text for key in _CODE if (text := _text(asked.get(key)))), "")[:20_000]
