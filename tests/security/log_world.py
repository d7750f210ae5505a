"""A real log of more than 66,000 events on the file-system store, built once; and what who has the disk does to it.

Copies are of hard links, so a case costs seconds: nothing may be written in place, only put in the place of.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.events import RETENTION, EventWriter, SteppingClock, Written
from sceau.audit.log.checkpoints import Checkpoint
from sceau.audit.log.identity import Identities, LogSigner
from sceau.audit.log.notes import ED25519, VerifierKey, parse_vkeys
from sceau.audit.log.places import CHECKPOINT, LOG, VKEYS, tile_name
from sceau.audit.log.sealer import Sealer
from sceau.audit.log.tiles import ENTRIES, Tile, encode_bundle, split_bundle
from sceau.audit.verify.signed import Earlier
from sceau.audit.verify.sources import LiveSource, Source
from sceau.audit.verify.whole import Verification, Verifier
from sceau.keys.ports import KeyService
from sceau.objects.filesystem import FilesystemStore

ORIGIN = "dossier.example.org/journal"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SIZES = (1, 255, 256, 257, 65_535, 65_536, 65_537, 66_600)
"""At each of these a checkpoint was signed; the last is the log that cases begin with."""

SIZE = SIZES[-1]
FORK = 65_537
"""Where the whole store was kept: from there another log can grow."""

RECORDS = tuple(chr(97 + number % 26) * 24 + chr(97 + number // 26) * 2 for number in range(200))
_HEADER = struct.Struct(">8sQ16s")


@dataclass
class World:
    """A store on disk, the log's keys, and the clock that all go by."""

    root: Path
    keys: KeyService
    clock: SteppingClock
    vkeys: tuple[VerifierKey, ...] = ()
    notes: dict[int, bytes] = field(default_factory=dict)
    events: list[Written] = field(default_factory=list)

    @property
    def store(self) -> FilesystemStore:
        return FilesystemStore(self.root, self.clock)

    def seal(self) -> None:
        Sealer(
            self.store, self.keys, origin=ORIGIN, clock=self.clock, retention=RETENTION, pool=ThreadPoolExecutor
        ).run()

    def grow(self, writer: EventWriter, size: int) -> None:
        """Write events and seal them until the log has `size` entries."""
        self.events += writer.write(size - len(self.events))
        self.seal()
        self.notes[size] = self.read(CHECKPOINT)
        assert self.notes[size].split(b"\n")[1] == b"%d" % size

    def linked(self, to: Path, *, log_only: bool = False) -> World:
        """The same store, of hard links; or what of it is the log's alone, which takes no time."""
        if log_only:
            FilesystemStore.create_root(to)
            for part in ("journal/log", "configuration"):
                (to / "objects" / part).parent.mkdir(parents=True, exist_ok=True)
                subprocess.run(["cp", "-al", str(self.path(part)), str(to / "objects" / part)], check=True)
        else:
            subprocess.run(["cp", "-al", str(self.root), str(to)], check=True)
        return World(to, self.keys, SteppingClock(self.clock.now), self.vkeys, dict(self.notes), list(self.events))

    @property
    def ed25519(self) -> VerifierKey:
        """The key that verifiers of others know of."""
        return next(key for key in self.vkeys if key.kind == ED25519)

    # --- with the disk in hand -----------------------------------------------------------------------------------

    def path(self, name: str) -> Path:
        return self.root / "objects" / name

    def read(self, name: str) -> bytes:
        return self.path(name).read_bytes()[_HEADER.size :]

    def put(self, name: str, data: bytes, *, until: datetime | None = None) -> None:
        """Put other bytes in an object's place, under the lock that it had, or had not, or another."""
        path = self.path(name)
        header = path.read_bytes()[: _HEADER.size] if path.exists() else _HEADER.pack(b"SCEAUOB1", 0, bytes(16))
        if until is not None:
            milliseconds = int(until.timestamp() * 1000)
            header = header[:8] + struct.pack(">Q", milliseconds) + header[16:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(header + data)

    def remove(self, *names: str) -> None:
        for name in names:
            self.path(name).unlink()

    def flip(self, name: str, at: int) -> None:
        data = self.read(name)
        self.put(name, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])

    def bundle(self, index: int, change: Callable[[list[bytes]], object], width: int = 256) -> None:
        """Change the entries of a bundle."""
        name = tile_name(Tile(ENTRIES, index, width))
        entries = split_bundle(self.read(name), width)
        change(entries)
        self.put(name, encode_bundle(entries))

    def unlocked(self, name: str) -> None:
        data = self.read(name)
        self.path(name).unlink()
        self.put(name, data)

    # --- who looks -----------------------------------------------------------------------------------------------

    def signer(self) -> LogSigner:
        """The log's own keys, in the hands of whoever stole them, or was ordered to use them."""
        identities = Identities(self.store, self.keys, random_bytes=bytes)
        return LogSigner(identities.ensure(ORIGIN), self.keys)

    def sign(self, checkpoint: Checkpoint) -> bytes:
        return self.signer().sign(checkpoint.text())

    def verify(self, *earlier: bytes, with_events: bool = True, source: Source | None = None) -> Verification:
        kept = [Earlier(f"kept {number}", note) for number, note in enumerate(earlier)]
        return Verifier(
            source or LiveSource(self.store),
            self.vkeys,
            earlier=kept,
            now=self.clock(),
            retention=RETENTION,
            with_events=with_events,
            with_old_partials=True,
        ).verify()

    def plain(self, to: Path) -> Path:
        """The log as plain files."""
        for path in sorted(self.path(LOG).rglob("*")):
            if path.is_file():
                target = to / path.relative_to(self.path(LOG))
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes()[_HEADER.size :])
        return to


@dataclass(frozen=True)
class Built:
    """The log; the whole store as it was at FORK; and plain copies of the log at each of SIZES."""

    world: World
    fork: World
    plain: dict[int, Path]


def build(folder: Path, keys: KeyService) -> Built:
    """Write the events and seal them, size by size."""
    root = folder / "store"
    FilesystemStore.create_root(root)
    clock = SteppingClock(START)
    world = World(root, keys, clock)
    writer = EventWriter(root, keys, clock, RECORDS)
    plain: dict[int, Path] = {}
    fork: World | None = None
    for size in SIZES:
        world.grow(writer, size)
        plain[size] = world.plain(folder / f"plain-{size}")
        world.vkeys = parse_vkeys(world.read(VKEYS).decode())
        if size == FORK:
            fork = world.linked(folder / "fork")
    assert fork is not None
    clock.now += timedelta(minutes=1)
    return Built(world, fork, plain)


def texts(found: Verification) -> list[str]:
    return [str(finding) for finding in found.findings]


def dated(world: World) -> Iterator[str]:
    return world.store.list(f"{LOG}checkpoints/")


Tamper = Callable[[World], object]
Found = Callable[[str], None]
"""Tells, in the run's summary, who found a case and what they said."""
