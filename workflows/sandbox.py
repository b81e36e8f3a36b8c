"""The sandbox that workflows run in: what they may see, made once for each of their modules.

The SDK makes it anew for each run, and imports the workflow's module into it once more: a fifth of a worker's time for
a life that has two runs. What that keeps apart is what a run would leave in its module's variables; ours have none that
can be changed (`tests/checks/test_workflow_modules.py`). All else is the SDK's: a clock, a random number or a
file is refused as ever.
"""

from __future__ import annotations

import dataclasses
import threading

from temporalio.converter import StorageDriverStoreContext, WorkflowSerializationContext
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.worker.workflow_sandbox._importer import Importer
from temporalio.worker.workflow_sandbox._restrictions import RestrictionContext
from temporalio.worker.workflow_sandbox._runner import _Instance
from temporalio.workflow import SandboxImportNotificationPolicy

_NOWHERE = StorageDriverStoreContext(target=None)


def _restrictions() -> SandboxRestrictions:
    """Workflows see the domain and the steps as they are, and an import of anything else of ours is an error."""
    allowed = SandboxRestrictions.default.with_passthrough_modules("muster.domain", "workflows.steps")
    return dataclasses.replace(
        allowed, import_notification_policy=SandboxImportNotificationPolicy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH
    )


@dataclasses.dataclass(frozen=True)
class Sandbox(SandboxedWorkflowRunner):
    """The SDK's runner, but for what it does again for each run, and asks again for each payload."""

    restrictions: SandboxRestrictions = dataclasses.field(default_factory=_restrictions)
    _importers: dict[str, Importer] = dataclasses.field(default_factory=dict, init=False, repr=False, compare=False)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        module = det.defn.cls.__module__
        importer = self._importers.get(module)
        if importer is None:
            importer = Importer(self.restrictions, _Context(), workflow_module_name=module)
            self._importers[module] = importer
        return _Run(det, self.runner_class, importer)


class _Context(threading.local, RestrictionContext):
    """Whether a workflow runs at this moment, and so may not look at the clock: runs that share a sandbox do so in
    threads of their own, and one that ends must not set the others free."""


class _Run(_Instance):
    """One run of a workflow, in a sandbox that others of its kind run in too."""

    def __init__(self, det: WorkflowInstanceDetails, runner_class: type[WorkflowRunner], importer: Importer) -> None:
        self.instance_details = det
        self.runner_class = runner_class
        self.importer = importer
        self._current_thread_id = None
        self.globals_and_locals = {"__file__": "workflow_sandbox.py"}
        self._create_instance()
        # For each payload, the SDK enters the sandbox to learn on whose behalf it is converted, and where it might be
        # stored. Whatever a workflow sends is of its own workspace, so its own context does for all of it, and we have
        # no such store.
        self._context = WorkflowSerializationContext(namespace=det.info.namespace, workflow_id=det.info.workflow_id)

    def get_serialization_context(self, command_info: object) -> WorkflowSerializationContext:
        return self._context

    def get_external_store_context(self, command_info: object) -> StorageDriverStoreContext:
        return _NOWHERE
