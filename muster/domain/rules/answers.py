"""What a tool answered: its words, its exit code, and whether it did what it was asked to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from muster.domain.rules.json import first, flattened, integer, text_of
from muster.domain.rules.text import cleaned


class Answer(NamedTuple):
    text: str
    code: int | None = None
    failed: bool = False
    refused: bool = False
    """Somebody did not allow it, so nothing was done."""
    instead: str = ""
    """What the one who refused said to do."""


_CODES = ("exit_code", "exitCode", "returncode", "return_code", "exit")
_ERRORS = ("error", "error_message", "errorMessage")
_TEXTS = ("stdout", "output", "result", "content", "text", "aggregated_output", "message", "llmContent",
          "returnDisplay", "textResultForLlm")  # fmt: skip
_FLAGS = frozenset(
    """
    interrupted isimage truncated nooutputexpected duration durationms durationseconds exitcode returncode exit
    iserror success ok timedout
    """.split()  # noqa: SIM905
)
"""What stands beside an answer and is none."""
_FAILED_STATES = frozenset("failed failure error rejected denied declined cancelled canceled aborted".split())  # noqa: SIM905
_REFUSED_STATES = frozenset("rejected denied declined".split())  # noqa: SIM905

_EXIT = re.compile(r"\s*(?:Error:\s*)?(?:Process )?exit(?:ed with)?(?: code| status)?:? (\d{1,3})\b", re.IGNORECASE)
_EXIT_LINE = re.compile(rf"(?:{_EXIT.pattern})[ \t]*(?:\n|\Z)", re.IGNORECASE)
_REFUSED = re.compile(
    r"\W{0,3}(?:<tool_use_error>|Error: ?)?(?:"
    r"(?:the )?user (?:(?:doesn['’]t|does not|did(?:n['’]t| not)) (?:want to (?:proceed|take)|allow|approve)\b|"
    r"(?:has )?(?:rejected|denied|declined|refused|cancell?ed)(?:\W*\Z|\W+(?:the|this|that|it|your|permission|tool)\b))"
    r"|Request interrupted by user|(?:exec(?:ution)? )?[\w-]{0,20} ?(?:rejected|denied|declined) by (?:the )?user\b"
    r"|Permission (?:to use|for) [^\n]{1,400} denied\b|\w{1,20} requested permissions? to\b[^\n]{1,1000} granted"
    r"|[^\n]{0,300}\btools? (?:and [\w ]{1,40} )?(?:is|are) (?:blocked|disabled|not (?:allowed|available)) (?:while|in|"
    r"during)\b"
    r"|Operation Cancell?ed\b|Tool execution (?:was )?(?:denied|rejected|cancell?ed)\b)",
    re.IGNORECASE,
)
_INSTEAD = re.compile(
    r"(?:user said|following (?:feedback|reason)[^:\n]{0,60}|reason for the rejection)\s?:\s(.+)", re.I | re.DOTALL
)
_NOT_THEIRS = re.compile(r"</?feedback>|\n\nNote:.*", re.DOTALL)

_NAME = re.compile(r"`[^`\n]{1,300}`|\S*[/\\]\S*|\S+\.\w{1,8}\b")
_DONE = re.compile(
    r"\b(?:success(?:fully)?|ok|done|wrote|updated|created|applied|edited|replaced|saved|inserted|deleted|overwrote|"
    r"(?:has|have) been (?:written|overwritten))\b",
    re.IGNORECASE,
)
_UNDONE = re.compile(
    r"\b(?:not found|no match(?:es)?|no (?:changes|occurrences?|replacements?|edits?)|no such|does(?:n['’]t| not) |"
    r"did(?:n['’]t| not) |(?:has|have|was|were|is|are)(?:n['’]t| not) |"
    r"not (?:been|be|unique|permitted|allowed|applied|changed|written|modified|"
    r"saved|updated|created|made|replaced|edited)\b|nothing (?:was |is |to )?(?:changed?|done|written|replaced?)\b|"
    r"(?:replaced )?\b0 (?:replacements?|occurrences|edits|matches|changes)|multiple (?:matches|occurrences)|"
    r"could(?:n['’]t| not)|can(?:not|['’]t)|unable to|fail(?:ed|ure|s)|\w*error|denied|rejected|refused|declined|"
    r"disk full|no space left|read-only|invalid|aborted|cancell?ed|already exists|"
    r"modified since|(?:[02-9]|1\d)\d* (?:matches|occurrences) (?:of|for)|must (?:be|read|first)|outside)",
    re.IGNORECASE,
)

_CONFIRMS = re.compile(
    r"(?:The file \S{1,400} has been (?:updated|created)(?: successfully)?|Updated task #\d{1,6} \w{1,20}|"
    r"File (?:created|updated) successfully at: \S{1,400}|Task #\d{1,6} created successfully: [^\n]{1,300}|"
    r"Todos have been modified [^\n]{1,300}|Success\. Updated the following files:(?:\n[AMDR] \S{1,400}){1,20}|"
    r"Successfully (?:wrote|replaced) [^\n]{1,400}?)\.?\s{0,9}"
)

_OF_CODEX = re.compile(
    r"(?:(?:Chunk ID|Exit code|Wall time|Process exited|Process running|Original token count|Total output lines)"
    r"[^\n]{0,120}\n){1,6}Output:(?:\n|\Z)"
)
_CODE_IN_HEAD = re.compile(r"^(?:Exit code:|Process exited with code) (\d{1,3})\b", re.MULTILINE)
_BEFORE_GEMINI = re.compile(r"(?:^|\n)(?:Stdout|Output): ?")
_AFTER_GEMINI = re.compile(
    r"(?:Stderr|Error|Exit Code|Signal|Background PIDs|Process Group (?:PGID|ID)): ?(.{0,500})", re.DOTALL
)
_ENDS_GEMINI = re.compile(r"^(?:Stderr|Error): [^\n]{0,500}\nExit Code: (?:\d|\(none\))", re.MULTILINE)
_LABELS = ("Command: ", "Output: ", "Stdout: ")
_NOTHING = frozenset({"", "(none)", "(empty)", "none", "null"})


def answer_of(answered: Any, payload: Mapping[str, Any], *, command: bool = False, edit: bool = False) -> Answer:
    """`payload` is what the answer came in, which may say how it went, too."""
    answered_in = answered if isinstance(answered, dict) else {}
    code, failed, errors = None, False, []
    for place in (payload, answered_in):
        code = _code(place, command) if code is None else code
        failed = failed or _says_failed(place, status=not command)
        if (command or edit) and _state(place) in _FAILED_STATES:
            failed = True
        errors += list(_errors(place))
    said = _said(answered, payload, command, bare=not errors)
    if command:
        said, found = _unframed(said)
        code = found if code is None else code
    told = [*errors, *([] if answered_in else [said])]
    if refused := next((text for text in told if _REFUSED.match(text)), ""):
        return Answer(refused, None, failed=True, refused=True, instead=_instead(refused))
    if _state(answered_in) in _REFUSED_STATES or _state(payload) in _REFUSED_STATES:
        return Answer(said, None, failed=True, refused=command or edit)
    if command or failed or errors:
        for text in (said, *errors):
            if code is None and (match := _EXIT.match(text)):
                code = int(match[1])
    if code is not None and not 0 <= code <= 255:
        code = None  # an HTTP status, say
    failed = failed or bool(errors) or bool(code) or said.startswith("<tool_use_error>")
    failed = failed or (_is_undone(answered) if edit else said.startswith("Error: "))
    stderr = [text for place in (payload, answered_in) if (text := text_of(place.get("stderr")))]
    parts = [said, *(text for text in dict.fromkeys((*errors, *stderr)) if text not in said)]
    text = cleaned("\n".join(part for part in parts if part))
    if code is not None and (match := _EXIT_LINE.match(text)):
        text = text[match.end() :].strip()
    return Answer(text, code, failed)


def confirms(text: str) -> bool:
    """Whether an answer says no more than that it was done, what the call tells of."""
    return _CONFIRMS.fullmatch(text[:10_000]) is not None


def _code(place: Mapping[str, Any], command: bool) -> int | None:
    inner = place.get("metadata")
    for within in (place, inner if isinstance(inner, dict) else {}):
        if (code := integer(first(within, *_CODES))) is not None:
            return code
    return integer(_status(place)) if command else None


def _status(place: Mapping[str, Any]) -> Any:
    return first(place, "code", "status", "statusCode", "status_code")


def _state(place: Mapping[str, Any]) -> str:
    state = place.get("status") or place.get("resultType")
    return state.strip().lower() if isinstance(state, str) else ""


def _says_failed(place: Mapping[str, Any], *, status: bool) -> bool:
    if place.get("is_error") is True or place.get("isError") is True or place.get("interrupted") is True:
        return True
    if place.get("success") is False or place.get("ok") is False:
        return True
    code = integer(_status(place)) if status else None  # of HTTP
    return code is not None and 400 <= code < 600


def _errors(place: Mapping[str, Any]) -> Iterator[str]:
    for key in _ERRORS:
        value = place.get(key)
        if isinstance(value, dict):
            value = text_of(value.get("message")) or text_of(value) or flattened(value, 2000)
        elif isinstance(value, list):
            value = text_of(value) or flattened(value, 2000)
        elif value is True:
            yield "error"
        if isinstance(value, str) and value.strip().lower() not in _NOTHING:
            yield cleaned(value)


def _said(answered: Any, payload: Mapping[str, Any], command: bool, *, bare: bool) -> str:
    if not isinstance(answered, dict):
        return text_of(answered) or text_of(payload.get("stdout"))
    if said := next((text for key in _TEXTS if (text := text_of(answered.get(key)))), ""):
        return said
    if isinstance(answered.get("filenames"), list):
        return ""
    if not bare or text_of(answered.get("stderr")) or (command and any(key in answered for key in _TEXTS)):
        return ""
    return flattened({key: value for key, value in answered.items() if not _is_beside(key, value, command)})


def _is_beside(key: str, value: Any, command: bool) -> bool:
    if key.replace("_", "").lower() in _FLAGS:
        return True
    return command and isinstance(value, bool | int | float)


def _is_undone(answered: Any) -> bool:
    """Whether an edit's answer says that it did not apply. What a file holds is not what the tool says."""
    if isinstance(answered, dict):
        if answered.get("success") is True:
            return False
        texts = [
            text_of(answered.get(key)) for key in _TEXTS if key != "content" or isinstance(answered.get(key), list)
        ]
    else:
        texts = [text_of(answered)]
    for text in texts:
        line = _NAME.sub("_", text.lstrip().partition("\n")[0][:400])
        if (undone := _UNDONE.search(line)) and not ((done := _DONE.search(line)) and done.start() < undone.start()):
            return True
    return False


def _instead(refusal: str) -> str:
    match = _INSTEAD.search(refusal[:8000])
    return _NOT_THEIRS.sub("", match[1]).strip() if match else ""


def _unframed(said: str) -> tuple[str, int | None]:
    """Without what some agents write around a command's output, and the exit code that stands in it."""
    if match := _OF_CODEX.match(said):
        code = _CODE_IN_HEAD.search(match.group())
        return said[match.end() :].strip(), int(code[1]) if code else None
    if (said.startswith(_LABELS) and "\nExit Code: " in said) or _ENDS_GEMINI.search(said[-2000:]):
        return _without_labels(said)
    return said, None


def _without_labels(said: str) -> tuple[str, int | None]:
    begun = _BEFORE_GEMINI.search(said)
    lines, code = said[begun.end() :].split("\n") if begun else said.split("\n"), None
    kept: list[str] = []
    for line in lines:
        label = _AFTER_GEMINI.fullmatch(line)
        value = label[1].strip() if label else line
        if label and line.startswith("Exit Code"):
            code = int(value) if value.isdecimal() and len(value) < 4 else None
        elif value.strip() not in _NOTHING and not (label and line.startswith(("Signal", "Background", "Process"))):
            kept.append(value if not (label and line.startswith("Error")) else line)
    return "\n".join(kept).strip(), code
