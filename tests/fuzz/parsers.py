"""Coverage-guided fuzzing of what reads bytes from outside: `python tests/fuzz/parsers.py TARGET SECONDS`.

A target takes bytes and may refuse them with the errors of its room. Anything else that it raises, and anything slower
than the limit, is a finding: the input is kept in `build/fuzz/<target>/` and the process ends with a status not 0.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import atheris
from joserfc import jws
from joserfc.jwk import ECKey

with atheris.instrument_imports(include=["sceau", "sceau_schemas"]):
    from sceau.access.model import Identifier
    from sceau.cli import bodies
    from sceau.cli.documents import DOMINIQUE
    from sceau.cli.samples import AUTHORS, STRUCTURES, make_cda
    from sceau.fhir.acts import read_acts
    from sceau.fhir.care_history import read_care_history
    from sceau.fhir.cda import CdaError, parse_xml, read_header
    from sceau.fhir.consents import parse_changed_consent, parse_new_consent
    from sceau.fhir.media import MediaError, check_media
    from sceau.fhir.outcome import FhirError
    from sceau.fhir.parse import parse_json, parse_resource, write_json
    from sceau.fhir.search.query import parse_query
    from sceau.fhir.simplified import parse_simplified
    from sceau.fhir.submission import parse_submission
    from sceau.identity.assertions import ASSERTION_TYPE, ClientAuthentication
    from sceau.identity.clients import ClientDirectory, KnownClient
    from sceau.identity.dpop import ProofCheck, token_hash, verify_proof
    from sceau.identity.errors import JwsRefused, KeyRefused, OAuthRefusal, ProofRefused
    from sceau.identity.jose import public_jwk, read
    from sceau.identity.settings import IdentitySettings
    from sceau.records.dossier import decode, split_object
    from sceau.records.errors import RecordDamaged
    from sceau_schemas.configuration import CLIENT_CREDENTIALS, Client, ClientKind
    from sceau_schemas.dossier import StoredIdentifier
    from sceau_schemas.fhir.bundle import Bundle
    from sceau_schemas.fhir.consent import Consent
    from sceau_schemas.fhir.documents import DocumentReference

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
INS = ("urn:oid:1.2.250.1.213.1.4.10",)
SLOW_SECONDS = 20
ORIGIN = "https://localhost:8443"
KEY = ECKey.generate_key("P-256")
CLIENT = KnownClient(
    Client(
        client_id="laboratory",
        name="a laboratory",
        kind=ClientKind.SOFTWARE,
        keys=({**KEY.as_dict(private=False), "kid": "1"},),
        structures=(StoredIdentifier(system="urn:oid:1.2.3", value="1"),),
        scopes=("system/DocumentReference.c",),
        grants=(CLIENT_CREDENTIALS,),
    ),
    (public_jwk(KEY.as_dict(private=False), algorithms=("ES256",)),),
)


class OneClient:
    """A directory that knows one client by every id: all that is signed is looked into."""

    def get(self, client_id: str, now: datetime) -> KnownClient:
        return CLIENT


SETTINGS = IdentitySettings(
    issuer=ORIGIN,
    origins=(ORIGIN,),
    audience=ORIGIN,
    token_seconds=300,
    nonce_required=False,
    replay_marks_for_reads=False,
)
CLIENTS = ClientAuthentication(SETTINGS, cast(ClientDirectory, OneClient()))
ROOT = Path(__file__).resolve().parents[2]


def cda(data: bytes) -> None:
    with suppress(CdaError):
        read_header(data)
    with suppress(CdaError):  # the body is walked whatever the header says: these never raise
        root = parse_xml(data)
        read_acts(root)
        read_care_history(root)


def media(data: bytes) -> None:
    for declared in (
        "application/xml",
        "application/pdf",
        "text/plain; charset=utf-8",
        "image/tiff",
        "application/rtf",
    ):
        with suppress(MediaError, CdaError):
            check_media(declared, data)


def json_text(data: bytes) -> None:
    with suppress(FhirError):
        parse_json(write_json(parse_json(data)))


def bundle(data: bytes) -> None:
    with suppress(FhirError):
        parse_submission(parse_resource(data, Bundle), accepted_ins_systems=INS, strict=False, received=NOW)


def document_reference(data: bytes) -> None:
    with suppress(FhirError):
        body = parse_resource(data, DocumentReference)
        source = Identifier("urn:ietf:rfc:3986", "urn:oid:1.2.3")
        parse_simplified(body, accepted_ins_systems=INS, strict=True, received=NOW, source_id=source)


def consent(data: bytes) -> None:
    with suppress(FhirError):
        parse_new_consent(parse_resource(data, Consent), accepted_ins_systems=INS)
        parse_changed_consent(parse_resource(data, Consent), accepted_ins_systems=INS)


def token(data: bytes) -> None:
    text = data.decode("latin-1")
    with suppress(JwsRefused):
        read(text, algorithms=("ES256",), types=("at+jwt",))
    check = ProofCheck(method="GET", path="/fhir", origins=(ORIGIN,), access_token="x" * 40, nonces=None)
    with suppress(ProofRefused):
        verify_proof((text,), check, NOW)
    # And the bytes as claims that are signed, so that what looks at claims is reached.
    with suppress(ProofRefused):
        verify_proof((signed("dpop+jwt", data, jwk=KEY.as_dict(private=False)),), check, NOW)
    assertion = signed("JWT", data)
    with suppress(OAuthRefusal):
        CLIENTS.verify({"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}, NOW)
    with suppress(JwsRefused):
        CLIENTS.verify_actor_token(assertion, CLIENT, NOW)


def signed(kind: str, payload: bytes, **header: Any) -> str:
    return jws.serialize_compact({"alg": "ES256", "typ": kind, **header}, payload, KEY)


def jwk(data: bytes) -> None:
    with suppress(FhirError, KeyRefused):
        value = parse_json(data)
        if isinstance(value, dict):
            public_jwk(value, algorithms=("ES256", "RS256"))


def search(data: bytes) -> None:
    provider = atheris.FuzzedDataProvider(data)
    pairs = [
        (provider.ConsumeUnicode(24), provider.ConsumeUnicode(40)) for _ in range(provider.ConsumeIntInRange(0, 6))
    ]
    names = ("type", "date", "period", "identifier", "_sort", "_count", "author.given", "related:identifier", "_id")
    pairs += [(name, provider.ConsumeUnicode(40)) for name in names if provider.ConsumeBool()]
    with suppress(FhirError):
        parse_query("DocumentReference", [("patient", "x"), *pairs], strict=provider.ConsumeBool(), now=NOW)


def dossier(data: bytes) -> None:
    with suppress(RecordDamaged):
        split_object(data)
    with suppress(RecordDamaged):
        found = decode(data, b"")
        found.entries.rows()
        found.sets.rows()


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (cda, media, json_text, bundle, document_reference, consent, token, jwk, search, dossier)
}


def seeds(target: str) -> list[bytes]:
    """Good inputs to begin from: what mutates from these reaches deep."""
    sample = bodies.sample_document(
        "biology",
        patient=DOMINIQUE,
        author=AUTHORS["biologist"],
        structure=STRUCTURES["laboratory"],
        when=NOW,
        unique_id="urn:oid:2.25.1",
    )
    documents = [sample]
    match target:
        case "cda" | "media":
            return [
                make_cda(
                    kind,
                    patient=DOMINIQUE,
                    author=AUTHORS["biologist"],
                    structure=STRUCTURES["laboratory"],
                    document_id="1.2.3",
                    when=NOW,
                )
                for kind in ("biology", "consultation-pdf", "care-history")
            ]
        case "bundle":
            folder = bodies.SampleFolder("Suivi", "urn:oid:2.25.3", ("urn:oid:2.25.1",))
            return [
                write_json(
                    bodies.provide_bundle(
                        documents, patient=DOMINIQUE, when=NOW, set_id="urn:oid:2.25.2", folders=folders
                    )
                )
                for folders in ((), (folder,))
            ]
        case "document_reference" | "json_text":
            return [write_json(bodies.simplified(sample, patient=DOMINIQUE, when=NOW))]
        case "consent":
            return [
                write_json(bodies.consent_opening(DOMINIQUE)),
                write_json(bodies.consent_grant(DOMINIQUE, STRUCTURES["hospital"])),
            ]
        case "token":
            now = int(NOW.timestamp())
            proof = {"jti": "1" * 22, "htm": "GET", "htu": f"{ORIGIN}/fhir", "iat": now, "ath": token_hash("x" * 40)}
            assertion = {"iss": "laboratory", "sub": "laboratory", "aud": ORIGIN, "exp": now + 60, "jti": "1" * 22}
            actor = {**assertion, "lps_nom": "a", "lps_id": "b", "lps_version": "c", "situation_exercice": "d"}
            return [
                b"eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJqdGkiOiIxIn0.AAAA",
                *map(write_json, (proof, assertion, actor)),
            ]
        case "jwk":
            return [b'{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"1"}']
        case _:
            return [b""]


def main() -> None:
    name, seconds = sys.argv[1], sys.argv[2]
    folder = ROOT / "build" / "fuzz" / name
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    limits = [f"-max_total_time={seconds}", f"-timeout={SLOW_SECONDS}", "-rss_limit_mb=2048", "-max_len=65536"]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={folder}/", str(corpus)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
