"""Whatever the document allows, and much that it does not, is sent. Nothing of it may be a 500, or undocumented."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS as ALL_CHECKS
from schemathesis.checks import load_all_checks
from schemathesis.core.failures import FailureGroup

from api.app import create_app
from muster.settings import Settings
from tests.api.conftest import Api

EXAMPLES = 20

load_all_checks()
CHECKS = [
    ALL_CHECKS.get_one(name)
    for name in ("status_code_conformance", "content_type_conformance", "response_schema_conformance")
]


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


def fuzz(operation: Any, mode: GenerationMode, known: dict[str, str]) -> Counter[int]:
    """How often each status was answered."""
    answered: Counter[int] = Counter()

    @seed(20_26)
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        harmless(case.body)
        if mode == GenerationMode.POSITIVE:
            # Simple ones would be shared by most requests, and two that do not exist by nobody.
            case.headers.pop("Idempotency-Key", None)
            case.path_parameters.update({name: known[name] for name in case.path_parameters})
        response = case.call(timeout=60)
        assert response.status_code != 500, (case.body, response.text)
        if response.status_code >= 400 and operation.path.startswith("/v1"):
            problem = response.json()
            assert problem["status"] == response.status_code
            assert problem["code"]
        case.validate_response(response, checks=CHECKS)
        answered[response.status_code] += 1

    send()
    return answered


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["as told", "otherwise"])
async def test_nothing_that_is_sent_breaks_it(url: str, fleet: Api, mode: GenerationMode) -> None:
    agent = await fleet.spawn("false")
    project = (await fleet.post("/v1/projects", json={"slug": f"fuzz-{mode.value}", "name": "x"})).json()
    known = {"agent_id": agent["id"], "task_id": agent["task_id"], "project": project["id"]}
    document = create_app(Settings(_env_file=None)).openapi()  # type: ignore[call-arg]
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=url)
    problems: dict[str, str] = {}
    answered: Counter[int] = Counter()
    for found in schema.get_all_operations():
        operation = found.ok()
        try:
            answered += await asyncio.to_thread(fuzz, operation, mode, known)
        except Unsatisfiable:
            pass  # takes nothing that could be wrong
        except (AssertionError, FailureGroup) as error:
            problems[operation.label] = str(error)[:2000]
    assert not problems, "\n\n".join(f"{name}: {what}" for name, what in problems.items())
    assert answered[200 if mode == GenerationMode.POSITIVE else 422] > 50, answered
