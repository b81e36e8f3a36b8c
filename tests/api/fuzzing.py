"""Thinks of requests as the document has them, sends them as everybody, and looks at what is answered.

In a module of its own: to import what thinks of them takes a second, and only one of the processes that test needs it.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS as ALL_CHECKS
from schemathesis.checks import load_all_checks
from schemathesis.core.failures import FailureGroup

from tests.api.test_isolation import DOCUMENT

EXAMPLES = {GenerationMode.POSITIVE: 8, GenerationMode.NEGATIVE: 5}
"""Of each operation. To think of one that is wrong costs five times what one does that is right."""
BY_ALL = 2
"""So many of them are sent by everybody, the others by the owner alone: who may not is refused whatever it sends."""
SEARCHES = {
    "/v1/memory/search", "/v1/memory/context", "/compat/claude-mem/v1/search", "/compat/claude-mem/v1/context",
}  # fmt: skip
"""What is only read with a POST."""

load_all_checks()
CHECKS = [
    ALL_CHECKS.get_one(name)
    for name in ("status_code_conformance", "content_type_conformance", "response_schema_conformance")
]


@schemathesis.serializer("application/x-ndjson")
def lines(_: Any, value: Any) -> bytes:
    return str(value).encode(errors="replace")


def harmless(body: Any) -> None:
    """Whatever program was asked for, `true` is run."""
    for part in (body, body.get("task") if isinstance(body, dict) else None):
        if isinstance(part, dict) and isinstance(part.get("runner"), dict):
            runner = part["runner"]
            if isinstance(runner.get("argv"), list) and runner["argv"]:
                runner["argv"] = ["/bin/true", *runner["argv"][1:]]
            runner.pop("cwd", None)
            for field in (part, runner):
                if isinstance(field.get("timeout_seconds"), int | float):
                    field["timeout_seconds"] = 5
            part["retry"] = {}


@dataclass
class Askers:
    """Everybody who sends a case, one after the other; the owner last, since what it sends takes things away."""

    keys: dict[str, str]
    useless: Iterator[str | None]
    """What nobody sends: no key, and one that has expired."""
    mark: str
    """Stands in the texts of the owner's workspace, and nowhere else."""

    def check(self, who: str, response: Any) -> None:
        if who == "owner":
            return
        assert self.mark not in response.text
        if who == "nobody":
            assert response.status_code == 401, response.text
        elif who == "poor":
            # What any key may ask is told; a key made for reading memory changes nothing.
            reads = response.request.method in {"GET", "HEAD"} or urlsplit(response.request.url).path in SEARCHES
            assert reads or response.status_code in {403, 404, 413, 422}


def document(mode: GenerationMode, known: dict[str, str]) -> dict[str, Any]:
    """Without what would be thought of only to be thrown away."""
    told = copy.deepcopy(DOCUMENT)
    del told["components"]["securitySchemes"]
    for methods in told["paths"].values():
        for operation in methods.values():
            operation.pop("security", None)
    if mode == GenerationMode.POSITIVE:
        # Simple keys would be shared by most requests, and ids that do not exist by nobody.
        told["paths"] = {path.format_map(known): methods for path, methods in told["paths"].items()}
        for methods in told["paths"].values():
            for operation in methods.values():
                operation["parameters"] = [
                    parameter
                    for parameter in operation.get("parameters", [])
                    if parameter["in"] != "path" and parameter["name"] != "Idempotency-Key"
                ]
    return told


def fuzz(operation: Any, mode: GenerationMode, askers: Askers, session: requests.Session) -> Counter[int]:
    """How often each status was answered to the owner."""
    answered: Counter[int] = Counter()

    @seed(20_26)
    @settings(
        max_examples=EXAMPLES[mode], deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        harmless(case.body)
        for name in ("Authorization", "X-API-Key", "Muster-Workspace", "Cookie"):
            case.headers.pop(name, None)
        everybody = [("nobody", next(askers.useless)), *askers.keys.items()]
        for who, key in everybody if answered.total() < BY_ALL else everybody[-1:]:
            if key:
                case.headers["Authorization"] = f"Bearer {key}"
            try:
                response = answer(operation, case, session)
                askers.check(who, response)
            except (AssertionError, FailureGroup) as error:
                raise AssertionError(f"{who}: {error}") from error
        answered[response.status_code] += 1

    send()
    return answered


def answer(operation: Any, case: Any, session: requests.Session) -> Any:
    response = case.call(timeout=60, session=session)
    while response.status_code == 429 and response.json()["code"] == "rate_limited":
        time.sleep(0.05)
        response = case.call(timeout=60, session=session)
    assert response.status_code != 500, (case.body, response.text)
    if response.status_code >= 400 and operation.path.startswith("/v1"):
        problem = response.json()
        assert problem["status"] == response.status_code
        assert problem["code"]
    case.validate_response(response, checks=CHECKS)
    return response


async def every_operation(url: str, as_told: bool, known: dict[str, str], askers: Askers) -> Counter[int]:
    mode = GenerationMode.POSITIVE if as_told else GenerationMode.NEGATIVE
    schema = schemathesis.openapi.from_dict(document(mode, known))
    schema.config.update(base_url=url)
    # One for all requests: each of its own would look for proxies and open a connection.
    session = requests.Session()
    session.trust_env = False
    session.headers.clear()
    problems: dict[str, str] = {}
    answered: Counter[int] = Counter()
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.definition.raw["x-muster-needs"] == "open":
            continue
        try:
            answered += await asyncio.to_thread(fuzz, operation, mode, askers, session)
        except Unsatisfiable:
            pass  # takes nothing that could be wrong
        except (AssertionError, FailureGroup) as error:
            problems[operation.label] = str(error)[:2000]
    session.close()
    assert not problems, "\n\n".join(f"{name}: {what}" for name, what in problems.items())
    return answered
