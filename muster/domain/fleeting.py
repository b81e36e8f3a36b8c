"""What a program prints otherwise each time it fails in the same way: how long it took, how many passed, the time of
day, addresses and temporary files. The same failure is one memory, however often it is seen."""

from __future__ import annotations

import re

_TOOK = r"(?:\d+m[ ]?)?\d+(?:[.,]\d+)?[ ]?(?:ns|us|µs|ms|s|secs?|seconds?|m|min|minutes?)\b"
_FLEETING = re.compile(
    rf"""
    (?:\b(?:in|took|time|duration|elapsed|estimated|real|user|sys|transform|setup|collect|tests|environment|prepare
        |typecheck|import)[: \t][ \t]*|\(real\)[ ]=[ ]*|[(\[\t]|[(\[]<[ ])
        {_TOOK}
    | (?<=[ ])[ ]\d+\.\d\d[ ]sec$
    | \btime:[ ]+\d\d:\d\d(?:[.:]\d+)?\b
    | \bmemory:[ ]+\d+(?:\.\d+)?[ ]?[KMG]i?B\b
    | \b\d+(?=[ ](?:test[ ]|source[ ]|snapshot[ ]|actionable[ ])?(?:passed|passing|skipped|ignored|filtered|measured
        |deselected|xfailed|xpassed|warnings?|total|pending|todo|items?|tests?|suites?|files?|assertions|specs|examples
        |modules|tasks?|executed|up-to-date)\b)
    | \[\s*\d+%\]
    | \b\d+[ ]/[ ]\d+[ ]\([ ]*\d+%\)
    | \b\d{{4}}-\d\d-\d\d[T\s]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?
    | \b\d\d:\d\d:\d\d(?:[.,]\d+)?\b
    | \b0x[\da-f]{{6,16}}\b
    | \brandomized[ ]with[ ]seed[ ]\d+
    | (?<![\w.])/(?:tmp|var/folders|private/tmp)/[^\s'"]+
    """,
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_COUNTS = re.compile(
    r"""
    ^[ \t]*(?:
        (?:\[\w+\][ ])?Tests[ ]run:[ ]\d+,[ ]Failures:
        | Tests:[ ]\d+,[ ]Assertions:
        | (?:Failed|Passed)![ ]+-[ ]Failed:
        | \d+%[ ]tests[ ]passed,
        | (?:Test[ ]Files|Tests)[ ]{2}\d+[ ]failed\b
        | \d+/\d+[ ]Test[ ]+\#\d+:
        | \d+[ ]-[ ]\S+[ ]\(\w
        | \d+[ ]tests[ ]completed,
    ).*$
    """,
    re.MULTILINE | re.VERBOSE,
)
"""Lines in which runners count their tests."""
_OF_ALL = re.compile(
    r"(?:(?<=tests run: )|(?<=tests: )|(?<=assertions: )|(?<=passed: )|(?<=skipped: )|(?<=total: ))[ ]*\d+"
    r"|\d+%(?= tests passed)|(?<=out of )\d+|\(\d+\)$|^\s*\d+/\d+(?= test)|(?<=#)\d+(?=:)|^\s*\d+(?= - \S)"
    rf"|(?<=duration: )(?:< )?{_TOOK}",
    re.IGNORECASE,
)
"""In such a line, all but how many failed."""


def without(text: str) -> str:
    return _FLEETING.sub(" ", _COUNTS.sub(lambda line: _OF_ALL.sub(" ", line[0]), text))
