"""Runs of a workflow share its module (`workflows/sandbox.py`): nothing in it may be such that a run can change it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from datetime import timedelta
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, TypeVar

import pytest
from temporalio.common import RetryPolicy, SearchAttributeKey

import workflows

MODULES = [
    f"workflows.{module.name}" for module in pkgutil.iter_modules(workflows.__path__) if module.name != "sandbox"
]
FIXED = (
    ModuleType, FunctionType, BuiltinFunctionType, property, staticmethod, classmethod, type(None), bool, int, float,
    str, timedelta, frozenset, TypeVar, RetryPolicy, SearchAttributeKey,
)  # fmt: skip
WRITTEN_BY_PYTHON = ("__", "_abc_", "annotations")


def changeable(names: dict[str, Any], where: str) -> Iterator[str]:
    for name, value in names.items():
        if name.startswith(WRITTEN_BY_PYTHON) or isinstance(value, FIXED):
            continue
        if inspect.isclass(value):
            if value.__module__ == where:
                yield from (f"{value.__name__}.{found}" for found in changeable(vars(value), where))
        elif not isinstance(value, tuple) or not all(isinstance(item, FIXED) for item in value):
            yield name


@pytest.mark.parametrize("module", MODULES)
def test_a_workflow_module_holds_nothing_that_a_run_could_change(module: str) -> None:
    assert list(changeable(vars(importlib.import_module(module)), module)) == []


def test_what_could_be_changed_is_found() -> None:
    class Counting:
        seen: list[str] = []  # noqa: RUF012 - that is the point

    Counting.__module__ = "here"
    assert list(changeable({"COUNT": 1, "seen": {}, "Counting": Counting}, "here")) == ["seen", "Counting.seen"]
