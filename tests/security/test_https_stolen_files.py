"""Whoever has the store's folder, but not the keys: what can be read in it, and what altering it achieves.

What is altered is never served: the answer is 500 with an integrity text (503 where the file itself is no object any
more), it is traced, and what rests stays as it is. What SECURITY.md says is not noticed, is shown here not to be.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sceau.audit.journal import JournalReader
from sceau.cli import bodies
from sceau.cli.devissuer import read_issuer_file
from sceau.cli.samples import AUTHORS, STRUCTURES
from sceau.envelope import contexts
from sceau.envelope.batch import BatchOpener
from sceau.envelope.errors import MessageRefused
from sceau.envelope.messages import Envelope
from sceau.keys.errors import KeyServiceError
from sceau.keys.keyfile import create_key_file
from sceau.keys.local import LocalKeyService
from sceau.keys.ports import KeyName
from security.https_callers import Holder
from security.https_forging import Answer, body_of, refused_call, refused_token, unique_id
from security.https_site import PATIENTS, WHEN, Record, Site, unchanged

pytestmark = pytest.mark.xdist_group("security-live")

INTEGRITY = "what is stored does not pass its integrity checks; operations have been told"
HEADER_BYTES = 32
"""What the file system's adapter writes before an object's data."""


@dataclass(frozen=True)
class Scene:
    """A record with two documents, and another one with one."""

    own: Record
    other: Record
    first: str
    second: str
    elsewhere: str
    physician: Holder

    @property
    def dossier(self) -> str:
        return f"records/{self.physician.record}/dossier"

    @property
    def other_dossier(self) -> str:
        return f"records/{self.elsewhere.partition('.')[0]}/dossier"

    @staticmethod
    def object_of(fhir_id: str) -> str:
        record, _, entry = fhir_id.partition(".")
        return f"records/{record}/documents/{entry}"

    def read(self, fhir_id: str) -> Answer:
        return self.physician.get(f"/fhir/Binary/{fhir_id}", Accept="application/xml")


@pytest.fixture(scope="module")
def scene(site: Site, record: Record) -> Scene:
    other = Record(site, "basile")
    first, second = record.publish("stolen first"), record.publish("stolen second")
    return Scene(record, other, first, second, other.publish("stolen elsewhere"), record.physician())


@contextmanager
def altered(site: Site, files: Mapping[str, bytes | None]) -> Iterator[None]:
    """The files of some objects replaced (None: deleted) inside, and put back afterwards. Inside, nothing changes."""
    before = {name: site.path(name).read_bytes() for name in files}
    try:
        for name, data in files.items():
            if data is None:
                site.path(name).unlink()
            else:
                site.path(name).write_bytes(data)
        with unchanged(site):
            yield
    finally:
        for name, data in before.items():
            site.path(name).write_bytes(data)


def damaged(site: Site, answer: Answer) -> None:
    """Assert that the answer tells of damage, holds nothing else, and was traced as a failure."""
    body = refused_call(answer, 500)
    assert [issue["diagnostics"] for issue in body["issue"]] == [INTEGRITY]
    event = site.event(answer)
    assert (event["outcome"], event["outcomeDesc"]) == ("8", "failed.damaged")


# --- reading --------------------------------------------------------------------------------------------------------


LONG_ENOUGH = 6
"""Bytes of a word that does not come by chance in the megabytes of random ones that a store holds."""


def test_nothing_in_the_store_can_be_read(site: Site, scene: Scene) -> None:
    """Neither in what objects hold nor in what they are called: no patient, no professional, no text, no secret."""
    words = {"ClinicalDocument", "urn:hl7-org", "resourceType", "AuditEvent", "Laboratoire", "biologie", "11502-2"}
    words |= {read_issuer_file(site.live.folder.issuer).password, "system/DocumentReference", scene.physician.token}
    for patient in PATIENTS.values():
        words |= {patient.ins_value, patient.birth_name, patient.birth_date.isoformat(), *patient.first_names}
    for author in AUTHORS.values():
        words |= {author.identifier, author.family}
    words |= {structure.identifier for structure in STRUCTURES.values()}
    # Shorter ones are sought as XML and JSON would hold them.
    short = {word for word in words if len(word.encode()) < LONG_ENOUGH}
    words = words - short | {form for word in short for form in (f">{word}<", f'"{word}"')}
    found = site.objects()
    assert len(found) > 20
    for name, data in found.items():
        for word in words:
            assert word not in name
            assert word.encode() not in data, name


def test_the_keys_of_another_stage_open_nothing(site: Site, scene: Scene, tmp_path: Path) -> None:
    create_key_file(tmp_path / "keys.json", clock=lambda: datetime.now(UTC))
    stranger = Envelope(LocalKeyService(tmp_path / "keys.json"))
    owner = Envelope(site.live.stage.keys())
    record, _, entry = scene.first.partition(".")
    message = site.path(scene.object_of(scene.first)).read_bytes()[HEADER_BYTES:]
    context = contexts.document(record, entry)
    assert b"ClinicalDocument" in owner.open(KeyName.CONTENT, message, context).plaintext
    with pytest.raises((MessageRefused, KeyServiceError)):
        stranger.open(KeyName.CONTENT, message, context)


# --- moving ---------------------------------------------------------------------------------------------------------


def test_two_dossiers_that_change_places(site: Site, scene: Scene) -> None:
    own, other = (site.path(name).read_bytes() for name in (scene.dossier, scene.other_dossier))
    with altered(site, {scene.dossier: other, scene.other_dossier: own}):
        damaged(site, scene.read(scene.first))
        damaged(site, scene.own.holder().get("/fhir/Consent"))
        damaged(site, scene.other.holder().get(f"/fhir/DocumentReference/{scene.elsewhere}"))
        damaged(site, scene.physician.get(f"/fhir/DocumentReference?patient={scene.physician.record}"))
        damaged(site, publication(scene))
    assert scene.read(scene.first).status == 200


def publication(scene: Scene) -> Answer:
    body = bodies.simplified(
        scene.own.document("stolen new", unique_id=unique_id()), patient=scene.own.patient, when=WHEN
    )
    laboratory = scene.own.site.software("laboratory", "system/DocumentReference.c")
    return laboratory.ask("POST", "/fhir/DocumentReference", body)


def test_two_documents_that_change_places(site: Site, scene: Scene) -> None:
    names = [scene.object_of(one) for one in (scene.first, scene.second)]
    first, second = (site.path(name).read_bytes() for name in names)
    with altered(site, dict(zip(names, (second, first), strict=True))):
        damaged(site, scene.read(scene.first))
        damaged(site, scene.read(scene.second))
    assert scene.read(scene.first).data == scene.own.document("stolen first").data


def test_a_document_of_another_record(site: Site, scene: Scene) -> None:
    name, other = scene.object_of(scene.first), scene.object_of(scene.elsewhere)
    with altered(site, {name: site.path(other).read_bytes()}):
        damaged(site, scene.read(scene.first))


def test_a_document_sealed_anew_by_somebody_with_wrapping_rights_only(site: Site, scene: Scene) -> None:
    """As a compromised `ingest` could: in its place, under the right key, but not what the entry's digests say."""
    record, _, entry = scene.first.partition(".")
    ingest = Envelope(site.live.stage.runtime("ingest").keys)
    forged = ingest.seal(KeyName.CONTENT, b"<forged/>", contexts.document(record, entry))
    name = scene.object_of(scene.first)
    with altered(site, {name: site.path(name).read_bytes()[:HEADER_BYTES] + forged}):
        damaged(site, scene.read(scene.first))


def events(holder: Holder) -> Answer:
    return holder.get(f"/fhir/AuditEvent?date=ge{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}&_count=200")


def event_objects(site: Site, record_id: str) -> list[str]:
    return [name for name in site.objects("journal/events") if f"/{record_id}." in name]


def shown_without(answer: Answer, names: list[str]) -> None:
    """The patient sees all other events, and is told which ones do not pass their checks."""
    assert answer.status == 200
    entries = json.loads(answer.data)["entry"]
    shown = {entry["resource"]["id"] for entry in entries if entry["resource"]["resourceType"] == "AuditEvent"}
    (outcome,) = (entry["resource"] for entry in entries if entry["search"]["mode"] == "outcome")
    gone = {name.rpartition(".")[2] for name in names}
    assert shown
    assert not gone & shown
    assert {issue["diagnostics"].split()[1] for issue in outcome["issue"]} == gone


def test_two_events_that_change_places(site: Site, scene: Scene) -> None:
    holder = scene.other.holder()
    names = event_objects(site, holder.record)[:2]
    first, second = (site.path(name).read_bytes() for name in names)
    with altered(site, dict(zip(names, (second, first), strict=True))):
        shown_without(events(holder), names)
        damaged(site, holder.get(f"/fhir/AuditEvent/{names[0].rpartition('.')[2]}"))
    assert events(holder).status == 200


def test_an_event_of_another_record(site: Site, scene: Scene) -> None:
    holder = scene.other.holder()
    name, other = event_objects(site, holder.record)[0], event_objects(site, scene.physician.record)[0]
    with altered(site, {name: site.path(other).read_bytes()}):
        shown_without(events(holder), [name])


# --- altering -------------------------------------------------------------------------------------------------------


def places(size: int) -> list[int]:
    """Where to alter an object of this size: all of its first 200 bytes in steps, then a few more, and its end."""
    return [*range(0, min(size, 200), 9), *range(200, size, max(1, size // 12)), size - 1]


def test_a_changed_bit_anywhere_in_a_document(site: Site, scene: Scene) -> None:
    name = scene.object_of(scene.first)
    good, expected = site.path(name).read_bytes(), scene.own.document("stolen first").data
    for place in places(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1 << (place % 8)
        with altered(site, {name: bytes(bad)}):
            answer = scene.read(scene.first)
        if place < HEADER_BYTES:  # the adapter's own bytes, which nothing seals: retention and tag
            assert answer.status == 503 or answer.data == expected
        else:
            damaged(site, answer)


def test_a_changed_bit_anywhere_in_a_dossier(site: Site, scene: Scene) -> None:
    good = site.path(scene.dossier).read_bytes()
    expected = scene.own.document("stolen first").data
    for place in places(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1 << (place % 8)
        with altered(site, {scene.dossier: bytes(bad)}):
            answer = scene.read(scene.first)
        if place < HEADER_BYTES:
            assert answer.status == 503 or answer.data == expected
        else:
            damaged(site, answer)


@pytest.mark.parametrize("what", ["dossier", "document", "event"])
def test_a_cut_object(site: Site, scene: Scene, what: str) -> None:
    holder = scene.other.holder()
    name = {
        "dossier": scene.dossier,
        "document": scene.object_of(scene.first),
        "event": event_objects(site, holder.record)[0],
    }[what]
    good = site.path(name).read_bytes()
    for size in (0, 1, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 1, 100, len(good) // 2, len(good) - 1):
        with altered(site, {name: good[:size]}):
            answer = events(holder) if what == "event" else scene.read(scene.first)
        if size < HEADER_BYTES:  # no object of the store any more: its adapter can't tell its retention
            refused_call(answer, 503)
        elif what == "event":
            shown_without(answer, [name])
        else:
            damaged(site, answer)


@pytest.mark.parametrize("what", ["dossier", "document"])
def test_an_object_with_something_behind_it(site: Site, scene: Scene, what: str) -> None:
    name = scene.dossier if what == "dossier" else scene.object_of(scene.first)
    with altered(site, {name: site.path(name).read_bytes() + b"\x00"}):
        damaged(site, scene.read(scene.first))


def test_a_name_taken_out_of_the_dossiers_clear_list(site: Site, scene: Scene) -> None:
    """So that sweeping would take a document for one that nobody reaches."""
    good = site.path(scene.dossier).read_bytes()
    line = f"{scene.object_of(scene.first)}\n".encode()
    assert line in good
    with altered(site, {scene.dossier: good.replace(line, b"")}):
        damaged(site, scene.read(scene.second))


def test_a_document_that_is_gone(site: Site, scene: Scene) -> None:
    with altered(site, {scene.object_of(scene.first): None}):
        damaged(site, scene.read(scene.first))
        assert scene.read(scene.second).status == 200


def test_a_damaged_dossier_is_not_written_over(site: Site, scene: Scene) -> None:
    good = site.path(scene.dossier).read_bytes()
    with altered(site, {scene.dossier: good[:-1]}):  # `altered` compares: nothing changes inside
        damaged(site, publication(scene))
        grant = bodies.consent_grant(scene.own.patient, STRUCTURES["practice"])
        damaged(site, scene.own.holder().ask("POST", "/fhir/Consent", grant))
        insurer = site.software("insurer", "system/Consent.c")
        damaged(site, insurer.ask("POST", "/fhir/Consent", bodies.consent_opening(scene.own.patient)))


def test_registrations_that_change_places_let_nobody_in(site: Site) -> None:
    names = [f"configuration/clients/{one}" for one in ("laboratory", "hospital")]
    laboratory = site.client("laboratory")
    first, second = (site.path(name).read_bytes() for name in names)
    with altered(site, dict(zip(names, (second, first), strict=True))):
        site.live.restart()  # else the registration that was read before would do for a minute
        answer = laboratory.post(laboratory.form(), laboratory.proof())
        refused_token(answer, 503, "temporarily_unavailable")
    laboratory.token()


# --- what is not noticed, as SECURITY.md says -----------------------------------------------------------------------


def versions_seen(site: Site, answers: list[Answer]) -> list[int]:
    """The dossier version that the event of each answer saw: authenticated, whatever the store says later."""
    runtime = site.live.stage.runtime("traces")
    reader = JournalReader(runtime.store, BatchOpener(runtime.keys, KeyName.JOURNAL, clock=runtime.clock))
    found = []
    for answer in answers:
        event_id = answer.headers["Sceau-Trace"]
        (name,) = (name for name in site.objects("journal/events") if name.endswith(event_id))
        record_id = name.rpartition("/")[2].partition(".")[0]
        found.append(reader.read(record_id, event_id).dossier_version)
    return found


def test_an_old_dossier_opens_as_if_it_were_new_and_the_events_tell(site: Site, scene: Scene) -> None:
    old = site.path(scene.dossier).read_bytes()
    newest = scene.own.publish("stolen newest", unique_id=unique_id())
    answers = [scene.read(newest)]
    with altered(site, {scene.dossier: old}):
        answers += [scene.read(newest), scene.read(scene.first)]
    assert [answer.status for answer in answers] == [200, 404, 200]
    before, after, _ = versions_seen(site, answers)
    assert after < before
    assert scene.read(newest).status == 200


def test_a_dossier_that_is_gone_reads_like_a_record_that_nobody_opened(site: Site, scene: Scene) -> None:
    answer = scene.read(scene.first)
    with altered(site, {scene.dossier: None}):
        gone = scene.read(scene.first)
        assert "no open record" in refused_call(gone, 403)["issue"][0]["diagnostics"]
    before, after = versions_seen(site, [answer, gone])
    assert after == 0 < before


def test_an_event_that_is_gone_hides_no_other(site: Site, scene: Scene) -> None:
    holder = scene.other.holder()
    name = event_objects(site, holder.record)[0]
    with altered(site, {name: None}):
        answer = events(holder)
        assert answer.status == 200
        matches = [one["resource"] for one in body_of(answer)["entry"] if one["search"]["mode"] == "match"]
        assert matches
        ids = {one["id"] for one in matches}
        assert name.rpartition(".")[2] not in ids, "at most it is told that it was logged, and is gone"


def test_without_its_mark_a_proof_serves_once_more(site: Site, scene: Scene) -> None:
    """Whoever can delete in the store can let a proof that they also have be used again, within its minute."""
    before = set(site.objects("replay"))
    target = f"/fhir/Binary/{scene.first}"
    proof = scene.physician.proof("GET", target)

    def send() -> int:
        return scene.physician.send("GET", target, headers={"Accept": "application/xml"}, proofs=[proof]).status

    assert send() == 200
    (mark,) = set(site.objects("replay")) - before
    assert send() == 401
    site.path(mark).unlink()
    assert send() == 200
    assert send() == 401


def test_an_old_registration_opens_as_if_it_were_new(site: Site, scene: Scene) -> None:
    name = "configuration/clients/practice"
    old = site.path(name).read_bytes()
    practice = site.client("practice")
    subject = site.subject("general_practitioner", "practice-rp")
    form = practice.exchange(subject, scope="user/Patient.rs", patient=scene.own.ins)
    assert site.clients().remove("practice")
    site.live.restart()
    refused_token(practice.post(form, practice.proof()), 401, "invalid_client")
    site.path(name).write_bytes(old)
    practice.token({**form, "client_assertion": practice.assertion()})
