"""The sealer: seals the journal's events into the log. It reads ciphertext only, and holds no key that opens an event.

A run does, in this order: what another run fixed and did not end; the new events, batch by batch; some of the old
events, in case one was missed. Each batch is fixed, by compare-and-swap of one object, before anything of it is
written, and only what is fixed is ever signed. So any number of sealers may run at once, and any of them may die
anywhere: the log is the same, byte for byte.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

from sceau.audit.ids import event_time, parse_event_name
from sceau.audit.log.errors import ClockRefused, LogUnavailable
from sceau.audit.log.gathering import WINDOW, EventSource, Gathered, minute_in
from sceau.audit.log.growth import grow
from sceau.audit.log.identity import Identities, LogSigner
from sceau.audit.log.places import VKEYS
from sceau.audit.log.publishing import Publisher
from sceau.audit.log.reading import LogReader
from sceau.audit.log.reconciling import Reconciler
from sceau.audit.log.recovering import StateKeeper
from sceau.audit.log.report import Report
from sceau.audit.log.state import Batch, LogState, minute_of, with_minutes
from sceau.audit.retention import clocks_agree
from sceau.keys.ports import KeyService
from sceau.objects.errors import ObjectAbsent, ObjectChanged, ObjectLocked, ObjectStoreError
from sceau.objects.ports import ObjectStore

MOST_ENTRIES: Final = 4096
"""Entries of one batch: what a run holds in memory, and what is done again when one dies."""


class Sealer:
    """Seals one stage's log. `origin` names the log if there is none yet; `retention` is the stage's.

    `pool` makes what runs calls that don't wait for one another.
    """

    def __init__(
        self,
        store: ObjectStore,
        keys: KeyService,
        *,
        origin: str,
        clock: Callable[[], datetime],
        retention: timedelta,
        pool: Callable[[], Executor],
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        most_entries: int = MOST_ENTRIES,
    ) -> None:
        self._store = store
        self._keys = keys
        self._origin = origin
        self._clock = clock
        self._retention = retention
        self._identities = Identities(store, keys, random_bytes=random_bytes)
        self._most_entries = most_entries
        self._pool = pool

    def run(self, until: datetime | None = None) -> Report:
        """Seal what there is, beginning no batch after `until`. A run that meets another one ends: that goes on.

        Raises ClockRefused, LogUnavailable (what is left, the next run does), LogDamaged (somebody must look).
        """
        report = Report()
        try:
            if not clocks_agree(self._clock(), self._store.time()):
                raise ClockRefused("our clock and the store's are more than a minute apart: nothing was sealed")
            signer = LogSigner(self._identities.ensure(self._origin), self._keys)
            with self._pool() as pool:
                _Run(self._store, signer, self._clock, self._retention, pool, report).seal(self._most_entries, until)
        except ObjectChanged:
            report.finished = False  # another run is at work
        except ObjectStoreError as error:
            raise LogUnavailable(f"the store did not answer ({type(error).__name__})") from error
        return report


class _Run:
    """One run, and where it stands: `state`, and the tag of the object that keeps it."""

    state: LogState
    tag: str | None

    def __init__(
        self,
        store: ObjectStore,
        signer: LogSigner,
        clock: Callable[[], datetime],
        retention: timedelta,
        pool: Executor,
        report: Report,
    ) -> None:
        self._store = store
        self._signer = signer
        self._clock = clock
        self._report = report
        self._log = LogReader(store)
        self._keeper = StateKeeper(store, self._log, signer.identity)
        self._source = EventSource(store, clock=clock, retention=retention, pool=pool)
        self._publisher = Publisher(store, clock=clock, retention=retention, pool=pool)
        self._reconciler = Reconciler(store, self._log, clock=clock, pool=pool)

    def seal(self, most: int, until: datetime | None) -> None:
        """What another run left, what is new, and some of what is old."""
        self.state, self.tag = self._keeper.load(self._source.first_minute, self._report)
        self._report.size = self.state.size
        if self.state.batch is not None:
            self._finish(self.state.batch, None)
        names = self._source.new_names(self.state, self._log, self._report)
        while chunk := list(islice(names, most)):
            if not self._report.waited_seconds:
                oldest = event_time(parse_event_name(chunk[0])[1])
                self._report.waited_seconds = max(0, int((self._clock() - oldest).total_seconds()))
            gathered = self._source.gather(chunk, self._report)
            if gathered:
                self._seal(gathered)
            if (until is not None and self._clock() >= until) or not gathered:
                self._report.finished = False
                return
        self._reconcile(most)

    def _reconcile(self, most: int) -> None:
        found = self._reconciler.look(self.state, self._report)
        if found is None:
            return
        for at in range(0, len(found.missing), most):
            late = self._source.gather(found.missing[at : at + most], self._report)
            if late:
                self._seal(late)
                self._report.late += len(late)
        self._reconciler.keep(found)

    def _seal(self, gathered: Sequence[Gathered]) -> None:
        """Fix these events as the next batch, then seal it. If we die between, the next run seals it."""
        entries = tuple(one.entry for one in gathered)
        minutes = [minute_in(one.name) for one in gathered]
        now = self._clock().astimezone(UTC).replace(microsecond=0)
        date = max(now, self.state.date or now)  # dated copies sort by date, also when this clock is behind another's
        batch = Batch(entries, grow(self.state.edge, entries).root, min(minutes), max(minutes), date)
        self._keep(replace(self.state, batch=batch))
        self._finish(batch, [one.name for one in gathered])

    def _finish(self, batch: Batch, names: Sequence[str] | None) -> None:
        self._show_keys()
        published = self._publisher.publish(self.state, batch, self._signer, names)
        known = [minute_in(name) for name in published.names if name is not None]
        self._report.unindexed += len(batch.entries) - len(known)
        self._report.unlocked += published.unlocked
        # Whatever comes for a minute before `start` from now on is late, and reconciliation's.
        start = max(self.state.start, min(minute_of(self._clock() - WINDOW), max(known, default="")))
        minutes = [batch.first_minute if name is None else minute_in(name) for name in published.names]
        first = with_minutes(self.state.first, minutes, self.state.size)
        self._keep(
            LogState(
                self.state.origin,
                published.growth.edge,
                batch.date,
                start,
                {minute: index for minute, index in first.items() if minute >= start},
            )
        )
        self._report.sealed += len(batch.entries)
        self._report.batches += 1
        self._report.size = self.state.size

    def _keep(self, state: LogState) -> None:
        self.tag = self._keeper.keep(state, self.tag)
        self.state = state

    def _show_keys(self) -> None:
        """Show the log's public keys beside it, for who sets up a verifier; which trusts only what it was given."""
        text = "".join(f"{key.text()}\n" for key in self._signer.identity.keys).encode()
        tag = None
        with suppress(ObjectAbsent):
            there = self._store.read(VKEYS)
            if there.data == text:
                return
            tag = there.tag
        with suppress(ObjectChanged, ObjectLocked):
            self._store.replace(VKEYS, text, expected=tag)
