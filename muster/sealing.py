"""AES-256-GCM under a derived key. Imported where something is sealed: its library takes 6 MB of memory."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

__all__ = ["AESGCM", "InvalidTag", "sealer"]


def sealer(secret: bytes, purpose: bytes) -> AESGCM:
    """A key of its own for each purpose."""
    return AESGCM(HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose).derive(secret))
