"""Errors of ours, as Temporal should see them: a refusal is final, an outage is tried again."""

from __future__ import annotations

from typing import Any

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from muster.domain.errors import MusterError, Unavailable


class Refusals(Interceptor):
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Inbound(next)


class _Inbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            return await self.next.execute_activity(input)
        except MusterError as error:
            if isinstance(error, Unavailable):
                raise ApplicationError(error.message, type=error.code) from error
            raise ApplicationError(
                error.message, type=error.code, non_retryable=True, category=ApplicationErrorCategory.BENIGN
            ) from None
