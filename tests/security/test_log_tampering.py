"""What can be done to a log by who has the disk; who finds it, and what they say.

Each on a real log of more than 66,000 entries. `ours`: what `sceau log verify` says. `fsck`: whether Tessera's fsck,
which we did not write, refuses the log too; where it can't see it, ours must.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from benchmarks.events import RETENTION
from fixtures.logcheck import built_logcheck
from sceau.audit.log.checkpoints import Checkpoint
from sceau.audit.log.notes import Note, Signature, parse_note
from sceau.audit.log.places import CHECKPOINT, COSIGNED, COSIGNED_COPY, LOG, STAMP
from security.log_world import FORK, ORIGIN, SIZE, SIZES, Built, Found, Tamper, World, dated, texts

pytestmark = pytest.mark.slow

BUNDLE, TILE = f"{LOG}tile/entries/100", f"{LOG}tile/0/100"
PARTIAL_BUNDLE, PARTIAL_TILE = f"{LOG}tile/entries/260.p/40", f"{LOG}tile/0/260.p/40"
UPPER, TOP = f"{LOG}tile/1/000", f"{LOG}tile/2/000.p/1"


def entry(number: int) -> int:
    """Where an entry's first byte lies in a bundle."""
    return number * 107 + 2


def swap(entries: list[bytes]) -> None:
    entries[3], entries[4] = entries[4], entries[3]


def resigned(world: World, *signatures: Callable[[Note], Signature]) -> None:
    note = parse_note(world.read(CHECKPOINT))
    world.put(CHECKPOINT, Note(note.text, tuple(make(note) for make in signatures)).encode())


def first(note: Note) -> Signature:
    return note.signatures[0]


def second(note: Note) -> Signature:
    return note.signatures[1]


def damaged(of: Callable[[Note], Signature]) -> Callable[[Note], Signature]:
    def damage(note: Note) -> Signature:
        signature = of(note)
        return replace(signature, value=signature.value[:-1] + bytes([signature.value[-1] ^ 1]))

    return damage


def raw(note: Note) -> Signature:
    """The P-256 signature as r and s, not in DER."""
    r, s = decode_dss_signature(first(note).value)
    return replace(first(note), value=r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def of_another_origin(world: World) -> None:
    """The log's keys sign as another log; the signature lines keep the name that the verifier looks for."""
    text = world.read(CHECKPOINT).partition(b"\n\n")[0] + b"\n"
    world.put(CHECKPOINT, world.signer().sign(text.replace(ORIGIN.encode(), b"another.example.org/journal")))


def beside(world: World, what: str, data: bytes) -> None:
    """Put something beside the dated checkpoint of 256 entries, under a lock like its own."""
    (name,) = (name for name in dated(world) if name.endswith(f".{256:016}"))
    world.put(name + what, data, until=world.clock() + 2 * RETENTION)


def cosigned(note: Note) -> bytes:
    """The note with a signature line that only a policy could tell from a witness's."""
    return Note(note.text, (*note.signatures, Signature("witness.example.org", b"wxyz", bytes(72)))).encode()


@dataclass(frozen=True)
class Case:
    """What is done; what ours says, as a pattern; whether fsck refuses it; whether the events must be looked at."""

    tamper: Tamper
    ours: str
    fsck: bool = True


LOG_CASES = {
    "a byte of an entry": Case(lambda w: w.flip(BUNDLE, entry(7) + 40), r"tile/0/100: hash 7 is not that of the entr"),
    "a byte of the last, partial bundle": Case(
        lambda w: w.flip(PARTIAL_BUNDLE, entry(3)), r"tile/0/260\.p/40: hash 3 is not that of the entries below it"
    ),
    "a length in a bundle": Case(lambda w: w.flip(BUNDLE, 1), r"tile/entries/100: the bundle"),
    "a byte of a tile": Case(lambda w: w.flip(TILE, 64), r"tile/0/100: hash 2 is not that of the entries below it"),
    "a byte of an upper tile": Case(lambda w: w.flip(UPPER, 320), r"tile/1/000: hash 10 is not that of the entries"),
    "a byte of the top": Case(lambda w: w.flip(TOP, 0), r"tile/2/000\.p/1: hash 0 is not that of the entries"),
    "a bundle is gone": Case(lambda w: w.remove(BUNDLE), r"tile/entries/100: is missing"),
    "a tile is gone": Case(lambda w: w.remove(TILE), r"tile/0/100: is missing"),
    "a tile breaks off": Case(lambda w: w.put(TILE, w.read(TILE)[:-32]), r"tile/0/100: breaks off after 8160 of 8192"),
    "an entry is dropped": Case(lambda w: w.bundle(100, lambda es: es.pop(3)), r"holds 255 entries, not 256"),
    "two entries are swapped": Case(lambda w: w.bundle(100, swap), r"tile/0/100: hash 3 is not that of the entries"),
    "an entry stands twice": Case(lambda w: w.bundle(100, lambda es: es.insert(3, es[3])), r"holds 257 entries"),
    "the checkpoint's size": Case(
        lambda w: w.put(CHECKPOINT, w.read(CHECKPOINT).replace(b"\n66600\n", b"\n66601\n")),
        r"checkpoint: the signature",
    ),
    "the checkpoint is gone": Case(lambda w: w.remove(CHECKPOINT), r"checkpoint: is missing"),
    "another origin, the right keys": Case(
        of_another_origin, r"checkpoint: the checkpoint is of another\.example\.org"
    ),
    "the Ed25519 signature": Case(
        lambda w: resigned(w, first, damaged(second)), r"checkpoint: the signature of .* \(Ed25519, .*\) is wrong"
    ),
    "no Ed25519 signature": Case(lambda w: resigned(w, first), r"checkpoint: the note has no Ed25519 signature"),
    # What fsck, given one key, can't see:
    "the P-256 signature": Case(
        lambda w: resigned(w, damaged(first), second), r"checkpoint: the signature of .* \(P-256, .*\) is wrong", False
    ),
    "the P-256 signature is not DER": Case(
        lambda w: resigned(w, raw, second), r"checkpoint: the signature of .* \(P-256, .*\) is wrong", False
    ),
    "no P-256 signature": Case(lambda w: resigned(w, second), r"checkpoint: the note has no P-256 signature", False),
    "bytes after a partial tile": Case(
        lambda w: w.put(PARTIAL_TILE, w.read(PARTIAL_TILE) + bytes(32)), r"has 32 bytes more than its 40 hashes", False
    ),
    "an entry more in a partial bundle": Case(
        lambda w: w.bundle(260, lambda es: es.append(es[0]), 40), r"holds 41 entries, not 40", False
    ),
    "a stray file": Case(lambda w: w.put(f"{LOG}tile/0/note.txt", b"x"), r"note\.txt: is no tile's name", False),
    "a file beside the log": Case(lambda w: w.put(f"{LOG}other", b"x"), r"log/other: is no object of a log", False),
    "a tile beyond the log": Case(
        lambda w: w.put(f"{LOG}tile/0/300", bytes(8192)), r"tile/0/300: lies beyond the log", False
    ),
    "an older partial tile": Case(
        lambda w: w.flip(f"{LOG}tile/entries/001.p/1", 9), r"001\.p/1: is not the beginning of .*/001", False
    ),
    "an older checkpoint is put back": Case(
        lambda w: w.put(CHECKPOINT, w.notes[FORK]), rf"was signed for {SIZE} entries, and the log has {FORK}", False
    ),
    "a dated checkpoint is altered": Case(
        lambda w: w.flip(list(dated(w))[2], 40),
        r"checkpoints/.*: (the note|a check|the checkpoint|the signature)",
        False,
    ),
    "a dated checkpoint is gone": Case(lambda w: w.remove(list(dated(w))[-1]), r"checkpoint: has no dated copy", False),
    "a dated checkpoint says another size": Case(
        lambda w: w.put(list(dated(w))[2], w.notes[1]), r"holds a checkpoint of 1 entries, out of its order", False
    ),
    "a dated checkpoint for another log": Case(
        lambda w: w.put(list(dated(w))[2], w.sign(Checkpoint(ORIGIN, SIZES[2], bytes(32)))),
        r"was signed for other entries: the first 256 of the log have another root",
        False,
    ),
    "what is kept as cosigned is none": Case(
        lambda w: beside(w, COSIGNED_COPY, b"nothing"), r"checkpoints/.*\.cosigned: the note has no signatures", False
    ),
    "what is kept as cosigned is not signed by the log": Case(
        lambda w: beside(w, COSIGNED_COPY, cosigned(Note(parse_note(w.notes[256]).text, ()))),
        r"checkpoints/.*\.cosigned: the note has no P-256 signature",
        False,
    ),
    "what is kept as cosigned has no cosignature": Case(
        lambda w: beside(w, COSIGNED_COPY, w.notes[256]), r"checkpoints/.*\.cosigned: carries no cosignature", False
    ),
    "a cosigned checkpoint of a fork": Case(
        lambda w: beside(w, COSIGNED_COPY, cosigned(parse_note(w.sign(Checkpoint(ORIGIN, 256, bytes(32)))))),
        r"\.cosigned: was signed for other entries: the first 256 of the log have another root",
        False,
    ),
    "the newest cosigned checkpoint is none": Case(
        lambda w: w.put(COSIGNED, b"nothing"), r"log/cosigned: the note has no signatures", False
    ),
    "the newest cosigned checkpoint is of a larger log": Case(
        lambda w: w.put(COSIGNED, cosigned(parse_note(w.sign(Checkpoint(ORIGIN, SIZE + 9, bytes(32)))))),
        rf"log/cosigned: was signed for {SIZE + 9} entries, and the log has {SIZE}: it was cut, or rolled back",
        False,
    ),
    "a time stamp is none": Case(
        lambda w: beside(w, STAMP, b"0\x03\x02\x01\x00"), r"checkpoints/.*\.tsr: is no time stamp", False
    ),
    "a full tile's lock is taken away": Case(lambda w: w.unlocked(TILE), r"tile/0/100: is not locked", False),
    "a dated checkpoint's lock is shortened": Case(
        lambda w: w.put(next(dated(w)), w.notes[1], until=w.clock() + timedelta(days=30)),
        r"checkpoints/.*: is locked until 2026-\d\d-\d\d only",
        False,
    ),
}


@pytest.mark.parametrize("name", LOG_CASES)
def test_what_is_done_to_the_log_is_found(name: str, log: World, tmp_path: Path, found: Found) -> None:
    case = LOG_CASES[name]
    case.tamper(log)
    said = texts(log.verify(with_events=False))
    ours = next((text for text in said if re.search(case.ours, text)), None)
    assert ours, said
    verdict = built_logcheck().check(log.plain(tmp_path / "plain"), log.ed25519)
    assert verdict.good is not case.fsck, verdict.text
    found(f"sceau log verify: {ours.replace(LOG, '')}; fsck: {verdict.text if case.fsck else 'can not see it'}")


def test_an_untouched_log_is_accepted_by_all(built: Built, tmp_path: Path) -> None:
    world, plain = built.world, built.plain
    verification = world.verify(*world.notes.values())
    assert texts(verification) == []
    assert (verification.events, verification.checkpoints) == (SIZE, 2 * len(SIZES) + _batches(world))
    for size, folder in plain.items():
        for key in world.vkeys:
            assert built_logcheck().check(folder, key).good, size


def _batches(world: World) -> int:
    """Dated checkpoints besides those of SIZES: of the batches between them."""
    return len(list(dated(world))) - len(SIZES)


def test_a_signature_of_somebody_unknown_changes_nothing(log: World, tmp_path: Path) -> None:
    stranger = Signature("witness.example.org", b"wxyz", bytes(76))
    resigned(log, lambda _: stranger, first, second)
    assert texts(log.verify(with_events=False)) == []
    assert built_logcheck().check(log.plain(tmp_path / "plain"), log.ed25519).good
