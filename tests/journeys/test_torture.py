"""Nothing without a trace: the real service is killed with SIGKILL under load, its sealer too, again and again.

`make torture` kills 300 times; the default is what CI has time for. SCEAU_TORTURE_KILLS and SCEAU_TORTURE_SEED say how
often, and from which seed the points are drawn: where a thread is at that point is the machine's, so a seed repeats
what clients do, and not the outcome. SIGKILL ends a process, not the machine: what a disk keeps of it is not shown here
(SECURITY.md).
"""

from __future__ import annotations

import gc
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest

from fixtures.live_world import World
from fixtures.service import LiveStage, live_stage, seal
from fixtures.torture_checks import Checks
from fixtures.torture_load import Client, Ledger, clients
from sceau.audit.log.places import CHECKPOINT, PENDING
from sceau.cli.process import ServiceNotStarted
from sceau.records.errors import RecordDamaged

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("torture"),
    # A peer that dies between connect and handshake: CPython's ssl.py leaves its socket to the collector.
    pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning"),
]

KILLS = int(os.environ.get("SCEAU_TORTURE_KILLS", "20"))
SEED = int(os.environ.get("SCEAU_TORTURE_SEED", "6"))
EVENTS_EVERY = 10
"""After so many kills each event is compared with its entry, all of them; the log alone is verified after each."""

MODES = ("load", "load", "load", "sealer", "sealer", "start")
LONGEST = {"load": 2.0, "sealer": 0.06, "start": 1.5}
"""Seconds after which a life ends at the latest: since the service answers, since the sealer took its next step, since
the process was begun."""


@dataclass(slots=True)
class Life:
    """One life of the service, from its start to the SIGKILL."""

    live: LiveStage
    pending: Path
    ledger: Ledger
    started: threading.Event = field(default_factory=threading.Event)
    dying: threading.Event = field(default_factory=threading.Event)
    never: threading.Event = field(default_factory=threading.Event)

    def live_and_die(self, mode: str, seconds: float) -> None:
        """Start the service, and kill it `seconds` after the moment that `mode` waits for.

        It is started by this thread: it dies with the one that started it.
        """
        before = self._step()
        moment = {
            "load": self.started.is_set,
            "sealer": lambda: self._step() != before,
            "start": lambda: self.live.running.process is not None,
        }[mode]
        with ThreadPoolExecutor(1) as killer:
            killed = killer.submit(self._kill, moment, seconds)
            while not (self.dying.is_set() or killed.done()):
                with suppress(ServiceNotStarted):  # killed before it answered, or a machine too busy to start it
                    self.live.running.start()
                    self.started.set()
                    break
            killed.result()
        self.live.running.kill()

    def _kill(self, moment: Callable[[], bool], seconds: float) -> None:
        self._until(moment)
        self.never.wait(seconds)
        self.dying.set()
        self.live.running.kill()

    def _until(self, come: Callable[[], bool]) -> None:
        for _ in range(60_000):
            if come():
                return
            assert not self.ledger.faults, self.ledger.faults
            self.never.wait(0.001)
        raise AssertionError("what was waited for did not come")

    def _step(self) -> int:
        """Changes whenever the sealer has taken a step."""
        try:
            return self.pending.stat().st_mtime_ns
        except FileNotFoundError:
            return 0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with live_stage(tmp_path_factory.mktemp("torture") / "stage") as live:
        yield World(live)


def test_nothing_is_done_without_a_trace_wherever_the_service_dies(
    world: World, record_property: Callable[[str, object], None]
) -> None:
    live, rng = world.live, random.Random(SEED)  # noqa: S311 - chances, no secrets
    patients = [world.opened("hospital") for _ in range(3)]
    ledger, modes = Ledger(), Counter[str]()
    checks = Checks(world, ledger, patients)
    pending = live.folder.path / "store" / "objects" / PENDING
    with clients(world, ledger, patients, SEED):
        live.running.kill()
        for number in range(1, KILLS + 1):
            mode = rng.choice(MODES)
            Life(live, pending, ledger).live_and_die(mode, rng.uniform(0, LONGEST[mode]))
            modes[mode] += 1
            checks.check(with_events=number % EVENTS_EVERY == 0)
        live.running.start()
    live.running.stop()
    gc.collect()
    seal(live)
    checks.check(with_events=True)
    assert checks.counts.entries == checks.counts.events, "an event is not in the log"
    told = {"kills": dict(modes), "sent again": ledger.sent_again, "answers": dict(ledger.counts)}
    record_property("found", f"torture: {told | asdict(checks.counts)}")
    assert ledger.sent_again, "no kill hit anybody"
    assert checks.counts.batches_left or KILLS < 20, "no kill hit a batch that was being sealed"


def test_the_checks_see_what_they_are_for(world: World) -> None:
    """Had it happened: each is done to what rests, and undone."""
    live = world.live
    if live.running.process is None:
        live.running.start()
    patient = world.opened("hospital")
    seal(live)
    dossier, checkpoint = world.objects / "records" / world.record_id(patient) / "dossier", world.objects / CHECKPOINT
    before = {path: path.read_bytes() for path in (dossier, checkpoint)}
    ledger = Ledger()
    client = Client(world, ledger, [patient], random.Random(SEED))  # noqa: S311 - chances, no secrets
    client.publish()
    client.mask()
    while not ledger.counts["read"]:  # it reads by chance a document, an entry, or a search
        client.read()
    live.running.stop()
    seal(live)
    checks = Checks(world, ledger, [patient])
    checks.check(with_events=True)

    def finds(what: str, path: Path, data: bytes | None, told: Ledger = ledger) -> None:
        there = path.read_bytes()
        path.unlink()
        if data is not None:
            path.write_bytes(data)
        try:
            with pytest.raises((AssertionError, RecordDamaged), match=what):
                Checks(world, told, [patient], notes=dict(checks.notes)).check(with_events=False)
        finally:
            path.unlink(missing_ok=True)
            path.write_bytes(there)

    of = {one.kind: next(name for name in world.event_names() if name.endswith(one.trace)) for one in ledger.answers}
    finds("a read was answered, and has no event", world.objects / of["read"], None)
    finds("a version has no event", world.objects / of["publish"], None, Ledger())
    finds("a version has no event", world.objects / of["mask"], None, Ledger())
    finds("an acknowledged document is not in its record", dossier, before[dossier])
    finds("was cut, or rolled back", checkpoint, before[checkpoint])
    document = min((dossier.parent / "documents").iterdir())
    finds("a document that the dossier reaches is gone", document, None)
    checks.check(with_events=False)
