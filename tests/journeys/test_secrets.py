"""No secret outside what is sealed: not in a log at its most talkative, a name, an address, a header, a stored byte.

A stage of its own, at debug level, on which the journey is played and much goes wrong; everything that was sent is
remembered, and then looked for.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

import pytest
import urllib3

from fixtures.at_rest import files_below
from fixtures.live_world import (
    FORM,
    MASKED,
    Caller,
    World,
    alone,
    ins,
    lab_document,
    links,
    submission,
)
from fixtures.service import live_stage
from sceau.cli import bodies
from sceau.cli.documents import JourneyDocuments
from sceau.cli.journey import Journey
from sceau.cli.samples import AUTHORS, STRUCTURES, Patient
from sceau.cli.serve import LOG_LEVEL
from sceau.cli.session import Service
from sceau.identity.client import TokenClient, TokenNotGiven
from sceau.records.dossier import split_object

pytestmark = pytest.mark.xdist_group("live")

ESDK_COMMITTED_UNSIGNED = b"\x02\x04\x78"
"""How a message begins: version 2, algorithm suite 0x0478."""
FILE_HEADER_BYTES = 32
SECRET_FIELDS = {"client_assertion", "subject_token", "actor_token", "token", "access_token"}


@dataclass(slots=True)
class Exchange:
    """A request and its answer."""

    url: str
    headers: dict[str, str]
    body: bytes
    status: int
    answered: dict[str, str]
    data: bytes


class Recording(urllib3.PoolManager):
    """Connections that remember what went over them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.exchanges: list[Exchange] = []

    def request(self, method: str, url: str, body: Any = None, **options: Any) -> Any:  # type: ignore[override]  # its parameters by name
        answer = super().request(method, url, body, **options)
        headers = {name.lower(): value for name, value in (options.get("headers") or {}).items()}
        answered = {name.lower(): value for name, value in answer.headers.items()}
        self.exchanges.append(Exchange(url, headers, body or b"", answer.status, answered, answer.data))
        return answer


@dataclass(slots=True)
class Stage:
    """What is left of a stage on which much happened."""

    folder: Path
    exchanges: list[Exchange]
    people: list[Patient]
    page_tokens: set[str] = field(default_factory=set)

    def credentials(self) -> set[str]:
        """Every token, assertion and proof that was sent or given, whole and in its parts."""
        found: set[str] = set()
        for exchange in self.exchanges:
            if "authorization" in exchange.headers:
                found.add(exchange.headers["authorization"].partition(" ")[2])
            if "dpop" in exchange.headers:
                found.add(exchange.headers["dpop"])
            if "/oauth/" in exchange.url:
                found |= {value for name, value in parse_qsl(exchange.body.decode()) if name in SECRET_FIELDS}
                with suppress(ValueError):
                    answered = json.loads(exchange.data)
                    found |= {answered["access_token"]} if "access_token" in answered else set()
        parts = {part for token in found for part in token.split(".")[1:] if len(part) > 40}
        return {secret for secret in found | parts if len(secret) > 40}

    def identities(self) -> set[str]:
        """INS, family names and first names of all patients; names of all professionals."""
        texts = {text for one in self.people for text in (one.ins_value, one.birth_name, *one.first_names)}
        texts |= {text for author in AUTHORS.values() for text in (author.family, author.given) if len(text) > 6}
        return texts | {one.ins_value[:13] for one in self.people}


def forms(secret: str) -> set[bytes]:
    """A text as it is written in various places, in lower case as far as ASCII goes."""
    found: set[bytes] = set()
    for text in (secret, secret.lower()):
        raw = text.encode()
        found |= {raw, quote(text).encode(), quote_plus(text).encode(), json.dumps(text)[1:-1].encode()}
        found |= {text.encode("latin-1"), text.encode("utf-16-le"), raw.hex().encode()}
        for shift in range(3):  # base64 of something that holds it
            whole = base64.b64encode(b"\0" * shift + raw + b"\0" * 3)
            core = whole[4 if shift else 0 : (shift + len(raw)) // 3 * 4]
            if len(core) >= 8:
                found |= {core, core.replace(b"+", b"-").replace(b"/", b"_")}
    return {form.lower() for form in found}


class Needles:
    """What is looked for: texts in every form, and credentials, which are ASCII already, as they are."""

    def __init__(self, texts: set[str], credentials: set[str] | None = None) -> None:
        self._forms = {form for text in texts for form in forms(text)}
        self._forms |= {secret.lower().encode() for secret in credentials or ()}

    def found_in(self, hay: bytes) -> list[bytes]:
        lower = hay.lower()
        return [form for form in self._forms if form in lower]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(LOG_LEVEL, "debug")
        with live_stage(tmp_path_factory.mktemp("secrets") / "stage") as live:
            world = World(live)
            http = Recording(
                cert_reqs="CERT_REQUIRED", ca_certs=str(live.folder.authority), retries=False, timeout=30.0
            )
            world.http = http
            service = Service(live.service.origin, live.service.issuer, live.folder, [http])
            documents = JourneyDocuments(None)
            Journey(service, documents, live.restart, lambda step: None).play()
            people = [documents.patient, *much_goes_wrong(world)]
            left = Stage(live.folder.path, http.exchanges, people)
            left.page_tokens = page_tokens(http.exchanges)
            yield left


def much_goes_wrong(world: World) -> list[Patient]:
    """What honest and other clients do, and what comes of it. Returns the patients it happened to."""
    patient, other, nobody = world.opened("hospital"), world.opened(), world.patient()
    lab, insurer, holder = world.caller("laboratory"), world.caller("insurer"), world.holder(patient)
    physician, stranger = world.caller("hospital-physician", patient), world.caller("other-physician", patient)
    (own,) = world.publish(patient, lab_document(patient, label=MASKED))
    world.publish(patient, lab_document(patient), lab_document(patient), lab_document(patient))
    lab.post("/fhir/DocumentReference", alone(patient))
    bad = submission(patient)
    bad["entry"][1]["resource"]["subject"] = {"identifier": {"system": other.ins_system, "value": other.ins_value}}
    lab.post("/fhir", bad)
    bad["entry"][1]["resource"][patient.birth_name] = patient.ins_value
    lab.post("/fhir", bad)
    lab.post("/fhir", json.dumps(submission(patient)).encode()[:-5])
    lab.post("/fhir", submission(nobody))
    opening = bodies.consent_opening(nobody)
    del opening["contained"][0]["gender"]
    insurer.post("/fhir/Consent", opening)
    insurer.post("/fhir/Consent", {**bodies.consent_opening(patient), "status": "draft"})
    holder.post("/fhir/Consent", bodies.consent_grant(other, STRUCTURES["hospital"]))
    for caller in (holder, physician, stranger, lab, insurer):
        searches(caller, patient, other)
        caller.get(f"/fhir/DocumentReference/{own}")
        caller.get(f"/fhir/Binary/{own}", Accept="*/*")
        caller.get(f"/fhir/Binary/{patient.ins_value}")
        caller.get(f"/fhir/Patient/{ins(patient)}")
        caller.get(f"/fhir/AuditEvent/{quote(patient.birth_name)}")
        caller.get(f"/fhir/{patient.ins_value}/{patient.birth_name}")
        caller.call("DELETE", f"/fhir/DocumentReference/{patient.ins_value}")
        caller.call("POST", "/fhir", b"x", {"Content-Type": patient.ins_value, "Accept": patient.ins_value})
        caller.call("POST", "/fhir", b"x", {"Content-Type": patient.ins_value, "Accept": "*/*"})
        world.http.request(
            "GET",
            f"{world.origin}/fhir/DocumentReference",
            headers={"Authorization": f"Bearer {caller.token.access_token}"},
        )
    read_all_pages(holder, f"/fhir/DocumentReference?patient.identifier={quote(ins(patient))}&_count=1")
    today = f"{datetime.now(UTC) - timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}"
    read_all_pages(holder, f"/fhir/AuditEvent?date=ge{today}&_count=20")
    spoil_tokens(world, patient)
    return [patient, other, nobody]


def searches(caller: Caller, patient: Patient, other: Patient) -> None:
    """With identities where they belong, and where they don't."""
    for target in (
        f"DocumentReference?patient.identifier={quote(ins(patient))}",
        f"DocumentReference?patient.identifier={quote(ins(other))}",
        f"DocumentReference?patient.identifier={quote(ins(patient))}&author.family={quote(patient.birth_name)}",
        f"DocumentReference?patient.identifier={quote(ins(patient))}&type={patient.ins_value}",
        f"DocumentReference?patient.identifier={quote(ins(patient))}&{patient.ins_value}={quote(patient.birth_name)}",
        f"DocumentReference?patient={patient.ins_value}&date={quote(patient.birth_name)}",
        f"Patient?identifier={quote(ins(patient))}",
        f"Patient?identifier={patient.ins_value}&family={quote(patient.birth_name)}",
        f"List?patient.identifier={quote(ins(patient))}&source.family={quote(patient.birth_name)}",
        f"AuditEvent?patient.identifier={quote(ins(patient))}",
        f"DocumentReference?page={patient.ins_value}",
    ):
        caller.get(f"/fhir/{target}")
    form = f"patient.identifier={quote(ins(patient))}&author.given={quote(patient.first_names[0])}".encode()
    caller.call("POST", "/fhir/DocumentReference/_search", form, FORM)
    caller.call("POST", "/fhir/DocumentReference/_search", form + b"&x=%ff", FORM)


def read_all_pages(caller: Caller, target: str) -> None:
    answer = caller.get(target)
    while "next" in links(answer):
        answer = caller.get(links(answer)["next"])


def client_of(world: World, client_id: str, key: str) -> TokenClient:
    """Who says to be a client, with the key of one."""
    return TokenClient(
        world.http,
        origin=world.origin,
        issuer=world.origin,
        client_id=client_id,
        key=world.live.folder.client_key(key),
        prover=world.caller("laboratory").prover,
    )


def spoil_tokens(world: World, patient: Patient) -> None:
    """Token requests that fail late and early, and a token that is revoked."""
    subject = world.patients_subject_token(patient, "patient-app-rp")
    scope = "system/DocumentReference.c"
    lab, stolen = client_of(world, "laboratory", "laboratory"), client_of(world, "laboratory", "insurer")
    nobody = client_of(world, patient.ins_value, "laboratory")
    app, hospital = client_of(world, "patient-app", "patient-app"), client_of(world, "hospital", "hospital")
    attempts: list[Callable[[], object]] = [
        lambda: stolen.client_credentials(scope),
        lambda: nobody.client_credentials(scope),
        lambda: lab.client_credentials(patient.ins_value),
        lambda: lab.client_credentials(scope, patient=f"x|{patient.ins_value}"),
        lambda: app.exchange(subject + "x", "patient/Patient.rs"),
        lambda: hospital.exchange(subject, "user/Patient.rs", patient=ins(patient)),
    ]
    for attempt in attempts:
        with pytest.raises(TokenNotGiven):
            attempt()
    token = lab.client_credentials(scope)
    lab.revoke(token.access_token)
    Caller(world.http, world.origin, token, world.caller("laboratory").prover).post("/fhir", submission(patient))


def page_tokens(exchanges: list[Exchange]) -> set[str]:
    """The page tokens that stood in answers."""
    found: set[str] = set()
    for exchange in exchanges:
        found |= {token.decode() for token in re.findall(rb"[?&]page=([A-Za-z0-9_-]+)", exchange.data)}
    return found


# What is looked for can be found


def test_a_secret_is_found_in_every_form_that_it_may_take(stage: Stage) -> None:
    needles = Needles(stage.identities(), stage.credentials())
    value, name = stage.people[0].ins_value, AUTHORS["hospital_physician"].family
    for hay in (
        f"...{value}...".encode(),
        value.encode().hex().encode(),
        base64.b64encode(f"patient={value}&x".encode()),
        base64.urlsafe_b64encode(f"ab{value}é".encode()),
        base64.b64encode(f"{name} was here".encode()),
        name.lower().encode(),
        name.encode("latin-1"),
        quote(name).encode(),
        json.dumps(name).encode(),
        next(iter(stage.credentials())).encode(),
    ):
        assert needles.found_in(hay), hay
    assert not needles.found_in(b'{"event":"answered","request":"ffbf1fe2-f8d2-4f95-8e01-0c90668b855e","status":200}')


def test_the_stage_saw_enough(stage: Stage) -> None:
    statuses = {exchange.status for exchange in stage.exchanges}
    assert {200, 201, 400, 401, 403, 404, 405, 406, 415, 422} <= statuses
    assert max(statuses) < 500
    assert len(stage.credentials()) > 100
    assert len(stage.page_tokens) > 5


# And is nowhere


def test_the_log_at_debug_level_holds_no_secret(stage: Stage) -> None:
    log = (stage.folder / "service.log").read_bytes()
    assert log.count(b'"event":"answered"') > 150
    assert b"DEBUG:" in log  # the libraries had their say
    assert Needles(stage.identities(), stage.credentials()).found_in(log) == []


def test_no_name_and_no_byte_on_the_disk_holds_a_secret(stage: Stage) -> None:
    needles = Needles(stage.identities(), stage.credentials())
    files = files_below(stage.folder)
    assert len(files) > 300
    assert needles.found_in("\n".join(files).encode()) == []
    assert needles.found_in(b"\n".join(files.values())) == []


def test_no_header_holds_a_secret(stage: Stage) -> None:
    headers = [f"{name}: {value}" for one in stage.exchanges for name, value in one.answered.items()]
    assert len(headers) > 1000
    assert Needles(stage.identities(), stage.credentials()).found_in("\n".join(headers).encode()) == []


def test_no_refusal_repeats_a_secret(stage: Stage) -> None:
    refusals = [exchange.data for exchange in stage.exchanges if exchange.status >= 400]
    assert len(refusals) > 50
    assert Needles(stage.identities(), stage.credentials()).found_in(b"\n".join(refusals)) == []


def test_no_page_token_holds_what_was_asked(stage: Stage) -> None:
    needles = Needles(stage.identities() | {"patient.identifier", '"pairs"', '"after"', '"filters"'})
    sealed = [base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)) for token in stage.page_tokens]
    assert needles.found_in("\n".join(stage.page_tokens).encode()) == []
    assert needles.found_in(b"\n".join(sealed)) == []


def test_no_address_that_we_made_names_a_patient(stage: Stage) -> None:
    """Links, locations and urls in answers; an entry's own content may of course name its patient."""
    needles = Needles(stage.identities())
    for exchange in stage.exchanges:
        made = re.findall(rb'"(?:url|fullUrl|location|reference)":"([^"]*)"', exchange.data)
        made.append(exchange.answered.get("location", "").encode())
        made.append(exchange.answered.get("content-location", "").encode())
        assert needles.found_in(b"\n".join(made)) == []
        for url in made:
            assert not urlsplit(url.decode()).query or b"page=" in url


def test_everything_at_rest_is_sealed(stage: Stage) -> None:
    """Records, events and configuration are messages of the AWS Encryption SDK; marks and the log's index hold nothing.

    The log is public by design: hashes only. What the sealer notes beside it may name an event, and says nothing of it.
    Probes are random bytes of the daily check.
    """
    kinds: dict[str, int] = {}
    for name, file in files_below(stage.folder / "store" / "objects").items():
        data = file[FILE_HEADER_BYTES:]
        kind = name.partition("/")[0]
        kinds[kind] = kinds.get(kind, 0) + 1
        if kind in ("replay", "revoked", "probe") or name.startswith("journal/records/"):
            assert kind == "probe" or data == b"", name
            continue
        if name.endswith("/dossier"):
            _, listed, data = split_object(data)
            assert all(re.fullmatch(r"records/[a-z2-7]{26}/documents/[a-z2-7]{26}", one) for one in listed)
        if name.startswith("journal/log/"):
            assert not re.search(rb"[a-z2-7]{26}\.|[0-9a-f]{8}-[0-9a-f]{4}-7", data), (
                f"{name} names a record or an event"
            )
        elif name not in ("journal/reconciliation", "journal/locks"):
            assert data.startswith(ESDK_COMMITTED_UNSIGNED), name
        for plain in (
            b"resourceType",
            b"ClinicalDocument",
            b"urn:hl7-org",
            b"client_id",
            b'"kty":',
            b"AuditEvent",
        ):
            assert plain not in data, name
    assert kinds.keys() - {"probe"} == {"records", "journal", "configuration", "replay", "revoked"}
    assert kinds["records"] > 10
    assert kinds["journal"] > 100
