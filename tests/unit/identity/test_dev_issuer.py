"""The development issuer: a real issuer for invented people, on the loopback of a local stage and nowhere else."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sceau.cli.certificates import create_loopback_certificates
from sceau.cli.devissuer import (
    ISSUE_PATH,
    PATIENT_PATH,
    PSC_PATH,
    DevIssuer,
    DevIssuerRefused,
    IssuerSecrets,
    create_issuer_file,
    read_issuer_file,
)
from sceau.cli.devpeople import PATIENTS, PROFESSIONALS
from sceau.cli.devserver import DevIssuerServer
from sceau.fhir.ins import TEST_SYSTEMS, check_ins
from sceau_schemas.tokens import PatientIdentity, UserInfo
from unit.identity.identity_world import ISSUER_ORIGIN, ORIGIN, World

HEADERS = {"content-type": "application/json", "host": ISSUER_ORIGIN.removeprefix("https://")}


def serve(kept: IssuerSecrets, folder: Path, **changed: Any) -> DevIssuerServer:
    made: dict[str, Any] = {
        "stage_host": "local",
        "audience": ORIGIN,
        "certificate": folder / "server.pem",
        "certificate_key": folder / "server.key",
        "clock": lambda: datetime.now(UTC),
    }
    return DevIssuerServer(kept, **made | changed)


@pytest.mark.parametrize("host", ["aws", "scaleway", "", "LOCAL"])
def test_it_starts_on_no_stage_but_a_local_one(issuer_secrets: IssuerSecrets, tmp_path: Path, host: str) -> None:
    with pytest.raises(DevIssuerRefused, match="local stage only"):
        serve(issuer_secrets, tmp_path, stage_host=host)


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.1", "::1", "::"])  # noqa: S104 - it must not bind there
def test_it_listens_on_the_loopback_only(issuer_secrets: IssuerSecrets, tmp_path: Path, address: str) -> None:
    with pytest.raises(DevIssuerRefused, match="loopback"):
        serve(issuer_secrets, tmp_path, host=address)


def test_a_taken_port_is_said_in_a_sentence(issuer_secrets: IssuerSecrets, tmp_path: Path) -> None:
    create_loopback_certificates(tmp_path, datetime.now(UTC))
    with serve(issuer_secrets, tmp_path) as first:
        port = int(first.issuer.origin.rpartition(":")[2])
        with pytest.raises(DevIssuerRefused, match=f"port {port}"):
            serve(issuer_secrets, tmp_path, port=port)


def test_its_keys_rest_readable_by_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "issuer.json"
    create_issuer_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = read_issuer_file(path)
    assert kept.password not in repr(kept)
    assert read_issuer_file(path).professionals.thumbprint() == kept.professionals.thumbprint()
    with pytest.raises(FileExistsError):
        create_issuer_file(path)
    path.chmod(0o640)
    with pytest.raises(DevIssuerRefused, match="owner only"):
        read_issuer_file(path)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"professionals":{},"patients":{},"user":"","password":""}'])
def test_a_damaged_file_is_said_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "issuer.json"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(DevIssuerRefused):
        read_issuer_file(path)
    with pytest.raises(DevIssuerRefused):
        read_issuer_file(tmp_path / "absent.json")


def test_its_people_are_test_identities_and_complete(world: World) -> None:
    for patient in PATIENTS.values():
        system, _, value = patient.ins.partition("|")
        check_ins(system, value, TEST_SYSTEMS)
        PatientIdentity.model_validate_json(json.dumps(patient.claims()))
    assert "urn:oid:1.2.250.1.213.1.4.10|279035121518989" in {patient.ins for patient in PATIENTS.values()}
    assert len({one.number for one in PROFESSIONALS.values()}) == len(PROFESSIONALS)
    for professional in PROFESSIONALS.values():
        info = UserInfo.model_validate_json(json.dumps(professional.userinfo()))
        assert (info.SubjectRefPro is None) == (not professional.structures)
    assert len({one.structures[0] for one in PROFESSIONALS.values() if one.structures}) == 4


def issue(issuer: DevIssuer, body: object, **headers: str) -> tuple[int, dict[str, Any]]:
    return issuer.answer("POST", ISSUE_PATH, HEADERS | headers, json.dumps(body).encode())


def test_it_gives_tokens_for_its_people(world: World) -> None:
    for person in [*PATIENTS, *PROFESSIONALS]:
        status, answer = issue(world.issuer, {"person": person, "azp": "rp"})
        assert (status, answer["expires_in"]) == (200, 120)
    refused: tuple[object, ...] = ({"person": "nobody", "azp": "rp"}, {"person": "amarante"}, [], 7)
    for wrong in refused:
        status, answer = issue(world.issuer, wrong)
        assert status == 400
        assert "access_token" not in answer


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "text/plain"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"host": "evil.example:9443"},
    ],
)
def test_a_web_page_in_a_browser_on_this_machine_gets_no_token(world: World, headers: dict[str, str]) -> None:
    status, answer = issue(world.issuer, {"person": "amarante", "azp": "rp"}, **headers)
    assert status == 403
    assert "access_token" not in answer


def test_its_discovery_documents_name_what_it_serves(world: World) -> None:
    paths = [f"{PSC_PATH}/.well-known/wallet-openid-configuration", f"{PATIENT_PATH}/.well-known/openid-configuration"]
    trusted = world.issuer.trusted_issuers(Path("ca.pem"))
    for path, registered in zip(paths, trusted, strict=True):
        status, answer = world.issuer.answer("GET", path, {}, b"")
        assert status == 200
        assert (answer["issuer"], answer["jwks_uri"]) == (registered.issuer, registered.jwks_url)
        status, keys = world.issuer.answer("GET", registered.jwks_url.removeprefix(ISSUER_ORIGIN), {}, b"")
        assert status == 200
        assert all("d" not in key for key in keys["keys"])
    assert world.issuer.answer("GET", "/nothing", {}, b"")[0] == 404
    assert world.issuer.answer("GET", ISSUE_PATH, HEADERS, b"")[0] == 404


def test_introspection_wants_the_credentials_and_knows_expiry(world: World) -> None:
    path = f"{PSC_PATH}/protocol/openid-connect/token/introspect"
    token = world.issuer.token_for("hospital_physician", "rp")
    for given in ({}, {"authorization": "Basic eDp5"}, {"authorization": "é"}):
        assert world.issuer.answer("POST", path, given, f"token={token}".encode())[0] == 401
    assert world.issuer.active(token) is not None
    assert world.issuer.active("x.y.z") is None
    world.advance(120)
    assert world.issuer.active(token) is None
