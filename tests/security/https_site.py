"""The stage that attacks over HTTPS are made on, its records, its processes, and what must not change.

Everything here talks to the real processes of a `LiveStage`; nothing is mocked. `unchanged` holds the bytes at rest of
all records against what they were before.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import urllib3

from fixtures.at_rest import files_below
from fixtures.ports import free_port
from fixtures.service import LiveStage
from sceau.audit.ids import event_time, minute_prefix
from sceau.audit.journal import JournalReader
from sceau.cli import bodies
from sceau.cli.documents import DOMINIQUE
from sceau.cli.process import port_of
from sceau.cli.samples import AUTHORS, PATIENTS as SAMPLE_PATIENTS, STRUCTURES, Patient
from sceau.cli.serve import environment
from sceau.envelope.batch import BatchOpener
from sceau.envelope.messages import Envelope
from sceau.fhir import codes
from sceau.identity.client import SigningKey
from sceau.identity.clients import ClientStore
from sceau.keys.ports import KeyName
from sceau.stage import Settings
from sceau_schemas.configuration import Client as RegisteredClient
from security.https_callers import Client, Holder
from security.https_forging import Answer, Json, await_true, body_of

_READ = ("DocumentReference.rs", "List.rs", "Patient.rs")
STARTED_SECONDS = 120.0
_OBJECTS = Path("store") / "objects"


@dataclass(slots=True)
class Site:
    """A live stage, and how attacks reach it and look at what it stores."""

    live: LiveStage
    address: str | None = None
    """Origin of another process on the same stage; None: that of the stage's own."""
    http: urllib3.PoolManager = field(init=False)

    def __post_init__(self) -> None:
        self.http = self.live.service.pool()

    @property
    def origin(self) -> str:
        return self.address or self.live.service.origin

    def register(self, client: RegisteredClient) -> None:
        """Register a client as the operations' command does, or replace its registration."""
        self.clients().put(client)

    def clients(self) -> ClientStore:
        """The registered clients, with the rights of the operations' tool."""
        tool = self.live.stage.tool("operations")
        return ClientStore(tool.store, Envelope(tool.keys))

    def client(self, client_id: str, key: SigningKey | None = None) -> Client:
        return Client(self, client_id, key)

    def subject(self, person: str, azp: str, **changed: Any) -> str:
        """A token of the development issuer; `changed` forges claims."""
        return self.live.issuer.issuer.token_for(person, azp, **changed)

    def software(self, client_id: str, scope: str, patient: str | None = None) -> Holder:
        client = self.client(client_id)
        return self.ready(client.token(client.form(scope=scope, patient=patient)))

    def patient(self, person: str) -> Holder:
        """A patient with a token of the whole scope."""
        client = self.client("patient-app")
        scope = " ".join(f"patient/{one}" for one in ("AuditEvent.rs", "Consent.crus", *_READ))
        return self.ready(client.token(client.exchange(self.subject(person, "patient-app-rp"), scope=scope)))

    def physician(self, client_id: str, person: str, patient: str) -> Holder:
        """A professional of a structure with a token for a patient's record. `patient`: the INS."""
        client = self.client(client_id)
        form = client.exchange(
            self.subject(person, f"{client_id}-rp"),
            scope=" ".join(f"user/{one}" for one in ("DocumentReference.c", *_READ)),
            patient=patient,
        )
        return self.ready(client.token(form))

    def ready(self, holder: Holder) -> Holder:
        """A holder that knows its nonce: the next request is refused for nothing but what is forged in it."""
        holder.nonce = holder.send("GET", "/fhir/Patient", headers={}).headers["DPoP-Nonce"]
        return holder

    def objects(self, below: str = "") -> dict[str, bytes]:
        """The store's objects below a prefix, by name, as the files that they are."""
        found = files_below(self.live.folder.path / _OBJECTS / below)
        return {f"{below}/{name}" if below else name: data for name, data in found.items()}

    def path(self, name: str) -> Path:
        """The file of an object."""
        return self.live.folder.path / _OBJECTS / name

    def event(self, answer: Answer) -> Json:
        """The newest event that an answer names, opened with the stage's own keys."""
        event_id = answer.headers["Sceau-Trace"].rpartition(", ")[2]
        minute = self.path(minute_prefix(event_time(event_id)))
        (place,) = (path.name for path in minute.iterdir() if path.name.endswith(f".{event_id}"))
        runtime = self.live.stage.runtime("traces")
        reader = JournalReader(runtime.store, BatchOpener(runtime.keys, KeyName.JOURNAL, clock=runtime.clock))
        event: Json = json.loads(reader.read(place.partition(".")[0], event_id).data)
        return event

    def healthy(self) -> None:
        """Assert that every function still answers."""
        for function in ("authentication", "ingest", "retrieval", "consent", "traces"):
            assert self.http.request("GET", f"{self.origin}/healthz/{function}").status == 200

    def raw(self, data: bytes, origin: str | None = None) -> bytes:
        """Bytes as they are over TLS; all that comes back until the server closes."""
        context = ssl.create_default_context(cafile=str(self.live.folder.authority))
        with (
            socket.create_connection(("127.0.0.1", port_of(origin or self.origin)), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            secure.sendall(data)
            received = b""
            while piece := secure.recv(65536):
                received += piece
            return received


@contextmanager
def unchanged(site: Site) -> Iterator[None]:
    """What is done inside must leave every object of every record as it is, byte for byte, and add none."""
    before = site.objects("records")
    yield
    assert site.objects("records") == before


def traced_refusal(site: Site, answer: Answer, reason: str) -> None:
    """Assert that the answer's event says that this was refused, and why."""
    event = site.event(answer)
    assert (event["outcome"], event["outcomeDesc"]) == ("4", reason)


_SECOND = """
import os, sys
from pathlib import Path
from sceau.cli.serve import serve
from sceau.stage import Settings
if __name__ == "__main__":
    certificate, key, port = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    serve(Settings.from_environ(os.environ), certificate=certificate, key=key, host="127.0.0.1", port=port)
"""


@contextmanager
def second_process(
    site: Site, scratch: Path, settings: Callable[[Settings, str], Settings] = lambda given, _: given
) -> Iterator[str]:
    """Another service process on the same store, on a port of its own; gives its address.

    `settings`: what it runs with, from those of the first process and its own address. `scratch`: an empty folder.
    """
    folder = site.live.folder
    script = scratch / "second.py"
    script.write_text(_SECOND)
    port = free_port()
    origin = f"https://localhost:{port}"
    import_path = {"PYTHONPATH": ":".join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder.certificate), str(folder.certificate_key), str(port)],
        env={**environment(settings(site.live.settings, origin)), **import_path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        await_true(lambda: site.http.request("GET", f"{origin}/healthz/traces").status == 200, STARTED_SECONDS)
        yield origin
    finally:
        process.terminate()
        process.wait(60)


def workers_of(site: Site) -> list[int]:
    """The process ids of the service: supervisor and worker."""
    process = site.live.running.process
    assert process is not None
    found = [process.pid]
    for pid in found:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def peak_megabytes(site: Site) -> float:
    """The largest resident memory that any process of the service ever had, in MB (10^6 bytes)."""
    peaks = []
    for pid in workers_of(site):
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
        )
        peaks.append(int(status["VmHWM"].split()[0]) * 1024 / 1e6)
    return max(peaks)


MASKED = (codes.TRE_A07, "MASQUE_PS")
WHEN = datetime(2026, 6, 12, 8, 0, tzinfo=UTC)
PATIENTS = {**SAMPLE_PATIENTS, "dominique": DOMINIQUE}


@dataclass(slots=True)
class Record:
    """One patient's record on the stage, opened, and what was published in it by the laboratory."""

    site: Site
    person: str

    def __post_init__(self) -> None:
        insurer = self.site.software("insurer", "system/Consent.c")
        self._done(insurer.ask("POST", "/fhir/Consent", bodies.consent_opening(self.patient)))

    @property
    def patient(self) -> Patient:
        return PATIENTS[self.person]

    @property
    def ins(self) -> str:
        """The INS, as `<system>|<value>`."""
        return f"{self.patient.ins_system}|{self.patient.ins_value}"

    def grant(self, structure: str) -> None:
        """The patient authorises a structure."""
        body = bodies.consent_grant(self.patient, STRUCTURES[structure])
        self._done(self.site.patient(self.person).ask("POST", "/fhir/Consent", body))

    def document(self, name: str, kind: str = "biology", **more: Any) -> bodies.SampleDocument:
        """A document about the patient. `name` becomes its unique id, the same in each record."""
        number = int.from_bytes(name.encode(), "big")
        given = {
            "patient": self.patient,
            "author": AUTHORS["biologist"],
            "structure": STRUCTURES["laboratory"],
            "when": WHEN,
            "unique_id": f"urn:oid:2.25.{number}",
            **more,
        }
        return bodies.sample_document(kind, **given)

    def publish(self, name: str, kind: str = "biology", **more: Any) -> str:
        """Publish a document (ITI-105) as the laboratory; its FHIR id."""
        body = bodies.simplified(self.document(name, kind, **more), patient=self.patient, when=WHEN)
        laboratory = self.site.software("laboratory", "system/DocumentReference.c")
        answer = self._done(laboratory.ask("POST", "/fhir/DocumentReference", body))
        own_id: str = body_of(answer)["id"]
        return own_id

    def physician(self, client_id: str = "hospital", person: str = "hospital_physician") -> Holder:
        """A physician with a token for this record."""
        return self.site.physician(client_id, person, self.ins)

    def holder(self) -> Holder:
        """The patient."""
        return self.site.patient(self.person)

    @staticmethod
    def _done(answer: Answer) -> Answer:
        assert answer.status in (200, 201), answer.data
        return answer
