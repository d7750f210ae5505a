"""Acts over HTTPS on a served stage: rate, latency, and the CPU time that the service's processes spend on each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.client import Clients, Load, Work
from benchmarks.figures import Bar, Figures, table
from benchmarks.records import (
    PEOPLE,
    RecordWriter,
    WrittenRecord,
    exam_search,
    nobodies,
    publication,
    whole_search,
)
from benchmarks.stage import ServedStage
from sceau.cli.samples import Patient
from sceau.cli.session import Session

CLIENTS = (1, 4, 16)
ENTRIES = 200
SIZES = {10: "amarante", 100: "basile", 1000: "coriandre", 10_000: "dune"}
"""Sizes of the records that are compared, and whose they are."""

FHIR = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}
RAW = {"Accept": "application/xml"}

_CPU = {"publish": Bar(8), "retrieve": Bar(3), "search": Bar(20)}
_MEDIAN = {"publish": Bar(25), "retrieve": Bar(10), "search": Bar(40)}
_ACTS = {"publish": (200, 400, 640), "retrieve": (400, 800, 1280), "search": (150, 300, 480)}
"""Acts measured with 1, 4 and 16 clients, all clients together."""
_ACTS_BY_SIZE = {10: 150, 100: 150, 1000: 80, 10_000: 12}
_PUBLISHED_BY_SIZE = {10: 60, 100: 60, 1000: 80, 10_000: 12}
_WARM_UP = 30
_TWICE = Bar(2)

_HEADS = ("clients", "acts", "acts/s", "p50 ms", "p99 ms", "server CPU ms/act", "store CPU ms/act", "client CPU ms/act")

Request = tuple[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Leg:
    """A load and what it cost the service."""

    load: Load
    cpu_ms: float
    store_cpu_ms: float

    def keep(self, figures: Figures, name: str, cpu: Bar | None = None, median: Bar | None = None) -> None:
        """Keep the figures under a name."""
        figures.add(f"{name}.acts_per_s", self.load.rate)
        figures.add(f"{name}.p50_ms", self.load.latency(0.5), median)
        figures.add(f"{name}.p99_ms", self.load.latency(0.99))
        figures.add(f"{name}.cpu_ms", self.cpu_ms, cpu)
        figures.add(f"{name}.store_cpu_ms", self.store_cpu_ms)
        figures.add(f"{name}.client_cpu_ms", self.load.client_cpu_ms)

    def row(self, name: str) -> list[str | float]:
        """A row of a table."""
        load = self.load
        measured = (
            load.rate,
            load.latency(0.5),
            load.latency(0.99),
            self.cpu_ms,
            self.store_cpu_ms,
            load.client_cpu_ms,
        )
        return [name, load.acts, *measured]


class OverHttps:
    """Measures on a served stage. Its records are written when they are first needed."""

    def __init__(self, served: ServedStage, figures: Figures) -> None:
        self._served = served
        self._figures = figures
        self._writer = RecordWriter(served.local.stage)
        self._read: WrittenRecord | None = None
        self._published: list[WrittenRecord] = []
        self._next_rank = 200  # of `nobodies`; those who are published for begin at 100

    def publish(self) -> None:
        """ITI-65 with one CDA of 50 KB; each client into records of its own."""

        def requests(clients: int, client: int, count: int) -> list[Request]:
            own = self._to_publish_in()[client::clients]
            return [("/fhir", publication(own[number % len(own)].patient)) for number in range(count)]

        self._legs("publish", "laboratory", requests, FHIR)

    def retrieve(self) -> None:
        """ITI-68: the document's own bytes."""

        def requests(_: int, client: int, count: int) -> list[Request]:
            ids = self._to_read().readable
            return [(f"/fhir/Binary/{ids[(client + number) % len(ids)]}", None) for number in range(count)]

        self._legs("retrieve", "hospital-physician", requests, RAW)

    def search(self) -> None:
        """ITI-67: all 200 entries in one page."""
        target = whole_search(self._to_read().patient)
        self._legs("search", "hospital-physician", lambda _, __, count: [(target, None)] * count, FHIR)

    def sizes(self) -> None:
        """One client, in records of several sizes: a publication, and a search of which 10 entries are the answer."""
        legs: dict[tuple[str, int], Leg] = {}
        for entries, person in SIZES.items():
            patient = PEOPLE[person]
            self._writer.write(patient, entries)
            acts = _ACTS_BY_SIZE[entries]
            reader = self._served.session("hospital-physician", person)
            # First the search: a publication makes the record longer.
            for _ in range(2):
                legs["search", entries] = self._leg(reader, [[(exam_search(patient), None)] * acts], FHIR)
            publisher = self._served.session("laboratory")
            acts = _PUBLISHED_BY_SIZE[entries]
            for _ in range(2):
                grown = self._to_grow(entries, patient, acts)
                bodies: list[Request] = [("/fhir", publication(grown[n % len(grown)])) for n in range(acts)]
                legs["publish", entries] = self._leg(publisher, [bodies], FHIR)
        rows = []
        for (act, entries), leg in sorted(legs.items()):
            leg.keep(self._figures, f"size.{act}.{entries}")
            rows.append(leg.row(f"{act} in {entries}"))
        print(table("By size of the record (1 client; the search has 10 hits)", ("act, entries", *_HEADS[1:]), rows))
        for act in ("publish", "search"):
            for what in ("cpu_ms", "p50_ms"):
                small, large = (self._figures.values[f"size.{act}.{entries}.{what}"] for entries in (10, 1000))
                self._figures.add(f"size.{act}.{what}.1000_to_10", large / small, _TWICE)

    def _to_grow(self, entries: int, patient: Patient, acts: int) -> list[Patient]:
        """Who is published for: so many new records of that size that none grows by more than a tenth."""
        count = -(-acts * 10 // entries)
        if count <= 1:
            return [patient]
        made = nobodies(count, first=self._next_rank)
        self._next_rank += count
        for one in made:
            self._writer.write(one, entries)
        return made

    def _legs(
        self, act: str, actor: str, requests: Callable[[int, int, int], list[Request]], headers: dict[str, str]
    ) -> None:
        session = self._served.session(actor)
        self._leg(session, [requests(1, 0, _WARM_UP)], headers)
        rows = []
        for clients, acts in zip(CLIENTS, _ACTS[act], strict=True):
            session = self._served.session(actor)
            each = [requests(clients, client, acts // clients) for client in range(clients)]
            leg = self._leg(session, each, headers)
            first = clients == 1
            leg.keep(self._figures, f"{act}.{clients}", _CPU[act], _MEDIAN[act] if first else None)
            rows.append(leg.row(str(clients)))
        print(table(f"{act}, in records of {ENTRIES} entries", _HEADS, rows))

    def _leg(self, session: Session, requests: Sequence[Sequence[Request]], headers: dict[str, str]) -> Leg:
        service = self._served.service
        nonce = session.request("GET", "/fhir/DocumentReference", headers=FHIR).headers["DPoP-Nonce"]
        clients = Clients(
            [
                Work(
                    service.origin,
                    str(service.folder.authority),
                    session.token.access_token,
                    session.prover.key.private_jwk(),
                    nonce,
                    tuple(each),
                    headers,
                )
                for each in requests
            ]
        )
        before, store_before = self._served.cpu_seconds(), self._served.store_cpu_seconds()
        load = clients.run()
        used, store_used = self._served.cpu_seconds() - before, self._served.store_cpu_seconds() - store_before
        return Leg(load, used * 1000 / load.acts, store_used * 1000 / load.acts)

    def _to_read(self) -> WrittenRecord:
        if self._read is None:
            self._read = self._writer.write(PEOPLE["dominique"], ENTRIES)
        return self._read

    def _to_publish_in(self) -> list[WrittenRecord]:
        if not self._published:
            self._published = [self._writer.write(patient, ENTRIES) for patient in nobodies(max(CLIENTS))]
        return self._published
