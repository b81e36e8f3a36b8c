"""API keys and agents' tokens: `mst_<id>_<secret>`. What is stored of a key is a keyed hash, of a token nothing."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from typing import NamedTuple
from uuid import UUID

_ALPHABET = string.digits + string.ascii_letters
_SECRET_LENGTH = 43
"""Of 62 letters: 256 bits."""
_FORM = re.compile(r"mst_(a?)([0-9a-f]{32})_([0-9A-Za-z]{43})")


class Credential(NamedTuple):
    """A key or token as it was sent. Nothing is known of it yet."""

    id: UUID
    secret: str
    of_agent: bool
    """The id is an agent's."""


def parse(text: str) -> Credential | None:
    found = _FORM.fullmatch(text)
    return Credential(UUID(found[2]), found[3], bool(found[1])) if found else None


def new_secret() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))


def key(key_id: UUID, secret: str) -> str:
    """As it is shown, once."""
    return f"mst_{key_id.hex}_{secret}"


def hash_secret(pepper: bytes, key_id: UUID, secret: str) -> bytes:
    """With the id, so that a hash that is copied into another row opens nothing."""
    return hmac.digest(pepper, b"key\0" + key_id.bytes + secret.encode(), hashlib.sha256)


def agent_token(pepper: bytes, agent_id: UUID) -> str:
    """Derived, so nothing is stored for it: whether it opens anything is asked of the agent's row each time."""
    return f"mst_a{agent_id.hex}_{_agent_secret(pepper, agent_id)}"


def is_agents(pepper: bytes, agent_id: UUID, secret: str) -> bool:
    return hmac.compare_digest(_agent_secret(pepper, agent_id), secret)


def _agent_secret(pepper: bytes, agent_id: UUID) -> str:
    number = int.from_bytes(hmac.digest(pepper, b"agent\0" + agent_id.bytes, hashlib.sha256))
    letters = []
    for _ in range(_SECRET_LENGTH):
        number, rest = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[rest])
    return "".join(letters)
