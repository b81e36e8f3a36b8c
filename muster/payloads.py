"""Payloads as Temporal keeps them: encrypted with a key of their workspace, where MUSTER_PAYLOAD_KEYS names keys.

Temporal's server, its database and its Web UI then hold what people wrote only as AES-256-GCM. Three hazards shape
this: a payload that was written without a key must stay readable, one that cannot be read must never be taken for
data, and one of a workspace must mean nothing in another.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverter,
    DefaultFailureConverterWithEncodedAttributes,
    EncodingPayloadConverter,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
)

from muster.domain.errors import Unavailable
from muster.domain.ids import workspace_of_workflow
from muster.settings import PayloadKeys

if TYPE_CHECKING:
    from muster.sealing import AESGCM

ENCODING = b"binary/encrypted"
INSTANCE = "instance"
"""In a workspace's place: a payload that belongs to none of them."""

_NONCE_BYTES = 12
_CACHED = 10_000


class UnreadablePayload(Unavailable):
    """A payload is encrypted, and not with a key that is known here for whom it is said to be. Whoever restores the key
    finds everything that waited for it."""


class Keys:
    """Seals with the first master key, opens with each of them. What encrypts is derived from both key and owner."""

    def __init__(self, keys: PayloadKeys) -> None:
        self._masters = dict(keys.masters)
        self._first = keys.encrypts
        self._derived: dict[tuple[str, str], AESGCM] = {}

    @property
    def seals(self) -> bool:
        return self._first is not None

    def seal(self, payload: Payload, owner: str) -> Payload:
        if self._first is None:
            return payload
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher(self._first, owner).encrypt(
            nonce, payload.SerializeToString(), _bound(self._first, owner)
        )
        return Payload(
            metadata={"encoding": ENCODING, "muster-kid": self._first.encode(), "muster-workspace": owner.encode()},
            data=nonce + sealed,
        )

    def open(self, payload: Payload) -> Payload:
        from muster.sealing import InvalidTag

        kid, owner = _text(payload, "muster-kid"), owner_of(payload)
        if kid not in self._masters:
            raise UnreadablePayload(f"a payload is encrypted with the key {kid!r}, which MUSTER_PAYLOAD_KEYS lacks")
        try:
            content = self._cipher(kid, owner).decrypt(
                payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:], _bound(kid, owner)
            )
        except (InvalidTag, ValueError):
            raise UnreadablePayload(
                f"a payload of {owner!r} was altered, or its key {kid!r} is not the one it was encrypted with"
            ) from None
        return Payload.FromString(content)

    def _cipher(self, kid: str, owner: str) -> AESGCM:
        from muster.sealing import sealer

        cipher = self._derived.get((kid, owner))
        if cipher is None:
            if len(self._derived) >= _CACHED:
                self._derived.clear()
            cipher = self._derived[kid, owner] = sealer(self._masters[kid], owner.encode())
        return cipher


def is_sealed(payload: Payload) -> bool:
    return payload.metadata.get("encoding") == ENCODING


def owner_of(payload: Payload) -> str:
    """The workspace a sealed payload says it is of; opening it proves it."""
    return _text(payload, "muster-workspace")


class Encryption(PayloadCodec, WithSerializationContext):
    """Temporal's codec. Whose payload it is follows from the id of the workflow that it goes to or comes from."""

    def __init__(self, keys: Keys, owner: str = INSTANCE) -> None:
        self._keys = keys
        self._owner = owner

    def with_context(self, context: SerializationContext) -> Encryption:
        workflow_id: str | None = getattr(context, "workflow_id", None)
        workspace = workspace_of_workflow(workflow_id) if workflow_id else None
        # Never unencrypted for want of a workspace.
        return Encryption(self._keys, str(workspace) if workspace else INSTANCE)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._keys.seal(payload, self._owner) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._open(payload) if is_sealed(payload) else payload for payload in payloads]

    def _open(self, payload: Payload) -> Payload:
        owner = owner_of(payload)
        if self._owner not in (INSTANCE, owner) and owner != INSTANCE:
            raise UnreadablePayload(f"a payload of the workspace {owner!r} turned up in one of {self._owner!r}")
        return self._keys.open(payload)


class _Sealed(EncodingPayloadConverter):
    """Where no codec has opened it: a sentence, instead of the SDK's surprise at an unknown encoding."""

    @property
    def encoding(self) -> str:
        return ENCODING.decode()

    def to_payload(self, value: Any) -> None:
        return None

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> NoReturn:
        kid = _text(payload, "muster-kid")
        raise UnreadablePayload(f"a payload is encrypted with the key {kid!r}, and MUSTER_PAYLOAD_KEYS is not set")


_CONVERTERS = (*PydanticPayloadConverter().converters.values(), _Sealed())


class Converter(CompositePayloadConverter):
    """Pydantic's, that knows sealed payloads when it sees them. The SDK makes one whenever it converts something; what
    they are made of holds no state, and is made once."""

    def __init__(self) -> None:
        super().__init__(*_CONVERTERS)


def data_converter(keys: PayloadKeys | None) -> DataConverter:
    """Without keys: as ever, and at no cost."""
    if keys is None:
        return DataConverter(payload_converter_class=Converter)
    return DataConverter(
        payload_converter_class=Converter,
        payload_codec=Encryption(Keys(keys)),
        # Messages and stack traces of failures are fields of their own, which no codec sees unless they are moved.
        failure_converter_class=(
            DefaultFailureConverterWithEncodedAttributes if keys.encrypts else DefaultFailureConverter
        ),
    )


def _bound(kid: str, owner: str) -> bytes:
    """What a sealed payload says of itself, so that none of it can be changed."""
    return b"\n".join((ENCODING, kid.encode(), owner.encode()))


def _text(payload: Payload, name: str) -> str:
    return payload.metadata.get(name, b"").decode("ascii", "replace")
