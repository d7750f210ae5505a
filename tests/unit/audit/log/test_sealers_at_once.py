"""Several sealers at the same time, in threads of their own on real files, while events are written."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from sceau.audit.ids import event_name
from sceau.audit.journal import Journal
from sceau.audit.log.notes import parse_vkeys
from sceau.audit.log.places import DATED, VKEYS
from sceau.audit.log.report import Report
from sceau.audit.log.sealer import Sealer
from sceau.audit.verify.signed import Earlier
from sceau.audit.verify.sources import LiveSource
from sceau.audit.verify.whole import Verifier
from sceau.envelope.batch import BatchSealer
from sceau.keys.ports import KeyName
from sceau.objects.filesystem import FilesystemStore
from unit.audit.log.log_stand import ORIGIN, RECORDS, RETENTION, key_service
from unit.audit.samples import EVENTS

SEALERS, NUMBER = 4, 100


def now() -> datetime:
    return datetime.now(UTC)


def test_four_sealers_make_one_log_of_every_event(tmp_path: Path) -> None:
    FilesystemStore.create_root(tmp_path / "store")
    store, keys = FilesystemStore(tmp_path / "store", now), key_service()
    journal = Journal(
        store,
        BatchSealer(keys, KeyName.JOURNAL, clock=now),
        clock=now,
        random_bytes=os.urandom,
        retention=RETENTION,
    )
    written = threading.Event()

    def write() -> set[str]:
        try:
            records = [RECORDS[number % len(RECORDS)] for number in range(NUMBER)]
            facts = [replace(EVENTS["retrieval"], record_id=record) for record in records]
            return {event_name(record, journal.append(one)) for record, one in zip(records, facts, strict=True)}
        finally:
            written.set()

    def seal(_: int) -> list[Report]:
        """Run by run, until one that began after the last event was written had nothing left to do."""
        sealer = Sealer(
            store, keys, origin=ORIGIN, clock=now, retention=RETENTION, most_entries=7, pool=ThreadPoolExecutor
        )
        reports = []
        while True:
            last = written.is_set()
            reports.append(sealer.run())
            if last and reports[-1].finished:
                return reports

    with ThreadPoolExecutor(SEALERS + 1) as pool:
        writer = pool.submit(write)
        reports = [report for run in pool.map(seal, range(SEALERS)) for report in run]
    names = writer.result()
    assert len(names) == NUMBER
    assert [report.alarms for report in reports if report.alarms] == []
    # Every checkpoint that any of them signed is of the same log.
    earlier = [Earlier(name, store.read(name).data) for name in store.list(DATED)]
    assert len(earlier) > NUMBER // 7
    vkeys = parse_vkeys(store.read(VKEYS).data.decode())
    found = Verifier(LiveSource(store), vkeys, earlier=earlier, now=now(), retention=RETENTION).verify()
    assert [str(finding) for finding in found.findings] == []
    assert found.checkpoint is not None
    assert (found.checkpoint.size, found.events, found.waiting) == (NUMBER, NUMBER, 0)
