"""Sealing and opening, on every key service: what opens, and that nothing else does."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from fakes.key_stands import ADAPTERS, Stand, local, mark_flaws
from fakes.keys import PolicingKeys, on
from sceau.envelope import contexts
from sceau.envelope.errors import MessageRefused
from sceau.envelope.messages import Envelope, read_context
from sceau.http import log
from sceau.keys.errors import KeyRightDenied, KeyServiceUnavailable, KeyVersionGone, UnknownKey
from sceau.keys.ports import DATA_KEY_BYTES, KeyName
from sceau.keys.scoped import KeyOperation, ScopedKeys

MIB = 1024 * 1024
RECORD, ENTRY = "a" * 26, "b" * 26
CONTEXT = contexts.document(RECORD, ENTRY)
PLAINTEXT = b"Compte rendu d'examen: rien d'anormal."


@pytest.fixture(params=sorted(ADAPTERS))
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    stand = ADAPTERS[request.param](tmp_path)
    mark_flaws(stand, request.node)
    yield stand
    stand.close()


@pytest.fixture
def keys(stand: Stand) -> Iterator[PolicingKeys]:
    policing = PolicingKeys(stand.keys)
    yield policing
    assert policing.misuses == []


@pytest.fixture
def envelope(keys: PolicingKeys) -> Envelope:
    return Envelope(keys)


@pytest.fixture
def message(envelope: Envelope) -> bytes:
    return envelope.seal(KeyName.CONTENT, PLAINTEXT, CONTEXT)


def refused(
    envelope: Envelope, message: bytes, context: Mapping[str, str] = CONTEXT, key: KeyName = KeyName.CONTENT
) -> str:
    with pytest.raises(MessageRefused) as refusal:
        envelope.open(key, message, context)
    return str(refusal.value)


@pytest.mark.parametrize("size", [0, 1, 4096, MIB - 1, MIB, MIB + 1, 2 * MIB, 2 * MIB + 1])
def test_what_was_sealed_opens(envelope: Envelope, size: int) -> None:
    plaintext = os.urandom(size)
    message = envelope.seal(KeyName.CONTENT, plaintext, CONTEXT)
    opened = envelope.open(KeyName.CONTENT, message, CONTEXT)
    assert (opened.plaintext, opened.context) == (plaintext, CONTEXT)
    assert size < 32 or plaintext[:32] not in message


def test_each_message_costs_one_call_each_way_and_has_its_own_key(envelope: Envelope, keys: PolicingKeys) -> None:
    messages = {envelope.seal(KeyName.CONTENT, PLAINTEXT, CONTEXT) for _ in range(5)}
    assert len(messages) == 5
    assert (keys.count(), keys.count(KeyOperation.WRAP, KeyName.CONTENT)) == (5, 5)
    for message in messages:
        envelope.open(KeyName.CONTENT, message, CONTEXT)
    assert (keys.count(), keys.count(KeyOperation.UNWRAP, KeyName.CONTENT)) == (10, 5)


def test_data_keys_come_from_the_random_source(keys: PolicingKeys) -> None:
    asked: list[int] = []

    def random_bytes(count: int) -> bytes:
        asked.append(count)
        return os.urandom(count)

    Envelope(keys, random_bytes=random_bytes).seal(KeyName.CONTENT, PLAINTEXT, CONTEXT)
    assert asked == [DATA_KEY_BYTES]


# The place.

OTHER_PLACES = {
    "other record": contexts.document("c" * 26, ENTRY),
    "other entry": contexts.document(RECORD, "c" * 26),
    "exchanged": contexts.document(ENTRY, RECORD),
    "other purpose": {**CONTEXT, "purpose": "dossier"},
    "other format": {**CONTEXT, "format": "2"},
    "one more": {**CONTEXT, "more": "x"},
    "batch": {**CONTEXT, "purpose": "event"},
    **{f"no {name}": {n: v for n, v in CONTEXT.items() if n != name} for name in CONTEXT},
    **{f"{name} in capitals": {**CONTEXT, name: value.upper() + "A"} for name, value in CONTEXT.items()},
}


@pytest.mark.parametrize("other", OTHER_PLACES.values(), ids=OTHER_PLACES.keys())
def test_a_message_moved_elsewhere_is_refused_before_any_key_is_asked_for(
    envelope: Envelope, keys: PolicingKeys, message: bytes, other: Mapping[str, str]
) -> None:
    assert refused(envelope, message, other) == "the message is of another place"
    moved_here = envelope.seal(KeyName.CONTENT, PLAINTEXT, other)
    assert refused(envelope, moved_here) == "the message is of another place"
    assert keys.count(KeyOperation.UNWRAP) == 0


def test_a_message_of_another_key_is_refused_before_any_key_is_asked_for(
    envelope: Envelope, keys: PolicingKeys, message: bytes
) -> None:
    assert refused(envelope, message, key=KeyName.DOSSIER) == "the message is of another key"
    assert keys.count(KeyOperation.UNWRAP) == 0


def test_a_header_rewritten_to_the_expected_place_is_refused(envelope: Envelope) -> None:
    elsewhere = envelope.seal(KeyName.CONTENT, PLAINTEXT, contexts.document(RECORD, "c" * 26))
    rewritten = elsewhere.replace(b"c" * 26, ENTRY.encode())
    assert read_context(rewritten) == CONTEXT
    refused(envelope, rewritten)


def test_a_header_rewritten_to_the_expected_key_is_refused(envelope: Envelope) -> None:
    elsewhere = envelope.seal(KeyName.JOURNAL, PLAINTEXT, CONTEXT)
    refused(envelope, elsewhere.replace(b"journal", b"content"))


def test_carried_values_come_back_and_must_all_be_there(envelope: Envelope) -> None:
    carried = {"commitment": "c0", "dossier-version": "7"}
    message = envelope.seal(KeyName.JOURNAL, PLAINTEXT, {**CONTEXT, **carried})
    opened = envelope.open(KeyName.JOURNAL, message, CONTEXT, carried=carried.keys())
    assert opened.context == {**CONTEXT, **carried}
    for names in ((), ("commitment",), ("dossier-version",), (*carried, "more"), ("commitment", "more")):
        with pytest.raises(MessageRefused, match="another place"):
            envelope.open(KeyName.JOURNAL, message, CONTEXT, carried=names)
    with pytest.raises(MessageRefused):
        envelope.open(KeyName.JOURNAL, message.replace(b"\x00\x017", b"\x00\x018"), CONTEXT, carried=carried)


def test_names_that_can_not_be_carried_are_an_error_of_the_caller(envelope: Envelope, message: bytes) -> None:
    for carried in (["record"], ["batch"], ["aws-crypto-public-key"], "entry"):
        with pytest.raises(ValueError, match="carried"):
            envelope.open(KeyName.CONTENT, message, CONTEXT, carried=carried)


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"purpose": ""},
        {"": "document"},
        {"purpose": "é"},
        {"é": "document"},
        {"purpose": "document", "aws-crypto-public-key": "x"},
        {"purpose": "document", "batch": "x"},
        {"purpose": "x" * 4096},
    ],
)
def test_contexts_that_can_not_be_used_seal_and_open_nothing(
    envelope: Envelope, keys: PolicingKeys, message: bytes, context: Mapping[str, str]
) -> None:
    before = keys.count()
    with pytest.raises(ValueError, match="an encryption context"):
        envelope.seal(KeyName.CONTENT, PLAINTEXT, context)
    with pytest.raises(ValueError, match="an encryption context"):
        envelope.open(KeyName.CONTENT, message, context)
    assert keys.count() == before


# The bytes.


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_an_altered_byte_anywhere_is_refused(envelope: Envelope, message: bytes, flip: int) -> None:
    for position in range(len(message)):
        altered = bytearray(message)
        altered[position] ^= flip
        refused(envelope, bytes(altered))
    assert envelope.open(KeyName.CONTENT, message, CONTEXT).plaintext == PLAINTEXT


def test_a_truncated_message_is_refused(envelope: Envelope, message: bytes) -> None:
    for length in range(len(message)):
        refused(envelope, message[:length])


def test_what_follows_a_message_is_refused(envelope: Envelope, message: bytes) -> None:
    for more in (b"\0", message, bytes(MIB)):
        assert refused(envelope, message + more) == "something follows the message"
    refused(envelope, b"\0" + message)


def test_parts_of_two_messages_do_not_make_a_third(envelope: Envelope, message: bytes) -> None:
    other = envelope.seal(KeyName.CONTENT, PLAINTEXT[::-1], CONTEXT)
    assert len(other) == len(message)
    for cut in range(1, len(message)):
        spliced = message[:cut] + other[cut:]
        if spliced not in (message, other):  # both begin with the same version and suite
            refused(envelope, spliced)


def test_frames_left_out_repeated_or_exchanged_are_refused(envelope: Envelope) -> None:
    message = envelope.seal(KeyName.CONTENT, os.urandom(2 * MIB) + b"end", CONTEXT)
    frame, last = 4 + 12 + MIB + 16, 4 + 4 + 12 + 4 + len(b"end") + 16
    header = message[: len(message) - last - 2 * frame]
    first, second, end = message[len(header) :][:frame], message[-last - frame : -last], message[-last:]
    assert header + first + second + end == message
    for frames in (
        [second, first, end],
        [first, end],
        [first, first, end],
        [first, second],
        [end],
        [first, second, first],
    ):
        refused(envelope, b"".join([header, *frames]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(data=st.data())
def test_whatever_is_done_to_the_bytes_ends_in_a_refusal(
    envelope: Envelope, message: bytes, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(message)))
    end = data.draw(st.integers(start, min(len(message), start + 40)))
    altered = message[:start] + data.draw(st.binary(max_size=40)) + message[end:]
    if altered != message:
        refused(envelope, altered)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(noise=st.binary(max_size=300), known=st.integers(0, 60))
def test_noise_is_refused(envelope: Envelope, message: bytes, noise: bytes, known: int) -> None:
    for other in (noise, message[:known] + noise):
        refused(envelope, other)


# Without a key.


def test_the_context_can_be_read_from_the_start_without_a_key(message: bytes, keys: PolicingKeys) -> None:
    before = keys.count()
    assert read_context(message) == read_context(message[:8192]) == CONTEXT
    assert keys.count() == before


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(noise=st.binary(max_size=300), known=st.integers(0, 60))
def test_reading_a_context_from_noise_gives_a_context_or_a_refusal(message: bytes, noise: bytes, known: int) -> None:
    for other in (noise, message[:known] + noise):
        try:
            context = read_context(other)
        except MessageRefused:
            continue
        assert isinstance(context, dict)


def test_no_context_is_read_from_a_part_of_a_header(message: bytes) -> None:
    for length in range(200):  # the header of this message is longer
        with pytest.raises(MessageRefused):
            read_context(message[:length])


# The key service.


def test_an_unavailable_key_service_is_said_to_be_so(envelope: Envelope, keys: PolicingKeys, message: bytes) -> None:
    keys.fails = lambda _: True
    with pytest.raises(KeyServiceUnavailable):
        envelope.open(KeyName.CONTENT, message, CONTEXT)
    with pytest.raises(KeyServiceUnavailable):
        envelope.seal(KeyName.CONTENT, PLAINTEXT, CONTEXT)
    keys.fails = on(KeyOperation.SIGN)
    assert envelope.open(KeyName.CONTENT, message, CONTEXT).plaintext == PLAINTEXT


def test_a_key_version_that_is_gone_is_said_to_be_so(stand: Stand, envelope: Envelope, message: bytes) -> None:
    stand.add_version(KeyName.CONTENT)
    assert envelope.open(KeyName.CONTENT, message, CONTEXT).plaintext == PLAINTEXT
    newer = envelope.seal(KeyName.CONTENT, PLAINTEXT, CONTEXT)
    stand.disable_oldest(KeyName.CONTENT)
    with pytest.raises(KeyVersionGone):
        envelope.open(KeyName.CONTENT, message, CONTEXT)
    assert envelope.open(KeyName.CONTENT, newer, CONTEXT).plaintext == PLAINTEXT


def test_a_function_that_may_only_wrap_does_not_open_what_it_sealed(keys: PolicingKeys) -> None:
    envelope = Envelope(ScopedKeys(keys, {KeyName.CONTENT: {KeyOperation.WRAP}}))
    message = envelope.seal(KeyName.CONTENT, PLAINTEXT, CONTEXT)
    with pytest.raises(KeyRightDenied):
        envelope.open(KeyName.CONTENT, message, CONTEXT)
    assert keys.count(KeyOperation.UNWRAP) == 0


def test_a_signing_key_seals_nothing(envelope: Envelope) -> None:
    with pytest.raises(UnknownKey):
        envelope.seal(KeyName.TOKENS, PLAINTEXT, CONTEXT)


def test_another_stage_does_not_open_the_message(message: bytes, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    refused(Envelope(local(tmp_path / "other").keys), message)


def test_threads_do_not_disturb_each_other(envelope: Envelope) -> None:
    def work(worker: int) -> None:
        for turn in range(20):
            plaintext, context = f"{worker}.{turn}".encode() * 50, contexts.document(RECORD, f"{worker}.{turn}")
            message = envelope.seal(KeyName.CONTENT, plaintext, context)
            assert envelope.open(KeyName.CONTENT, message, context).plaintext == plaintext

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, worker) for worker in range(8)]:
            done.result()


# What is said.


def test_neither_logs_nor_refusals_say_what_a_message_holds(
    envelope: Envelope, message: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    log.configure(logging.DEBUG, io.StringIO())  # as a service does that logs all it may
    envelope.open(KeyName.CONTENT, envelope.seal(KeyName.CONTENT, PLAINTEXT, CONTEXT), CONTEXT)
    said = [refused(envelope, message[:-1]), refused(envelope, message, {**CONTEXT, "more": "x"})]
    for position in range(0, len(message), 3):
        altered = bytearray(message)
        altered[position] ^= 0xC0
        said.append(refused(envelope, bytes(altered)))
    assert any(record.name.startswith("aws_encryption_sdk") for record in caplog.records)
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}
    everything = "\n".join([*said, *(record.getMessage() for record in caplog.records), caplog.text])
    for secret in (RECORD, ENTRY, "Compte rendu", "document"):
        assert secret not in everything
