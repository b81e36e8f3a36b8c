"""What a program prints otherwise each time it fails in the same way: how long it took, how many passed, the time of
day, addresses and temporary files. The same failure is one memory, however often it is seen."""

from __future__ import annotations

import re

_FLEETING = re.compile(
    r"""
    (?:\b(?:in|took|time|duration|real|user|sys)[: \t][ \t]*|[(\[\t])
        (?:\d+m[ ]?)?\d+(?:\.\d+)?[ ]?(?:ns|us|µs|ms|s|secs?|seconds?|m|min|minutes?)\b
    | \b\d+(?=[ ](?:test[ ]|source[ ]|snapshot[ ])?(?:passed|passing|skipped|ignored|filtered|measured|deselected
        |xfailed|xpassed|warnings?|total|pending|todo|items?|tests?|suites?|files?|assertions|specs|examples|modules)\b)
    | \[\s*\d+%\]
    | \b\d{4}-\d\d-\d\d[T\s]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?
    | \b\d\d:\d\d:\d\d(?:[.,]\d+)?\b
    | \b0x[\da-f]{6,16}\b
    | (?<![\w.])/(?:tmp|var/folders|private/tmp)/[^\s'"]+
    """,
    re.IGNORECASE | re.VERBOSE,
)


def without(text: str) -> str:
    return _FLEETING.sub(" ", text)
