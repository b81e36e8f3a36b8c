"""Spans of time as people write them: 90s, 15min, 1h, 30d."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
_LONGEST = 100 * 365 * 86_400


class Duration(click.ParamType[int]):
    """Seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,10})\s*(s|m|min|h|d)", str(value).strip().lower())
        if found is None or (seconds := int(found[1]) * _SECONDS[found[2]]) > _LONGEST:
            self.fail(f"{value!r} is no span of time: write 90s, 15min, 1h or 30d", param, ctx)
        return seconds


class Moment(click.ParamType[datetime]):
    """A time with its zone, or how long ago."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        if re.fullmatch(r"\d+\s*[a-z]+", str(value).strip().lower()):
            return datetime.now(UTC) - timedelta(seconds=Duration().convert(value, param, ctx))
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time: write 2026-01-31T12:00, or 1h for an hour ago", param, ctx)
        return moment.astimezone(UTC)


class Whole(click.IntRange):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            int(value)
        except ValueError:
            self.fail(f"{value!r} is not a whole number in the range {self._describe_range()}", param, ctx)
        return super().convert(value, param, ctx)


class Seconds(click.FloatRange):
    """A number of them. What is none, `nan`, lies in every range."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            found = super().convert(float(value), param, ctx)
        except ValueError:
            found = math.nan
        if math.isnan(found):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return found
