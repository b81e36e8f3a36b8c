"""The failures of this room."""

from __future__ import annotations


class StartupError(Exception):
    """Muster cannot start, or is not there. The message is one line that names what to change."""


class AlreadyRunning(StartupError):
    """Another runtime holds this MUSTER_HOME."""
