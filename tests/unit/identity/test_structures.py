"""The directory of structures: what rests, and what is asked of it."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta

from fakes.clock import ManualClock
from fakes.objects import MemoryStore
from fixtures.inprocess import key_service
from sceau.envelope import contexts
from sceau.envelope.messages import Envelope
from sceau.identity.structures import DirectoryStore, Structures
from sceau.keys.ports import KeyName

NAME = "configuration/rules/structures"


def test_what_rests_is_pinned() -> None:
    clock = ManualClock()
    store, envelope = MemoryStore(clock), Envelope(key_service())
    assert DirectoryStore(store, envelope).put(["1750000002", "1750000001", "1750000001"], "FINESS") == 2
    rests = envelope.open(KeyName.CONFIGURATION, store.read(NAME).data, contexts.configuration(NAME)).plaintext
    hashes = sorted(hashlib.sha256(number).digest()[:8] for number in (b"1750000001", b"1750000002"))
    packed = base64.b64encode(b"".join(hashes)).decode()
    assert rests.decode() == f'{{"format":1,"source":"FINESS","numbers":"{packed}"}}'


def test_without_a_directory_every_number_may_exist_and_a_new_one_is_seen_within_a_minute() -> None:
    clock = ManualClock()
    directory = DirectoryStore(MemoryStore(clock), Envelope(key_service()))
    structures = Structures(directory)
    assert structures.may_exist("1750000001", clock())
    directory.put(["1750000002"], "FINESS")
    clock.advance(timedelta(seconds=60))
    assert not structures.may_exist("1750000001", clock())
    assert structures.may_exist("1750000002", clock())
