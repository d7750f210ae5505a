"""Batches: one data key for many messages, and no way to pass one kind of message for the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest

from fakes.clock import ManualClock
from fakes.key_stands import Stand, local
from fakes.keys import Call, PolicingKeys, on_calls
from sceau.envelope import contexts, sdk
from sceau.envelope.batch import (
    BATCH_LIFE,
    BATCH_MESSAGES,
    CACHE_LIFE,
    CACHED_KEYS,
    BatchOpener,
    BatchSealer,
)
from sceau.envelope.contexts import EVENT_CARRIED, Carried
from sceau.envelope.errors import MessageRefused
from sceau.envelope.messages import Envelope, read_context
from sceau.keys.errors import KeyServiceUnavailable, KeyVersionGone
from sceau.keys.ports import KeyName
from sceau.keys.scoped import KeyOperation

RECORD = "a" * 26
CARRIED = Carried(bytes(32), 3)


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return local(tmp_path)


@pytest.fixture
def keys(stand: Stand) -> Iterator[PolicingKeys]:
    policing = PolicingKeys(stand.keys)
    yield policing
    assert policing.misuses == []


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def sealer(keys: PolicingKeys, clock: ManualClock) -> BatchSealer:
    return BatchSealer(keys, KeyName.JOURNAL, clock=clock)


@pytest.fixture
def opener(keys: PolicingKeys, clock: ManualClock) -> BatchOpener:
    return BatchOpener(keys, KeyName.JOURNAL, clock=clock)


def seal(sealer: BatchSealer, number: int) -> bytes:
    return sealer.seal(b"event %d" % number, contexts.event_to_seal(RECORD, str(number), CARRIED))


def check(opener: BatchOpener, message: bytes, number: int) -> None:
    opened = opener.open(message, contexts.event(RECORD, str(number)), carried=EVENT_CARRIED)
    assert opened.plaintext == b"event %d" % number
    assert contexts.read_carried(opened.context) == CARRIED


def batches(messages: list[bytes]) -> list[str]:
    return [read_context(message)["batch"] for message in messages]


# Sealing.


def test_a_thousand_messages_share_one_key_and_the_next_has_another(sealer: BatchSealer, keys: PolicingKeys) -> None:
    messages = [seal(sealer, number) for number in range(BATCH_MESSAGES + 1)]
    assert len(set(batches(messages[:BATCH_MESSAGES]))) == 1
    assert batches(messages[-1:])[0] != batches(messages[:1])[0]
    assert (keys.count(), keys.count(KeyOperation.WRAP, KeyName.JOURNAL)) == (2, 2)
    # Same data key and plaintext size: still no two messages with the same message id, from which their keys come.
    assert len({message[3:35] for message in messages}) == len(messages)


@pytest.mark.parametrize(
    ("later", "same"),
    [
        (timedelta(0), True),
        (BATCH_LIFE - timedelta(microseconds=1), True),
        (BATCH_LIFE, False),
        (timedelta(days=1), False),
        (timedelta(seconds=-1), False),
    ],
)
def test_a_batch_ends_after_five_minutes_or_when_the_clock_goes_back(
    sealer: BatchSealer, clock: ManualClock, later: timedelta, same: bool
) -> None:
    first = seal(sealer, 1)
    clock.advance(later)
    one, other = batches([first, seal(sealer, 2)])
    assert (one == other) is same


def test_its_key_is_bound_to_exactly_format_purpose_and_batch(sealer: BatchSealer, stand: Stand) -> None:
    header = sdk.read_header(seal(sealer, 1))
    bound = {name: header.context[name] for name in ("format", "purpose", "batch")}
    assert len(stand.keys.unwrap(KeyName.JOURNAL, header.wrapped, bound)) == 32
    assert header.context == contexts.event_to_seal(RECORD, "1", CARRIED) | bound


def test_without_the_key_service_no_message_is_sealed_and_the_next_one_begins_a_batch(
    sealer: BatchSealer, opener: BatchOpener, keys: PolicingKeys, clock: ManualClock
) -> None:
    first = seal(sealer, 1)
    clock.advance(BATCH_LIFE)
    keys.fails = on_calls(2, 3)
    for _ in range(2):
        with pytest.raises(KeyServiceUnavailable):
            seal(sealer, 2)
    third = seal(sealer, 3)
    one, other = batches([first, third])
    assert one != other
    check(opener, third, 3)


def test_contexts_of_another_purpose_or_format_are_an_error_of_the_caller(
    sealer: BatchSealer, opener: BatchOpener, keys: PolicingKeys
) -> None:
    event = contexts.event(RECORD, "1")
    for context in (
        contexts.document(RECORD, "1"),
        {**event, "format": "2"},
        {name: value for name, value in event.items() if name != "purpose"},
        {**event, "batch": "00" * 16},
        {},
    ):
        with pytest.raises(ValueError, match="encryption context"):
            sealer.seal(b"", context)
        with pytest.raises(ValueError, match="encryption context"):
            opener.open(b"", context)
    assert keys.count() == 0


def test_threads_share_one_batch_and_wait_for_its_key(
    sealer: BatchSealer, opener: BatchOpener, keys: PolicingKeys
) -> None:
    arrived, go_on = Event(), Event()

    def hold(call: Call) -> None:
        if call.operation is KeyOperation.WRAP:
            arrived.set()
            assert go_on.wait(120)

    keys.waits = hold
    with ThreadPoolExecutor(8) as pool:
        pending = [pool.submit(seal, sealer, number) for number in range(64)]
        assert arrived.wait(120)
        assert not any(done.done() for done in pending)
        go_on.set()
        messages = [done.result() for done in pending]
        assert keys.count(KeyOperation.WRAP) == 1
        list(pool.map(lambda pair: check(opener, pair[1], pair[0]), enumerate(messages)))
    assert len(set(batches(messages))) == 1


def test_threads_do_not_exceed_a_batch(sealer: BatchSealer) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = batches(list(pool.map(lambda number: seal(sealer, number), range(2 * BATCH_MESSAGES + 1))))
    assert sorted(map(found.count, set(found))) == [1, BATCH_MESSAGES, BATCH_MESSAGES]


# Opening.


def test_hundreds_of_messages_of_one_batch_cost_one_unwrap(
    sealer: BatchSealer, opener: BatchOpener, keys: PolicingKeys
) -> None:
    for number, message in enumerate([seal(sealer, number) for number in range(300)]):
        check(opener, message, number)
    assert keys.count(KeyOperation.UNWRAP) == 1


def test_the_last_64_batches_are_kept_and_no_more(
    sealer: BatchSealer, opener: BatchOpener, keys: PolicingKeys, clock: ManualClock
) -> None:
    messages = []
    for number in range(CACHED_KEYS + 1):
        messages.append(seal(sealer, number))
        clock.advance(BATCH_LIFE)

    def unwraps(number: int) -> int:
        before = keys.count(KeyOperation.UNWRAP)
        check(opener, messages[number], number)
        return keys.count(KeyOperation.UNWRAP) - before

    assert [unwraps(number) for number in range(CACHED_KEYS)] == [1] * CACHED_KEYS
    assert [unwraps(0), unwraps(CACHED_KEYS)] == [0, 1]  # 0 was used just now: 1 makes room
    assert [unwraps(0), unwraps(2), unwraps(1)] == [0, 0, 1]


def test_a_kept_key_is_forgotten_after_five_minutes(
    stand: Stand, sealer: BatchSealer, opener: BatchOpener, keys: PolicingKeys, clock: ManualClock
) -> None:
    message = seal(sealer, 1)
    check(opener, message, 1)
    stand.add_version(KeyName.JOURNAL)
    stand.disable_oldest(KeyName.JOURNAL)
    clock.advance(CACHE_LIFE - timedelta(microseconds=1))
    check(opener, message, 1)
    assert keys.count(KeyOperation.UNWRAP) == 1
    clock.advance(timedelta(microseconds=1))
    with pytest.raises(KeyVersionGone):
        check(opener, message, 1)
    clock.advance(-CACHE_LIFE - timedelta(hours=1))  # before it was kept: a clock that went back keeps nothing alive
    with pytest.raises(KeyVersionGone):
        check(opener, message, 1)


def test_an_unavailable_key_service_is_said_to_be_so_and_nothing_is_kept(
    sealer: BatchSealer, opener: BatchOpener, keys: PolicingKeys
) -> None:
    message = seal(sealer, 1)
    keys.fails = on_calls(2)
    with pytest.raises(KeyServiceUnavailable):
        check(opener, message, 1)
    check(opener, message, 1)
    assert keys.count(KeyOperation.UNWRAP) == 2


# Attacks.


@pytest.mark.parametrize("warm", [False, True], ids=["cold cache", "warm cache"])
def test_an_altered_byte_anywhere_is_refused(sealer: BatchSealer, opener: BatchOpener, warm: bool) -> None:
    message = seal(sealer, 1)
    if warm:
        check(opener, message, 1)
    altered = bytearray(message)
    for position in range(len(message)):
        for flip in (0x01, 0x80):
            altered[position] ^= flip
            with pytest.raises(MessageRefused):
                check(opener, bytes(altered), 1)
            altered[position] ^= flip
    check(opener, message, 1)


def test_a_message_does_not_pass_for_another_of_its_batch(
    sealer: BatchSealer, opener: BatchOpener, keys: PolicingKeys
) -> None:
    one, other = seal(sealer, 1), seal(sealer, 2)
    check(opener, one, 1)
    with pytest.raises(MessageRefused, match="another place"):
        check(opener, other, 1)
    # The header of one, the body of the other: same data key, but each message's own key differs.
    body = 4 + 4 + 12 + 4 + len(b"event 1") + 16
    with pytest.raises(MessageRefused):
        check(opener, one[:-body] + other[-body:], 1)
    renamed = other.replace(b"\x00\x05event\x00\x012", b"\x00\x05event\x00\x011")
    assert read_context(renamed) == read_context(one)
    with pytest.raises(MessageRefused):
        check(opener, renamed, 1)
    assert keys.count(KeyOperation.UNWRAP) == 1


def test_a_message_renamed_to_another_batch_is_refused_though_both_keys_are_kept(
    sealer: BatchSealer, opener: BatchOpener, clock: ManualClock
) -> None:
    one = seal(sealer, 1)
    clock.advance(BATCH_LIFE)
    other = seal(sealer, 2)
    check(opener, one, 1)
    check(opener, other, 2)
    first, second = (name.encode() for name in batches([one, other]))
    with pytest.raises(MessageRefused, match="data key is altered, or of another place"):
        check(opener, one.replace(first, second), 1)


def test_a_batch_id_that_is_not_of_ours_is_refused_without_the_key_service(
    opener: BatchOpener, keys: PolicingKeys
) -> None:
    for batch_id in ("", "00" * 15, "00" * 16 + "\n", "AB" * 16, "é" * 32):
        context = {**contexts.event(RECORD, "1"), "batch": batch_id}
        message = sdk.write(b"", context, key="journal", data_key=bytes(32), wrapped=b"x")
        with pytest.raises(MessageRefused, match="no id of ours"):
            opener.open(message, contexts.event(RECORD, "1"))
    assert keys.count() == 0


def test_a_message_of_one_way_is_refused_the_other_way(
    sealer: BatchSealer, opener: BatchOpener, keys: PolicingKeys
) -> None:
    envelope, context = Envelope(keys), contexts.event(RECORD, "1")
    batched, single = sealer.seal(b"event", context), envelope.seal(KeyName.JOURNAL, b"event", context)
    assert opener.open(batched, context).plaintext == envelope.open(KeyName.JOURNAL, single, context).plaintext
    unwraps = keys.count(KeyOperation.UNWRAP)
    with pytest.raises(MessageRefused, match="another place"):
        opener.open(single, context)
    with pytest.raises(MessageRefused, match="another place"):
        envelope.open(KeyName.JOURNAL, batched, context)
    assert keys.count(KeyOperation.UNWRAP) == unwraps


def test_a_forger_who_may_wrap_does_not_get_a_single_message_through_as_batched(
    opener: BatchOpener, stand: Stand
) -> None:
    # A data key wrapped for a whole place, put under a header that says "batch": bound to more than a batch's key is.
    data_key, whole = os.urandom(32), {**contexts.event(RECORD, "1"), "batch": "00" * 16}
    wrapped = stand.keys.wrap(KeyName.JOURNAL, data_key, whole)
    message = sdk.write(b"", whole, key="journal", data_key=data_key, wrapped=wrapped)
    with pytest.raises(MessageRefused, match="data key is altered, or of another place"):
        opener.open(message, contexts.event(RECORD, "1"))


def test_another_purpose_or_key_does_not_open_it(sealer: BatchSealer, keys: PolicingKeys, clock: ManualClock) -> None:
    message = seal(sealer, 1)
    other_purpose = BatchOpener(keys, KeyName.JOURNAL, clock=clock, purpose="document")
    with pytest.raises(MessageRefused, match="another place"):
        other_purpose.open(message, contexts.document(RECORD, "1"))
    with pytest.raises(MessageRefused, match="another key"):
        check(BatchOpener(keys, KeyName.CONTENT, clock=clock), message, 1)
    assert keys.count(KeyOperation.UNWRAP) == 0
