"""What a command printed that is a result in itself, and whether the one who ran it believes it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from muster.domain.rules import commands, outcomes
from muster.domain.rules.differences import piped
from muster.domain.rules.reading import Act, Kind
from muster.domain.rules.steps import steps

PRINTED_CHARS = 500
DOUBTED = "doubted"
"""How that stands which its own agent says did not work."""

_HEAD_CHARS = 500
_DOUBTS = re.compile(
    r"\b(?:(?:did|does|do|has)(?: not|n['’]t) (?:seem to |appear to |quite )?"
    r"(?:work(?:ed)?|help(?:ed)?|look right|succeed(?:ed)?|solve|fix|make sense|match)\b"
    r"|(?:the|this|that|my|our|your|it|decryption|attempt|approach|script|program|output|result)\b[^.!?\n]{0,60}"
    r"\b(?:has |have )?(?:failed|fails|was unsuccessful|is unsuccessful)\b"
    r"|(?:is|was|looks|seems|are) (?:still )?"
    r"(?:wrong|incorrect|gibberish|garbled|garbage|broken|unreadable|meaningless)\b"
    r"|(?:is|are|was|were)(?: still)?(?: not|n['’]t) (?:quite )?(?:the (?:right|expected|correct|flag)|"
    r"what (?:we|I) |right\b|correct\b|as expected|expected|readable|meaningful|human[- ]readable|working|fixed|"
    r"successful|solved)"
    r"|still (?:wrong|fails|failing|broken|not |the same (?:error|problem|failure))"
    r"|no luck|not successful|without success|unsuccessful)",
    re.IGNORECASE,
)
_BELIEVES = re.compile(
    r"\b(?:now (?:works?|pass\w*|runs?|succeeds?|prints?|correct\w*)|works (?:now|as|correctly|well|fine)|"
    r"(?:is|are|was|were|has been|have been) (?:now )?(?:fixed|resolved|solved|successful|correct)\b|no longer|"
    r"successfully|all (?:tests )?pass\w*|worked\b(?<!not worked))",
    re.IGNORECASE,
)
"""That did not work before."""
_SAYS_NOTHING = re.compile(
    r"(?:Your )?command (?:ran|executed|completed) successfully[^\n]{0,80}|\(?no output\)?|(?:ok|done|success)\W{0,3}",
    re.IGNORECASE,
)

_NO_OUTPUT = re.compile(
    r"(?:Your )?command (?:ran|executed|completed) successfully[^\n]{0,80}\b(?:no|not|any) [^\n]{0,30}output\W{0,3}|"
    r"[(\[<]?no output[)\]>]?\W{0,3}",
    re.IGNORECASE,
)
_ANSWERING = frozenset(
    """
    file wc du base64 base32 basenc xxd od hexdump bc dc rev tr jq yq sha256sum md5sum sha1sum cksum
    openssl python python3 node perl ruby awk gawk date
    """.split()  # noqa: SIM905
)
"""What makes something else of what it is given, or says what that is: not a part of it."""
_OWN = re.compile(
    r"[^\n]{1,300}: cannot open |\w{1,20}: (?:invalid |error|unrecognized |\(standard)|usage: ", re.IGNORECASE
)
"""What such a program says where it cannot."""
_ANSWER_LINES = 3
_ANSWER_CHARS = 600


def mark_doubted(acts: Sequence[Act]) -> None:
    """Of a run, what is said right after it."""
    last: Act | None = None
    for act in acts:
        if act.kind is Kind.NOTHING:
            continue
        if last is not None and act.kind in (Kind.MESSAGE, Kind.PROMPT, Kind.OTHER) and _doubts(act.text):
            last.standing = DOUBTED
        last = act if act.kind is Kind.COMMAND and not act.failed else None


def _doubts(text: str) -> bool:
    head = text.lstrip()[:_HEAD_CHARS].partition("\n\n")[0]
    return _DOUBTS.search(head) is not None and _BELIEVES.search(head) is None


def is_doubted(act: Act) -> bool:
    """A run of tests says itself whether they pass."""
    return act.standing == DOUBTED and not outcomes.passed(act.text)


def printed(act: Act) -> str:
    """What a script prints that was to print something. Of tests, their counts are enough."""
    command = act.command
    if commands.is_check(command) or commands.mutates(command) or commands.installs(command):
        return ""
    if commands.shows(command) or commands.commits(command) or outcomes.passed(act.text):
        return ""
    text = outcomes.excerpt(act.text, PRINTED_CHARS)
    return "" if _SAYS_NOTHING.fullmatch(text) else text


def output_of(act: Act) -> str:
    """What a command said, also where that is one letter. Nothing, where somebody says that it said nothing."""
    text = act.text.strip()
    if _NO_OUTPUT.fullmatch(text[:200]):
        return ""
    return outcomes.excerpt(text) or (text if len(text) <= _FEW and any(map(str.isalnum, text)) else "")


_FEW = 20


def is_answer(act: Act, output: str) -> bool:
    """Whether a command that changes nothing was asked something, and says it in a few lines."""
    found = [step for step in steps(act.command) if not step.prepares]
    if len(found) != 1 or not output or len(act.text) > _ANSWER_CHARS or act.text.count("\n") >= _ANSWER_LINES:
        return False
    if outcomes.complaint(output) or _OWN.match(output):
        return False
    words = piped(act.command)[-1:] or list(found[0].words[:1])
    return words[0] in _ANSWERING and (words[0] != "date" or "-d" in act.command)
