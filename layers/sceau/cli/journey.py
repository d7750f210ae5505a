"""The first journey: each step a real call over HTTPS with a real token, and what it must answer.

A record is opened, a hospital authorised, a laboratory publishes and replaces; a physician finds and retrieves; others
are refused; the patient reads who did what; the process is killed, and everything is still there.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sceau.cli import bodies
from sceau.cli.documents import JourneyDocuments
from sceau.cli.samples import STRUCTURES, Patient
from sceau.cli.session import Service, Session, ins_of
from sceau.fhir.outcome import FhirError
from sceau.identity.client import HttpResponse

FHIR = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}


class StepFailed(Exception):
    """A step did not answer as it must. The message names the step and what was expected."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call as it went: who acted, what was asked, the status, the milliseconds it took, the id of its trace."""

    number: str
    who: str
    request: str
    status: int
    millis: float
    trace: str
    remark: str = ""


@dataclass(slots=True)
class Journey:
    """Plays the journey against a running service. `restart` kills it with SIGKILL and starts it again.

    `report` is called after each step. What a step learned is kept for those that follow.
    """

    service: Service
    documents: JourneyDocuments
    restart: Callable[[], None]
    report: Callable[[Step], None]
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    steps: list[Step] = field(default_factory=list)

    def play(self) -> None:
        """Play all steps. Raises StepFailed at the first one that fails."""
        patient = self.documents.patient
        self._open(patient)
        app = self._authorise(patient)
        laboratory = Session(self.service, "laboratory")
        published, superseded = self._publish(laboratory, patient)
        physician = Session(self.service, "hospital-physician")
        found = self._find(physician)
        self._retrieve(physician, found)
        self._refuse_other_structure()
        self._refuse_author(laboratory, found)
        self._read_traces(app)
        self.restart()
        self._find_again(published, superseded)

    def _open(self, patient: Patient) -> None:
        insurer = Session(self.service, "insurer")
        body = bodies.consent_opening(patient)
        # A stage that was used before has the record already: 200, and nothing changes.
        self._call("1", insurer, "POST", "/fhir/Consent", body, expected=(201, 200), remark="opens the record")

    def _authorise(self, patient: Patient) -> Session:
        app = Session(self.service, "patient")
        body = bodies.consent_grant(patient, STRUCTURES["hospital"])
        self._call("2", app, "POST", "/fhir/Consent", body, expected=(201, 200), remark="grants the hospital")
        return app

    def _publish(self, laboratory: Session, patient: Patient) -> tuple[list[str], str]:
        """Publish three, then one, then a replacement. Returns the FHIR ids of what is current, and what not."""
        three = self.documents.three()
        bundle = bodies.provide_bundle(three, patient=patient, when=self.now, set_id=_oid())
        answer = self._call("3a", laboratory, "POST", "/fhir", bundle, remark="ITI-65, three documents")
        locations = [entry["response"]["location"] for entry in _json(answer)["entry"]]
        ids = [location.partition("/")[2] for location in locations if location.startswith("DocumentReference/")]
        one = bodies.simplified(self.documents.one(), patient=patient, when=self.now)
        answer = self._call(
            "3b", laboratory, "POST", "/fhir/DocumentReference", one, expected=(201,), remark="ITI-105, one more"
        )
        ids.append(_json(answer)["id"])
        newer = self.documents.replacement(ids[0])
        bundle = bodies.provide_bundle([newer], patient=patient, when=self.now, set_id=_oid())
        answer = self._call("3c", laboratory, "POST", "/fhir", bundle, remark="ITI-65, replaces the first")
        created = [entry["response"]["location"] for entry in _json(answer)["entry"]]
        replacement = next(one for one in created if one.startswith("DocumentReference/") and ids[0] not in one)
        return [replacement.partition("/")[2], *ids[1:]], ids[0]

    def _find(self, physician: Session) -> dict[str, Any]:
        """Has this exam been done? By type and period, current documents only. Returns the newest hit."""
        day = self.documents.exam_day
        query = (
            f"patient.identifier={ins_of(physician_patient())}&type={self.documents.exam_type}"
            f"&period=ge{day - timedelta(days=1):%Y-%m-%d}&period=le{day + timedelta(days=1):%Y-%m-%d}&status=current"
        )
        answer = self._call(
            "4", physician, "GET", f"/fhir/DocumentReference?{query}", shown="/fhir/DocumentReference?type=…&period=…"
        )
        bundle = _json(answer)
        hits = [entry["resource"] for entry in bundle.get("entry", ()) if entry["search"]["mode"] == "match"]
        if not hits:
            raise StepFailed("step 4: the exam was published, and is not found by type and period")
        newest: dict[str, Any] = hits[0]
        return newest

    def _retrieve(self, physician: Session, found: dict[str, Any]) -> None:
        attachment = found["content"][0]["attachment"]
        raw = self._call(
            "5a", physician, "GET", attachment["url"], accept=attachment["contentType"], remark="ITI-68, raw"
        )
        answer = self._call(
            "5b", physician, "GET", attachment["url"], accept="application/fhir+json", remark="ITI-68, FHIR Binary"
        )
        binary = _json(answer)
        if base64.b64decode(binary["data"]) != raw.data or len(raw.data) != attachment["size"]:
            raise StepFailed("step 5: the two forms of the document are not the same bytes")
        if raw.data not in self.documents.sent:
            raise StepFailed("step 5: what was retrieved is not what was published")

    def _refuse_other_structure(self) -> None:
        other = Session(self.service, "other-physician")
        query = f"patient.identifier={ins_of(physician_patient())}"
        self._call(
            "6",
            other,
            "GET",
            f"/fhir/DocumentReference?{query}",
            expected=(403,),
            shown="/fhir/DocumentReference",
            remark="refused: no grant to this structure",
        )

    def _refuse_author(self, laboratory: Session, found: dict[str, Any]) -> None:
        url = found["content"][0]["attachment"]["url"]
        self._call(
            "7", laboratory, "GET", url, accept="*/*", expected=(403,), remark="refused: software reads nothing back"
        )

    def _read_traces(self, app: Session, number: str = "8") -> None:
        since = (self.now - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
        events: dict[str, dict[str, Any]] = {}
        target: str | None = f"/fhir/AuditEvent?date=ge{since}&_count=100"
        while target:
            answer = self._call(number, app, "GET", target, shown="/fhir/AuditEvent?date=ge…", remark="who did what")
            bundle = _json(answer)
            events |= {entry["resource"]["id"]: entry["resource"] for entry in bundle.get("entry", ())}
            target = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
        for step in self.steps:
            for trace in filter(None, step.trace.split(", ")):
                outcome = events.get(trace, {}).get("outcome")
                # The first page can't hold the event of its own query's successors: those before it, it must.
                if step.number < number and outcome is None:
                    raise StepFailed(
                        f"step {number}: the event of step {step.number} is not among the patient's traces"
                    )
                if step.status in (403, 404) and outcome != "4":
                    raise StepFailed(f"step {number}: the refusal of step {step.number} is not shown as one")

    def _find_again(self, published: list[str], superseded: str) -> None:
        """After the SIGKILL: with new tokens, all that was published, replaced, granted and traced is there."""
        physician = Session(self.service, "hospital-physician")  # reads by the patient's grant
        for own_id in (*published, superseded):
            entry = self._call(
                "9", physician, "GET", f"/fhir/DocumentReference/{own_id}", remark="still there after SIGKILL"
            )
            if _json(entry)["status"] != ("superseded" if own_id == superseded else "current"):
                raise StepFailed("step 9: after the restart an entry has another status")
            url = _json(entry)["content"][0]["attachment"]["url"]
            binary = self._call("9", physician, "GET", url, accept="*/*", remark="and its bytes")
            if binary.data not in self.documents.sent:
                raise StepFailed("step 9: after the restart a document is not what was published")
        self._read_traces(Session(self.service, "patient"), "9")

    def _call(
        self,
        number: str,
        session: Session,
        method: str,
        target: str,
        body: dict[str, Any] | None = None,
        *,
        expected: tuple[int, ...] = (200,),
        accept: str | None = None,
        shown: str | None = None,
        remark: str = "",
    ) -> HttpResponse:
        headers = dict(FHIR) if accept is None else {"Accept": accept}
        data = json.dumps(body).encode() if body is not None else None
        started = time.perf_counter()
        response = session.request(method, target, data, headers)
        millis = (time.perf_counter() - started) * 1000
        path = shown or target.removeprefix(self.service.origin)
        trace = response.headers.get("Sceau-Trace", "")
        step = Step(number, session.actor.name, f"{method} {path}", response.status, millis, trace, remark)
        self.steps.append(step)
        self.report(step)
        if response.status not in expected:
            raise StepFailed(f"step {number}: {step.request} answered {response.status}: {_problem(response)}")
        return response


def physician_patient() -> str:
    """Whom the journey is about."""
    return "dominique"


@contextmanager
def failing_clearly() -> Iterator[None]:
    """Turn what a sample document can't be into a sentence."""
    try:
        yield
    except FhirError as error:
        raise StepFailed(f"a sample document can't be used: {error.problems[0].text}") from None


def _json(response: HttpResponse) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(response.data)
    return value


def _problem(response: HttpResponse) -> str:
    try:
        issues = json.loads(response.data)["issue"]
        return "; ".join(f"{issue['diagnostics']} ({issue.get('expression', ['-'])[0]})" for issue in issues)
    except (ValueError, KeyError, TypeError):
        return "the answer is not an OperationOutcome"


def _oid() -> str:
    return f"urn:oid:2.25.{uuid.uuid4().int}"
