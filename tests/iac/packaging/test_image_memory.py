"""A container at its worst: as many of the largest bodies at a time as it has threads, in the chalicefile's memory.

The kernel holds it to that memory. It must answer all, and lose no process: this is what `capacity.py` is measured by.
"""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from fixtures.containers import container, give, require_runtime, unpack_image
from fixtures.packaged_stage import PackagedStage, packaged_stage
from fixtures.packages import Built
from sceau.cli import bodies
from sceau.cli.container.capacity import MIB, threads_for
from sceau.cli.documents import DOMINIQUE
from sceau.cli.samples import AUTHORS, STRUCTURES, make_pdf
from sceau.cli.session import Session
from sceau.identity.client import HttpResponse

pytestmark = pytest.mark.slow

FHIR = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}
PDF_BYTES = 12_340_000


def largest_publication(number: int, limit: int) -> bytes:
    """An ITI-65 body with one PDF, just below the stage's limit."""
    document = dataclasses.replace(
        bodies.sample_document(
            "consultation-pdf",
            patient=DOMINIQUE,
            author=next(iter(AUTHORS.values())),
            structure=STRUCTURES["laboratory"],
            when=datetime.now(UTC) - timedelta(hours=1),
            unique_id=f"urn:uuid:{uuid.uuid4()}",
            body_bytes=make_pdf("small"),
        ),
        data=make_pdf(f"number {number}", size=PDF_BYTES),
        content_type="application/pdf",
    )
    set_id = f"urn:oid:2.25.{uuid.uuid4().int}"
    bundle = bodies.provide_bundle([document], patient=DOMINIQUE, when=datetime.now(UTC), set_id=set_id)
    body = json.dumps(bundle).encode()
    assert 0.97 * limit < len(body) <= limit
    return body


def publish(session: Session, body: bytes) -> HttpResponse:
    return session.request("POST", "/fhir", body, FHIR)


def retrieve(accept: str, session: Session, place: str) -> HttpResponse:
    return session.request("GET", f"/fhir/{place}", None, {"Accept": accept})


def open_record(stage: PackagedStage) -> None:
    insurer, patient = Session(stage.service, "insurer"), Session(stage.service, "patient")
    opening, grant = bodies.consent_opening(DOMINIQUE), bodies.consent_grant(DOMINIQUE, STRUCTURES["hospital"])
    for session, body in ((insurer, opening), (patient, grant)):
        assert session.request("POST", "/fhir/Consent", json.dumps(body).encode(), FHIR).status == 201


def test_the_memory_holds_as_many_of_the_largest_bodies_as_there_are_threads(
    image: Built, tmp_path: Path, measured: Callable[[str], None]
) -> None:
    require_runtime()
    bundle = unpack_image(image.folder / "image", tmp_path / "bundle")
    with packaged_stage(tmp_path / "stage") as stage:
        give(tmp_path / "stage")
        limit = stage.stage.spec.largest_body_bytes
        memory_mb = stage.stage.file.functions["ingest"].memory_mb
        threads = threads_for(memory_mb * MIB, limit)
        environ = stage.environ() | {
            "SCEAU_FUNCTION": "all",
            "SCEAU_TRANSPORT": "tls",
            "SCEAU_TLS_CERTIFICATE": str(stage.folder.certificate),
            "SCEAU_TLS_KEY": str(stage.folder.certificate_key),
            "SCEAU_ADDRESS": "127.0.0.1",
            "PORT": str(stage.port),
        }
        with container(
            bundle,
            tmp_path,
            environ=environ,
            memory_mb=memory_mb,
            writable=stage.folder.path,
            healthy=partial(stage.is_healthy, "authentication"),
        ) as running:
            open_record(stage)
            sent = [largest_publication(number, limit) for number in range(threads)]
            writers = [Session(stage.service, "laboratory") for _ in sent]
            readers = [Session(stage.service, "hospital-physician") for _ in sent]
            with ThreadPoolExecutor(threads) as pool:
                answers = list(pool.map(publish, writers, sent))
                assert [answer.status for answer in answers] == [200] * threads
                entries = [entry for answer in answers for entry in json.loads(answer.data)["entry"]]
                places = [entry["response"]["location"] for entry in entries]
                binaries = [place for place in places if place.startswith("Binary/")][:threads]
                assert len(binaries) == threads
                for accept in ("application/pdf", "application/fhir+json"):
                    read = list(pool.map(partial(retrieve, accept), readers, binaries))
                    assert [answer.status for answer in read] == [200] * threads
                    assert all(len(answer.data) >= PDF_BYTES for answer in read)
            peak, ended = running.usage()
            assert ended == 0, "the kernel ended nothing"
            assert running.process.poll() is None
            assert running.stop() == 0
    measured(f"{threads} bodies of {limit // MIB} MiB at a time: at most {peak // MIB} MiB of {memory_mb}")
