"""How payloads are sealed, for whom, and what cannot be opened."""

from __future__ import annotations

import base64
import copy
import os
import subprocess
import sys
from uuid import uuid4

import pytest
from cryptography.exceptions import InvalidTag
from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.converter import ActivitySerializationContext, DataConverter, WorkflowSerializationContext
from temporalio.exceptions import ApplicationError

from muster.domain.ids import agent_workflow_id, new_id, task_workflow_id
from muster.payloads import ENCODING, INSTANCE, Encryption, Keys, UnreadablePayload, data_converter, is_sealed
from muster.settings import PayloadKeys, Settings

ONE, OTHER = uuid4(), uuid4()


def a_key(kid: str) -> str:
    return f"{kid}:{base64.b64encode(os.urandom(32)).decode()}"


def keys(text: str) -> PayloadKeys:
    return PayloadKeys.parse(text)


def of_workspace(converter: DataConverter, workspace: object) -> DataConverter:
    return converter.with_context(WorkflowSerializationContext("default", f"task-{new_id()}.{workspace}"))


async def sealed(converter: DataConverter, value: object = "text") -> Payload:
    payload = (await converter.encode([value]))[0]
    assert is_sealed(payload)
    return payload


async def test_what_is_sealed_opens_again_and_says_only_whose_it_is() -> None:
    converter = of_workspace(data_converter(keys(a_key("k1"))), ONE)
    payload = await sealed(converter, {"text": "marmalade"})
    assert dict(payload.metadata) == {
        "encoding": ENCODING, "muster-kid": b"k1", "muster-workspace": str(ONE).encode()
    }  # fmt: skip
    assert b"marmalade" not in payload.SerializeToString()
    assert b"json" not in payload.SerializeToString()
    assert await converter.decode([payload]) == [{"text": "marmalade"}]
    assert (await sealed(converter)).data != (await sealed(converter)).data, "a nonce was used twice"


def test_the_owner_follows_from_the_workflow_whoever_converts() -> None:
    codec = Encryption(Keys(keys(a_key("k1"))))
    of_activity = ActivitySerializationContext(
        namespace="default", activity_id="1", activity_type="a", activity_task_queue="q",
        workflow_id=agent_workflow_id(ONE, new_id()), workflow_type="w", is_local=True,
    )  # fmt: skip
    contexts = {
        WorkflowSerializationContext("default", task_workflow_id(ONE, new_id())): str(ONE),
        of_activity: str(ONE),
        WorkflowSerializationContext("default", "somebody-elses"): INSTANCE,
        ActivitySerializationContext("default", "1", "a", "q", None, None, False): INSTANCE,
    }
    assert [codec.with_context(context)._owner for context in contexts] == list(contexts.values())


async def test_without_a_workspace_it_is_sealed_all_the_same() -> None:
    converter = data_converter(keys(a_key("k1")))
    payload = await sealed(converter)
    assert payload.metadata["muster-workspace"] == INSTANCE.encode()
    assert await of_workspace(converter, ONE).decode([payload]) == ["text"]


async def test_a_payload_of_another_workspace_is_refused() -> None:
    converter = data_converter(keys(a_key("k1")))
    payload = await sealed(of_workspace(converter, ONE))
    with pytest.raises(UnreadablePayload, match=str(ONE)):
        await of_workspace(converter, OTHER).decode([payload])


@pytest.mark.parametrize("change", ["data", "nonce", "muster-workspace", "muster-kid", "short", "empty"])
async def test_nothing_of_it_can_be_changed(change: str) -> None:
    same = a_key("k1").partition(":")[2]
    converter = data_converter(keys(f"k1:{same},k2:{same}"))
    payload = copy.deepcopy(await sealed(of_workspace(converter, ONE)))
    if change == "data":
        payload.data = payload.data[:-1] + bytes([payload.data[-1] ^ 1])
    elif change == "nonce":
        payload.data = bytes([payload.data[0] ^ 1]) + payload.data[1:]
    elif change == "short":
        payload.data = payload.data[:5]
    elif change == "empty":
        payload.data = b""
    else:
        payload.metadata[change] = {"muster-kid": b"k2", "muster-workspace": str(OTHER).encode()}[change]
    with pytest.raises(UnreadablePayload, match="altered"):
        await converter.decode([payload])


async def test_workspaces_have_keys_of_their_own() -> None:
    """Relabelled as another's, it does not open even where nothing bound the label to it."""
    ring = Keys(keys(a_key("k1")))
    mine, theirs = ring._cipher("k1", str(ONE)), ring._cipher("k1", str(OTHER))
    box = mine.encrypt(bytes(12), b"text", None)
    with pytest.raises(InvalidTag):
        theirs.decrypt(bytes(12), box, None)
    assert mine.decrypt(bytes(12), box, None) == b"text"


async def test_rotation_and_switching_on_and_off() -> None:
    k1, k2 = a_key("k1"), a_key("k2")
    never, first = data_converter(None), data_converter(keys(k1))
    both, off, second = (data_converter(keys(text)) for text in (f"{k2},{k1}", f"off,{k2},{k1}", k2))
    plain, old = (await never.encode(["plain"]))[0], await sealed(first, "old")
    new, later = await sealed(both, "new"), (await off.encode(["later"]))[0]
    assert new.metadata["muster-kid"] == b"k2"
    assert not is_sealed(plain)
    assert not is_sealed(later)
    assert await first.decode([plain, old]) == ["plain", "old"]
    assert await both.decode([plain, old, new, later]) == ["plain", "old", "new", "later"]
    assert await off.decode([plain, old, new, later]) == ["plain", "old", "new", "later"]
    with pytest.raises(UnreadablePayload, match="'k1', which MUSTER_PAYLOAD_KEYS lacks"):
        await second.decode([old])
    with pytest.raises(UnreadablePayload, match="'k1', and MUSTER_PAYLOAD_KEYS is not set"):
        await never.decode([old])


async def test_a_failure_keeps_its_message_to_itself() -> None:
    converter = of_workspace(data_converter(keys(a_key("k1"))), ONE)
    failure, message = Failure(), "marmalade everywhere"
    try:
        try:
            raise ValueError(f"inner {message}")
        except ValueError as cause:
            raise ApplicationError(message, {"why": message}, type="forbidden") from cause
    except ApplicationError as error:
        await converter.encode_failure(error, failure)
    assert b"marmalade" not in failure.SerializeToString()
    assert failure.application_failure_info.type == "forbidden"
    # Told on, as a workflow does with what an activity raised, it stays closed.
    again = Failure()
    found = await converter.decode_failure(failure)
    assert (str(found), str(found.__cause__)) == (f"forbidden: {message}", f"ValueError: inner {message}")
    await converter.encode_failure(found, again)
    assert b"marmalade" not in again.SerializeToString()
    assert isinstance(found, ApplicationError)
    assert found.message == message


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("nonsense", "entry 1 must be an id"),
        (f"{base64.b64encode(bytes(range(32))).decode()}", "entry 1 must be an id"),
        (f"k 1:{base64.b64encode(bytes(32)).decode()}", "entry 1 must be an id"),
        ("k1:not-base64!", "the key k1 is not base64"),
        ("k1:c2hvcnQ=", "the key k1 has 5 bytes, and must have 32"),
        (f"{a_key('k1')},", "entry 2 must be an id"),
        (f"{a_key('k1')},{a_key('k1')}", "the id k1 occurs twice"),
        (f"off,{a_key('k1')},off", "entry 3 must be an id"),
    ],
    ids=range(8),
)
def test_bad_keys_are_complained_of_without_the_key(value: str, complaint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(_env_file=None, MUSTER_PAYLOAD_KEYS=value)
    assert complaint in str(caught.value)
    assert value.partition(":")[2][:20] not in str(caught.value) or ":" not in value
    assert value not in str(caught.value)


def test_who_starts_with_a_bad_key_is_told_in_one_line() -> None:
    value = f"{a_key('k1')},k2:c2hvcnQ="
    refused = subprocess.run(
        [sys.executable, "-m", "muster.cli", "worker"],
        env={**os.environ, "MUSTER_PAYLOAD_KEYS": value}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1, refused.stderr
    assert refused.stderr.startswith("muster: MUSTER_PAYLOAD_KEYS: ")
    assert "the key k2 has 5 bytes, and must have 32" in refused.stderr
    assert value.partition(",")[0][3:] not in refused.stderr


def test_keys_do_not_show() -> None:
    text = a_key("k1")
    settings = Settings(_env_file=None, MUSTER_PAYLOAD_KEYS=f" {text} , {a_key('k2')} ")
    ring = settings.payload_key_ring
    assert ring
    assert (list(ring.masters), ring.encrypts) == (["k1", "k2"], "k1")
    assert text[3:] not in repr(settings) + repr(ring)


def test_without_keys_nothing_is_in_the_way() -> None:
    converter = data_converter(None)
    assert converter.payload_codec is None
    assert converter.with_context(WorkflowSerializationContext("default", f"task-x.{ONE}")) is converter
