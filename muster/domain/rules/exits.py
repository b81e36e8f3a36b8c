"""What an exit code says, where nothing that was printed says why."""

from __future__ import annotations

import re

_OF_CURL = {
    3: "the address is malformed", 5: "the proxy could not be resolved", 6: "the host could not be resolved",
    7: "could not connect", 18: "the answer broke off", 22: "the server answered with an error",
    23: "the answer could not be written", 26: "a file could not be read", 28: "timed out",
    35: "the TLS handshake failed", 47: "too many redirects", 51: "the certificate is of another host",
    52: "the server answered nothing", 55: "could not send", 56: "could not receive",
    58: "the client certificate is bad", 60: "the certificate could not be verified", 67: "the login was denied",
    77: "the CA certificates could not be read", 78: "there is no such file",
}  # fmt: skip
_OF_ANY = {124: "timed out", 126: "it may not be run", 127: "there is no such program", 130: "it was interrupted",
           134: "it aborted", 137: "it was killed", 139: "it crashed", 143: "it was ended"}  # fmt: skip
_OWN = re.compile(r"^curl: (?:\(\d{1,3}\)|option )", re.MULTILINE)


def meaning(program: str, code: int | None, output: str, what: str) -> str:
    """In place of what seems to be wrong by what was printed: curl prints an answer, and tells a failure apart from it.
    Empty: the code says nothing more."""
    if code is None:
        return ""
    if program == "curl" and not _OWN.search(output[:20_000]) and code in _OF_CURL:
        return f"{_OF_CURL[code]} (exit code {code})"
    return f"{_OF_ANY[code]} (exit code {code})" if not what and code in _OF_ANY else ""
