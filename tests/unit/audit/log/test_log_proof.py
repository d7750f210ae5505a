"""Proof files: bytes that must never change, what a patient can check with them alone, and what they don't prove."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from sceau.audit.ids import event_name
from sceau.audit.log.checkpoints import Checkpoint
from sceau.audit.log.entries import LogEntry, name_digest
from sceau.audit.log.errors import NoteRefused, ProofRefused
from sceau.audit.log.hashes import Frontier, inclusion_ranges, leaf_hash, range_hash, root_of
from sceau.audit.log.notes import Note, Signature
from sceau.audit.log.proofs import EventProof, parse_proof, verify_event
from sceau.audit.sealed import commitment
from unit.audit.log.log_keys import ORIGIN, Keys
from unit.audit.samples import EVENT_ID, RECORD

KEYS, OTHER = Keys(), Keys("other")
SIZE, INDEX = 300, 257
OPENING = bytes(range(32))
EVENT = (
    f'{{"resourceType":"AuditEvent","id":"{EVENT_ID}","outcome":"0",'
    f'"entity":[{{"what":{{"reference":"Patient/{RECORD}"}}}}]}}'
).encode()


def entry_for(event: bytes, name: str, opening: bytes = OPENING) -> LogEntry:
    return LogEntry(name_digest(name), hashlib.sha256(b"sealed").digest(), 2964, commitment(opening, event))


NAME = event_name(RECORD, EVENT_ID)
ENTRY = entry_for(EVENT, NAME)


def leaves(entry: LogEntry = ENTRY) -> list[bytes]:
    hashes = [leaf_hash(b"entry %d" % number) for number in range(SIZE)]
    hashes[INDEX] = leaf_hash(entry.encode())
    return hashes


def path_in(hashes: list[bytes]) -> tuple[bytes, ...]:
    def hash_of(node: tuple[int, int]) -> bytes:
        height, index = node
        return root_of(hashes[index << height : (index + 1) << height])

    return tuple(range_hash(one, hash_of) for one in inclusion_ranges(INDEX, SIZE))


def proof_of(entry: LogEntry = ENTRY, opening: bytes = OPENING, keys: Keys = KEYS) -> EventProof:
    hashes = leaves(entry)
    return EventProof(INDEX, opening, entry, path_in(hashes), keys.checkpoint(SIZE, root_of(hashes)))


PINNED = (
    "c2sp.org/tlog-proof@v1\n"
    "extra AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fAev0a+qO7cFOclgWKVf3EgU1LLOfIFRWFzWw91UnU2AmydADa+"
    "1nRLzfaS/JgNhxfX5fWk9Ogma0qEmCYC+xzQkAAAAAAAALlAEQKYzNuYxUm2+C8M/qC5oCmvYi0GixHgWpCocV8KGJ\n"
    "index 257\n"
    "och3qCTSUz777hlgt/L+QiRFD2nDsOPT6crMdZzizvM=\n"
    "2weeEv1ePZMy8exWWKzE6FpvDpAzz2A1iesE6ylmbLA=\n"
    "7A6bpI1GmR6NGFgFuj/BgvreGpnnWjMh7jpUpfFX/9Y=\n"
    "j5skCCcPLx74uhIGjb2eVcJW3MNaAyitOgRkyFHQZow=\n"
    "v0dikrucGz5rXeXt96RtXdQFP3sKvfT+qOw4RgGnaMA=\n"
    "2NT2AO7LLoXzveZkQaIJHqJC72yUTyHkuXtq8nXuqsc=\n"
    "2mWW2VNp9f7zIquOTg2jsLUCNqqcijsdJG90Ecni4y4=\n"
    "\n"
    "dossier.example.org/journal\n"
    "300\n"
    "uVOuHvOXlslOwOnZCfdLWWZ1Wty1CsC7M+Yrua/CkEs=\n"
    "\n"
    "— dossier.example.org/journal 5HuroNOIMera2OSXl7ySzjKp1c5kpZ8dtNyQpDhunvFTfn+G62Ioou+/3Sokdy+PwAsrSd"
    "IpF27Qwe48GGiRtWPQtAc=\n"
)
P256_SIGNATURE = (
    "30440220188a330842c6681070bb28cd058af875c1991f4d46d2ed558de3be7f3ff857bd"
    "02206caca3bfbb352cdcf2d18c8182659d830208f7dbf24d1e3321e323f420c1c894"
)


def test_the_bytes_are_frozen() -> None:
    """All but the ECDSA signature, which is random: the file is pinned with the Ed25519 one alone."""
    hashes = leaves()
    text = Checkpoint(ORIGIN, SIZE, root_of(hashes)).text()
    note = Note(text, (KEYS.sign_ed25519(text),)).encode()
    proof = EventProof(INDEX, OPENING, ENTRY, path_in(hashes), note)
    assert proof.encode() == PINNED.encode()
    assert parse_proof(PINNED.encode()) == proof


def test_a_proof_proves_its_event_to_whoever_has_the_keys() -> None:
    proven = verify_event(EVENT, proof_of().encode(), KEYS.public)
    assert (proven.event_id, proven.index, proven.checkpoint.size) == (EVENT_ID, INDEX, SIZE)


def test_an_event_about_no_record_is_proven_too() -> None:
    event = f'{{"resourceType":"AuditEvent","id":"{EVENT_ID}"}}'.encode()
    entry = entry_for(event, event_name("0", EVENT_ID))
    assert verify_event(event, proof_of(entry).encode(), KEYS.public).index == INDEX


def refused(event: bytes, proof: EventProof, why: str) -> None:
    with pytest.raises(ProofRefused, match=why):
        verify_event(event, proof.encode(), KEYS.public)


def test_another_event_or_another_form_of_it_is_not_proven() -> None:
    refused(EVENT.replace(b'"0"', b'"4"'), proof_of(), "not the one that was logged")
    refused(EVENT.replace(b'":"', b'": "'), proof_of(), "not the one that was logged")
    refused(EVENT, replace(proof_of(), opening=bytes(32)), "not the one that was logged")


def test_an_event_logged_under_anothers_name_is_not_proven() -> None:
    for name in (event_name("b" * 26, EVENT_ID), event_name(RECORD, EVENT_ID[:-1] + "3")):
        refused(EVENT, proof_of(entry_for(EVENT, name)), "another id, or another record")


def test_what_is_no_event_of_ours_is_not_proven() -> None:
    for event in (b"", b"[]", b"{}", b'{"id":3}', b'{"id":"x"}', b"\xff", b'{"id":null}'):
        refused(event, proof_of(entry_for(event, NAME)), "not an AuditEvent")


def test_a_proof_of_another_place_is_not_one() -> None:
    proof = proof_of()
    refused(EVENT, replace(proof, index=INDEX + 1), "does not lead")
    refused(EVENT, replace(proof, index=SIZE), "does not lead")
    refused(EVENT, replace(proof, path=proof.path[:-1]), "does not lead")
    refused(EVENT, replace(proof, path=(bytes(32), *proof.path[1:])), "does not lead")
    refused(EVENT, replace(proof, entry=replace(ENTRY, sealed_bytes=1)), "does not lead")
    refused(EVENT, replace(proof, checkpoint=KEYS.checkpoint(SIZE, bytes(32))), "does not lead")


def test_a_checkpoint_that_the_log_did_not_sign_proves_nothing() -> None:
    for keys in (OTHER, Keys("first", "another.example.org/journal")):
        with pytest.raises(NoteRefused):
            verify_event(EVENT, proof_of(keys=keys).encode(), KEYS.public)
    proof = proof_of()
    with pytest.raises(NoteRefused, match="P-256"):
        verify_event(EVENT, proof.encode(), (KEYS.v_ed25519,))
    broken = Signature(ORIGIN, KEYS.v_ed25519.key_id, bytes(64))
    with pytest.raises(NoteRefused, match="wrong"):
        verify_event(EVENT, proof.encode() + broken.line().encode(), KEYS.public)


def _extra(version: int) -> str:
    return f"extra {base64.b64encode(bytes([version]) + bytes(137)).decode()}"


def _lines(change: Callable[[list[str]], object]) -> bytes:
    head, checkpoint = PINNED.split("\n\n", 1)
    lines = head.split("\n")
    change(lines)
    return "\n".join([*lines, "", checkpoint]).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PINNED.encode()[:40],
        PINNED.replace("@v1", "@v2").encode(),
        PINNED.replace("index 257", "index 0257").encode(),
        PINNED.replace("index 257", "index -1").encode(),
        PINNED.replace("index 257\n", "").encode(),
        PINNED.replace("\n", "\r\n").encode(),
        b"\xff" + PINNED.encode(),
        _lines(lambda lines: lines.pop(1)),
        _lines(lambda lines: lines.insert(1, lines[1])),
        _lines(lambda lines: lines.extend([lines[-1]] * 63)),
        _lines(lambda lines: lines.append("AAAA")),
        _lines(lambda lines: lines.append(lines[-1][:-1])),
        _lines(lambda lines: lines.append("x" * 44)),
        _lines(lambda lines: lines.__setitem__(1, "extra AQ==")),
        _lines(lambda lines: lines.__setitem__(1, _extra(2))),
        _lines(lambda lines: lines.__setitem__(1, _extra(1))),
    ],
)
def test_another_form_is_no_proof(data: bytes) -> None:
    with pytest.raises(ProofRefused):
        parse_proof(data)


@given(st.data())
def test_one_changed_byte_anywhere_proves_nothing(data: st.DataObject) -> None:
    text = Checkpoint(ORIGIN, SIZE, root_of(leaves())).text()
    p256 = Signature(ORIGIN, KEYS.v_p256.key_id, bytes.fromhex(P256_SIGNATURE))
    whole = replace(proof_of(), checkpoint=Note(text, (p256, KEYS.sign_ed25519(text))).encode()).encode()
    assert verify_event(EVENT, whole, KEYS.public)
    at = data.draw(st.integers(0, len(whole) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda one: one != whole[at]))
    with pytest.raises((ProofRefused, NoteRefused)):
        verify_event(EVENT, whole[:at] + bytes([value]) + whole[at + 1 :], KEYS.public)


def test_a_root_from_entries_and_one_from_a_frontier_agree() -> None:
    frontier = Frontier()
    for leaf in leaves():
        frontier.append(leaf)
    assert frontier.root() == root_of(leaves())
