"""Which runner executes which specification."""

from __future__ import annotations

from collections.abc import Callable

from muster.domain.tasks import RunnerSpec
from muster.runners.command import Command
from muster.runners.protocol import Runner
from muster.runners.tree import Forest

RUNNERS: dict[str, Callable[[Forest], Runner]] = {Command.kind: Command}


class Runners:
    """The runners of one worker, each made once."""

    def __init__(self, forest: Forest) -> None:
        self._runners = {kind: make(forest) for kind, make in RUNNERS.items()}

    def runner_for(self, spec: RunnerSpec) -> Runner:
        return self._runners[spec.kind]
