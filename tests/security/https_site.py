"""What attacks over HTTPS are made with: callers each part of whose request can be forged, and what must not change.

Everything here talks to the real processes of a `LiveStage`; nothing is mocked. `Client` asks for tokens, `Holder` has
one and calls the API with it; `unchanged` holds the bytes at rest of all records against what they were before.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import socket
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier
from typing import Any, TypeVar
from urllib.parse import urlencode

import urllib3
from joserfc import jws

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
from sceau.identity.assertions import ASSERTION_TYPE
from sceau.identity.client import SigningKey
from sceau.identity.clients import ClientStore
from sceau.identity.dpop import token_hash
from sceau.identity.grants import ACCESS_TOKEN_TYPE
from sceau.keys.ports import KeyName
from sceau.stage import Settings
from sceau_schemas.configuration import CLIENT_CREDENTIALS, TOKEN_EXCHANGE, Client as RegisteredClient

Json = dict[str, Any]
Answer = urllib3.BaseHTTPResponse
T = TypeVar("T")

FHIR = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_READ = ("DocumentReference.rs", "List.rs", "Patient.rs")
STARTED_SECONDS = 30.0
_OBJECTS = Path("store") / "objects"


def now() -> int:
    """Seconds since the epoch."""
    return int(datetime.now(UTC).timestamp())


def part(value: object) -> str:
    """One part of a compact JWS: base64url of JSON, or of bytes as they are."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def claims_of(token: str) -> Json:
    """What a compact JWS says, unverified."""
    return _decoded(token.split(".", 2)[1])


def header_of(token: str) -> Json:
    """The header of a compact JWS."""
    return _decoded(token.partition(".")[0])


def _decoded(text: str) -> Json:
    value: Json = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return value


def unsigned(header: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    """The signing input of a compact JWS, and no signature."""
    return f"{part(header)}.{part(body)}."


def hmac_signed(secret: bytes, body: Mapping[str, Any], header: Mapping[str, Any]) -> str:
    """A compact JWS, HS256, under any bytes: such as a public key that the verifier knows."""
    text = f"{part({**header, 'alg': 'HS256'})}.{part(body)}"
    return f"{text}.{part(hmac.digest(secret, text.encode(), 'sha256'))}"


def signed(key: Any, header: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    """A compact JWS by any joserfc key, with whatever algorithm the header names."""
    return jws.serialize_compact(dict(header), json.dumps(body), key, algorithms=[header["alg"]])


def without_none(values: Mapping[str, Any]) -> Json:
    """The mapping without what is None: how an attack leaves something out."""
    return {name: value for name, value in values.items() if value is not None}


def body_of(answer: Answer) -> Json:
    """The JSON object of an answer."""
    value: Json = json.loads(answer.data)
    return value


class Client:
    """A registered client (or one that says so) at the token endpoint; it knows the nonce of its proof key."""

    def __init__(self, site: Site, client_id: str, key: SigningKey | None = None) -> None:
        self.site = site
        self.client_id = client_id
        self.key = key or site.live.folder.client_key(client_id)
        self.proof_key = SigningKey.generate()
        self.url = site.origin + "/oauth/token"
        self.nonce: str | None = None
        self.nonce = self.post(self.form(scope="none"), self.proof()).headers["DPoP-Nonce"]

    def assertion(self, *, header: Mapping[str, Any] | None = None, key: Any = None, **changed: Any) -> str:
        """A client assertion that is good but for what is given; None leaves a member out."""
        claims, head = self.assertion_parts(header, **changed)
        return signed(key, head, claims) if key is not None else self.key.sign(head, claims)

    def assertion_parts(self, header: Mapping[str, Any] | None = None, **changed: Any) -> tuple[Json, Json]:
        """Claims and header of an assertion."""
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.site.origin,
            "iat": now(),
            "exp": now() + 60,
            "jti": secrets.token_urlsafe(16),
        }
        head = {"alg": "ES256", "kid": self.key.thumbprint, "typ": "JWT", **(header or {})}
        return without_none({**claims, **changed}), without_none(head)

    def proof(self, *, header: Mapping[str, Any] | None = None, key: Any = None, **changed: Any) -> str:
        """A DPoP proof for the token endpoint, good but for what is given."""
        return _proof(self.proof_key, {"htm": "POST", "htu": self.url, "nonce": self.nonce, **changed}, header, key)

    def form(self, **changed: str | None) -> dict[str, str]:
        """A client-credentials form, good but for what is given."""
        base = {
            "grant_type": CLIENT_CREDENTIALS,
            "scope": "system/DocumentReference.c",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.assertion(),
        }
        return without_none({**base, **changed})

    def exchange(self, subject_token: str, **changed: str | None) -> dict[str, str]:
        """A token-exchange form, good but for what is given."""
        own: dict[str, str | None] = {
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": subject_token,
            "subject_token_type": ACCESS_TOKEN_TYPE,
        }
        return self.form(**{**own, **changed})

    def post(
        self,
        form: Mapping[str, str] | Sequence[tuple[str, str]] | bytes,
        *proofs: str,
        path: str = "/oauth/token",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a form as it is given, with as many DPoP headers as are given."""
        data = form if isinstance(form, bytes) else urlencode(form).encode()
        sent = urllib3.HTTPHeaderDict({**FORM, **(headers or {})})
        for proof in proofs:
            sent.add("DPoP", proof)
        return self.site.http.request("POST", self.site.origin + path, body=data, headers=sent, redirect=False)

    def token(self, form: Mapping[str, str] | None = None) -> Holder:
        """A real token."""
        answer = self.post(self.form() if form is None else form, self.proof())
        assert answer.status == 200, answer.data
        return Holder(self.site, body_of(answer)["access_token"], self.proof_key, body_of(answer).get("patient"))


class Holder:
    """Who holds an access token and the key that it is bound to, each part of whose request can be forged."""

    def __init__(self, site: Site, token: str, key: SigningKey, record_id: str | None) -> None:
        self.site = site
        self.token = token
        self.key = key
        self.record = record_id or ""
        self.origin = site.origin
        self.nonce: str | None = None

    def proof(
        self, method: str, target: str, *, header: Mapping[str, Any] | None = None, key: Any = None, **changed: Any
    ) -> str:
        """A DPoP proof for one request, good but for what is given."""
        claims = {
            "htm": method,
            "htu": self.origin + target.partition("?")[0],
            "nonce": self.nonce,
            "ath": token_hash(self.token),
            **changed,
        }
        return _proof(self.key, claims, header, key)

    def headers(self, method: str, target: str, extra: Mapping[str, str] | None = None) -> urllib3.HTTPHeaderDict:
        """The headers of a good request."""
        sent = urllib3.HTTPHeaderDict(extra or {})
        sent["Authorization"] = f"DPoP {self.token}"
        sent["DPoP"] = self.proof(method, target)
        return sent

    def send(
        self,
        method: str,
        target: str,
        body: bytes | Json | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        authorization: Sequence[str] | None = None,
        proofs: Sequence[str] | None = None,
        origin: str | None = None,
    ) -> Answer:
        """One request, exactly as given: no second try. `authorization`, `proofs`: in place of the good headers."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        sent = urllib3.HTTPHeaderDict(FHIR if headers is None else headers)
        for value in [f"DPoP {self.token}"] if authorization is None else authorization:
            sent.add("Authorization", value)
        for value in [self.proof(method, target)] if proofs is None else proofs:
            sent.add("DPoP", value)
        address = (origin or self.origin) + target
        return self.site.http.request(method, address, body=data, headers=sent, redirect=False)

    def ask(
        self, method: str, target: str, body: bytes | Json | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request as an honest client makes it: it follows the nonce."""
        answer = self.send(method, target, body, headers)
        if answer.status == 401 and "use_dpop_nonce" in answer.headers.get("WWW-Authenticate", ""):
            self.nonce = answer.headers["DPoP-Nonce"]
            answer = self.send(method, target, body, headers)
        self.nonce = answer.headers.get("DPoP-Nonce", self.nonce)
        return answer

    def get(self, target: str, **headers: str) -> Answer:
        """An honest GET that wants FHIR, or what `headers` say."""
        return self.ask("GET", target, headers={"Accept": "application/fhir+json", **headers})


def _proof(own: SigningKey, claims: Mapping[str, Any], header: Mapping[str, Any] | None, key: Any) -> str:
    body = without_none({"jti": secrets.token_urlsafe(16), "iat": now(), **claims})
    head = without_none({"alg": "ES256", "typ": "dpop+jwt", "jwk": own.public_jwk(), **(header or {})})
    return signed(key, head, body) if key is not None else own.sign(head, body)


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
        root = self.live.folder.path / _OBJECTS
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in sorted((root / below).rglob("*"))
            if path.is_file()
        }

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


def in_parallel(number: int, act: Callable[[int], T]) -> list[T]:
    """What `number` threads got that all began at the same moment."""
    barrier = Barrier(number)

    def one(position: int) -> T:
        barrier.wait()
        return act(position)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def refused_token(answer: Answer, status: int, error: str) -> Json:
    """Assert that the token endpoint refused in this way, and gave nothing."""
    body = body_of(answer)
    assert (answer.status, body.get("error")) == (status, error), answer.data
    assert set(body) <= {"error", "error_description"}
    return body


def traced_refusal(site: Site, answer: Answer, reason: str) -> None:
    """Assert that the answer's event says that this was refused, and why."""
    event = site.event(answer)
    assert (event["outcome"], event["outcomeDesc"]) == ("4", reason)


def same(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    """What two callers would compare of an answer: all of it but its ids, its nonce and the time."""
    request_id = answer.headers.get("X-Request-Id", "-")
    differing = {"x-request-id", "sceau-trace", "dpop-nonce", "date"}
    kept = {name.lower(): value for name, value in answer.headers.items() if name.lower() not in differing}
    return answer.status, kept, answer.data.replace(request_id.encode(), b"-")


def refused_call(answer: Answer, status: int, *, error: str | None = None) -> Json:
    """Assert that a FHIR endpoint refused in this way: an OperationOutcome and no data."""
    assert answer.status == status, (answer.status, answer.data[:300])
    body = body_of(answer)
    assert body["resourceType"] == "OperationOutcome"
    if error is not None:
        assert f'error="{error}"' in answer.headers["WWW-Authenticate"]
    return body


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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    origin = f"https://localhost:{port}"
    import_path = {"PYTHONPATH": ":".join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder.certificate), str(folder.certificate_key), str(port)],
        env={**environment(settings(site.live.settings, origin)), **import_path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _await(lambda: site.http.request("GET", f"{origin}/healthz/traces").status == 200, STARTED_SECONDS)
        yield origin
    finally:
        process.terminate()
        process.wait(15)


def _await(true: Callable[[], bool], seconds: float) -> None:
    """Poll until `true`; fail after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        try:
            if true():
                return
        except urllib3.exceptions.HTTPError:
            pass
        assert time.monotonic() < end, "nothing came within the time"
        time.sleep(0.05)


def until(act: Callable[[], T], wanted: Callable[[T], bool], seconds: float) -> T:
    """Repeat `act` until its result is wanted; fail after `seconds`."""
    found: list[T] = []

    def check() -> bool:
        found.append(act())
        return wanted(found[-1])

    _await(check, seconds)
    return found[-1]


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


def unique_id() -> str:
    """A new document or set identifier, as an OID."""
    return f"urn:oid:2.25.{uuid.uuid4().int}"


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
