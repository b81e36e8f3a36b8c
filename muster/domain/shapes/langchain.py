"""What LangChain and LangGraph write: messages in each of their forms, and what callbacks and event streams tell."""

from __future__ import annotations

import re
from typing import Any

from muster.domain.rules.json import line_of, opened, text_of
from muster.domain.shapes.parts import Part, answer, call, gave_up, listed, mapping, record, said, type_of, use

MAX_PARTS = 12
"""Of one event. A history is sent again with each of its messages: the latest count."""
MAX_FOUND = 6
"""Of a search, the first."""
_SENDERS = {
    "human": "user", "humanmessage": "user", "humanmessagechunk": "user",
    "ai": "assistant", "aimessage": "assistant", "aimessagechunk": "assistant",
    "tool": "tool", "toolmessage": "tool", "toolmessagechunk": "tool", "function": "tool", "functionmessage": "tool",
    "system": "system", "systemmessage": "system", "systemmessagechunk": "system", "remove": "system",
    "chat": "chat", "chatmessage": "chat",
}  # fmt: skip
_HISTORIES = ("messages", "inputs", "outputs", "input", "output", "values", "state", "chat_history", "generations",
              "data", "kwargs")  # fmt: skip
_LEVELS = 4
"""A history is within another's list, or under the name of the node that wrote it."""


def langchain(kind: str, document: dict[str, Any] | list[Any]) -> list[Part] | None:
    """None: it is nothing of LangChain."""
    if isinstance(document, list):
        return _last(_history(document))
    if not _may_be(kind, document):
        return None
    if (found := _called_back(kind, document)) is not None:
        return found
    if any(isinstance(document.get(key), str) for key in ("tool_name", "toolName", "tool")):
        return None
    if (message := _message(document, alone=True)) is not None:
        return [] if _is_bit(document) else message
    nodes = (node.get("messages") for node in list(document.values())[:20] if isinstance(node, dict))
    for value in (*(document.get(key) for key in _HISTORIES), *nodes):
        if (found := _last(_history(value))) is not None:
            return found
    return None


_SIGNS = frozenset({"lc", "type", "event", "callback", "hook", *_HISTORIES})
_CALLED = ("on_", "on-", "handle")


def _may_be(kind: str, document: dict[str, Any]) -> bool:
    if not _SIGNS.isdisjoint(document) or kind.startswith("on") or any(name in kind for name in _CALLED):
        return True
    return any(isinstance(node, dict) and "messages" in node for node in document.values())


def _is_bit(document: dict[str, Any]) -> bool:
    """Of a message that is still being written."""
    about = mapping(document.get("kwargs")) or mapping(document.get("data")) or document
    path = document.get("id")
    name = str(path[-1]) if isinstance(path, list) and path else type_of(document)
    return name.endswith("Chunk") and not (about.get("usage_metadata") or about.get("response_metadata"))


def _last(parts: list[Part] | None) -> list[Part] | None:
    return None if parts is None else parts[-MAX_PARTS:]


# -- Messages --------------------------------------------------------------------------------------------------------


def _history(value: Any, level: int = 0) -> list[Part] | None:
    """The messages in it. None: it has none of these."""
    value = opened(value)
    if isinstance(value, dict):
        if (message := _message(value, alone=True)) is not None:
            return message
        inner = [mapping(value.get("kwargs")) or value] if "lc" in value else [value]
        value = [one for place in inner for one in list(place.values())[:20]] if level < _LEVELS else []
        value = [one for one in value if isinstance(one, dict | list)]
    if not isinstance(value, list) or level >= _LEVELS:
        return None
    items = [item for item in value[-200:] if isinstance(item, dict | list)]
    found = [_history(item, level + 1) for item in items]
    if all(parts is None for parts in found):
        return None
    return [part for parts, item in zip(found, items, strict=True) for part in _or_plain(parts, item)]


def _or_plain(parts: list[Part] | None, item: Any) -> list[Part]:
    """Among its messages, one that is none of its own."""
    if parts is not None:
        return parts
    item = mapping(item)
    if (found := _message(item)) is not None:
        return found
    return said(text_of(item.get("content")), item["role"]) if item.get("role") in ("user", "assistant") else []


def _message(document: dict[str, Any], *, alone: bool = False) -> list[Part] | None:
    """`alone`: what only looks like one is none, since others write a type and a content, too."""
    if "lc" in document and isinstance(path := document.get("id"), list) and path:
        about = mapping(document.get("kwargs"))
        name = str(path[-1]).lower()
        if name in _SENDERS:
            return _said_by(_SENDERS[name], about)
        return _of_agent(name, about)
    sender, inner = _SENDERS.get(type_of(document).lower()), mapping(document.get("data"))
    if sender and "content" in inner:
        return _said_by(sender, inner)
    if sender is None or not isinstance(document.get("content"), str | list):
        return None
    return None if alone and sender in ("system", "chat") else _said_by(sender, document)


def _said_by(sender: str, about: dict[str, Any]) -> list[Part] | None:
    content, number = about.get("content"), about.get("id")
    if sender == "tool":
        failed = about.get("status") == "error"
        return answer(content, about.get("tool_call_id"), failed=failed, name=about.get("name"))
    if sender == "chat":
        sender = {"user": "user", "human": "user", "system": "system"}.get(str(about.get("role")).lower(), "assistant")
    if sender == "system":
        return []
    spoken = [part._replace(id=number if isinstance(number, str) else "") for part in said(text_of(content), sender)]
    return [*spoken, *_calls(about)]


def _calls(about: dict[str, Any]) -> list[Part]:
    asked = listed(about.get("tool_calls")) or listed(mapping(about.get("additional_kwargs")).get("tool_calls"))
    if not asked:
        asked = [one for one in listed(about.get("content")) if type_of(one) == "tool_use"]
    found = []
    for one in asked:
        inner = mapping(one.get("function")) or one
        given: Any = next((inner[key] for key in ("args", "arguments", "input") if key in inner), {})
        found += call(inner.get("name"), opened(given), one.get("id"))
    return found


def _of_agent(name: str, about: dict[str, Any]) -> list[Part] | None:
    if name == "agentfinish":
        return said(text_of(mapping(about.get("return_values")).get("output")))
    return call(about.get("tool"), opened(about.get("tool_input"))) if name.startswith("agentaction") else None


# -- Callbacks -------------------------------------------------------------------------------------------------------

_CALLBACK = re.compile(
    r"(?:on|handle)(tool|chain|retriever|llm|chatmodel|agent|text|retry|parser|prompt|customevent)"
    r"(start|end|error|action|finish|newtoken|stream)?"
)
_UNNUMBERED = "a run without a number"


def _called_back(kind: str, document: dict[str, Any]) -> list[Part] | None:
    for named in (document.get("event"), document.get("callback"), document.get("hook"), kind, type_of(document)):
        if isinstance(named, str):
            name = re.sub(r"[^a-z]", "", re.split(r"[.:/]", named[:100])[-1].lower())
            if found := _CALLBACK.fullmatch(name):
                return _of_run(found[1], found[2] or "", {**document, **mapping(document.get("data"))})
    return None


def _of_run(what: str, when: str, about: dict[str, Any]) -> list[Part] | None:
    if what == "tool":
        return _of_tool(when, about)
    if when == "error":
        return gave_up(_error(about))
    if what == "agent":
        output = mapping(about.get("return_values")) or mapping(mapping(about.get("finish")).get("return_values"))
        return said(text_of(output.get("output") or about.get("output"))) if when in ("finish", "end") else []
    if what == "retriever":
        return _of_retriever(when, about)
    if what == "chain" and when == "stream":
        return _of_nodes(mapping(opened(about.get("chunk"))))
    if when in ("newtoken", "stream") or what in ("text", "retry", "parser", "prompt", "customevent"):
        return []
    return _of_model(when, about) if what != "chain" else _of_chain(when, about)


def _of_model(when: str, about: dict[str, Any]) -> list[Part]:
    """What it is asked is a history; only the last of it is new."""
    if when == "start":
        found = next((parts for key in ("messages", "input") if (parts := _history(about.get(key))) is not None), [])
        return [part for part in found[-1:] if part.type == "prompt"]
    for key in ("output", "response", "outputs", "generations"):
        if (parts := _last(_history(about.get(key)))) is not None:
            return parts
    response = mapping(about.get("response")) or about
    generation: Any = response.get("generations")
    while isinstance(generation, list) and generation:
        generation = generation[0]
    return said(text_of(mapping(generation).get("text") or about.get("output")))


def _of_chain(when: str, about: dict[str, Any]) -> list[Part] | None:
    keys = ("inputs", "input") if when == "start" else ("outputs", "output")
    for key in keys:
        value = opened(about.get(key))
        if (parts := _last(_history(value))) is not None:
            return parts
        inner = mapping(value)
        names = ("input", "question", "query") if when == "start" else ("output", "answer", "result", "text")
        words = value if isinstance(value, str) else next((inner[name] for name in names if name in inner), None)
        if isinstance(words, str) and words.strip():
            return said(words, "user" if when == "start" else "assistant")
    return None


def _of_nodes(chunk: dict[str, Any]) -> list[Part]:
    """What the nodes of a graph have written by then, where it is whole."""
    nodes = [chunk, *(node for node in list(chunk.values())[:20] if isinstance(node, dict))]
    written = [one for node in nodes for one in listed(node.get("messages"), 200) if not _is_bit(one)]
    return _last(_history(written)) or []


def _of_retriever(when: str, about: dict[str, Any]) -> list[Part]:
    """What was found, and where."""
    if when != "end":
        return []
    output = opened(next((about[key] for key in ("output", "outputs", "documents") if about.get(key)), None))
    output = output.get("documents", [output]) if isinstance(output, dict) else output
    asked = text_of(mapping(about.get("input")).get("query") or about.get("query") or about.get("input"), 300)
    found = []
    for one in listed(output, MAX_FOUND):
        one = mapping(one.get("kwargs")) or one
        words = text_of(one.get("page_content") or one.get("pageContent") or one.get("content"))
        source = line_of(mapping(one.get("metadata")), "source", "title", "file_path", "url", "id")
        first = line_of({"words": words.partition("\n")[0]}, "words")
        page = mapping(one.get("metadata")).get("page", "")
        found += record(
            f"{source}: {first}" if source else first, words, kind="discovery",
            facts=(("source", source), ("page", page), ("asked", asked)),
        )  # fmt: skip
    return found


def _of_tool(when: str, about: dict[str, Any]) -> list[Part]:
    run, serialized = about.get("run_id") or about.get("runId"), mapping(about.get("serialized"))
    number = run if isinstance(run, str) and run else _UNNUMBERED
    name = next((one for one in (about.get("name"), about.get("tool"), about.get("tool_name"), serialized.get("name"))
                 if isinstance(one, str) and one.strip()), None)  # fmt: skip
    given = next((about[key] for key in ("inputs", "input", "tool_input", "input_str", "inputStr") if about.get(key)),
                 None)  # fmt: skip
    asked = opened(given)
    if when == "start":
        return call(name or "A tool", asked, number)
    failed, told = when == "error", opened(about.get("output"))
    if isinstance(told, dict):
        message = mapping(told.get("kwargs")) if "lc" in told else mapping(told.get("data")) or told
        failed = failed or message.get("status") == "error"
        told = message.get("content", told)
    if when == "error":
        told = {"error": _error(about) or "error"}
    if asked is not None and name:
        return use(name, asked, told, failed=failed, number=number if number != _UNNUMBERED else None)
    return answer(told, number, failed=failed, name=name)


def _error(about: dict[str, Any]) -> str:
    why = about.get("error")
    if isinstance(why, dict):
        kind = next((one for key in ("type", "name") if isinstance(one := why.get(key), str) and one), "")
        message = text_of(why.get("message")) or text_of(why)
        return f"{kind}: {message}" if kind and message and kind not in message else message or kind
    return text_of(why)
