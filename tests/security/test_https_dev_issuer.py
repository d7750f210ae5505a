"""The development issuer gives a token to whoever reaches it: so who reaches it, and what happens when it is not there.

Over HTTPS against the real server, on the loopback, and with the real command.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
import urllib3

from fixtures.service import ROOT, LiveStage, live_stage
from sceau.cli.certificates import create_loopback_certificates
from sceau.cli.devissuer import create_issuer_file, read_issuer_file
from sceau.cli.devserver import DevIssuerServer
from sceau.cli.process import port_of
from security.https_callers import Client
from security.https_forging import refused_token
from security.https_site import Record, Site, unchanged

pytestmark = pytest.mark.xdist_group("security-live")

ASKED = b'{"person":"hospital_physician","azp":"hospital-rp"}'
JSON = {"Content-Type": "application/json"}


def issue(
    site: Site, headers: Mapping[str, str], body: bytes = ASKED, method: str = "POST"
) -> urllib3.BaseHTTPResponse:
    return site.http.request(method, site.live.service.issuer + "/issue", body=body, headers=headers, redirect=False)


# --- who reaches it -------------------------------------------------------------------------------------------------


def test_the_request_that_the_attacks_change_is_good(site: Site) -> None:
    assert issue(site, JSON).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {**JSON, "Origin": "https://page.example"},
        {**JSON, "Origin": "null"},
        {**JSON, "Origin": "https://localhost:8443"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "text/plain; application/json"},
        {},
        {**JSON, "Host": "page.example"},  # a name that was made to point here (DNS rebinding)
        {**JSON, "Host": "localhost"},
    ],
    ids=str,
)
def test_a_web_page_in_a_browser_on_this_machine_gets_no_token(site: Site, headers: dict[str, str]) -> None:
    answer = issue(site, headers)
    assert answer.status == 403
    assert b"access_token" not in answer.data
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "PUT", "HEAD"])
def test_no_other_method_gets_a_token_or_a_browsers_permission(site: Site, method: str) -> None:
    preflight = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
    answer = issue(site, preflight, b"", method)
    assert answer.status in (404, 405, 501)
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"person":"nobody","azp":"x"}', b'{"person":["dominique"]}', b"[" * 60_000, b"null"]
)
def test_a_hostile_body_gets_no_token_and_does_not_stop_it(site: Site, body: bytes) -> None:
    assert issue(site, JSON, body).status in (400, 403)
    assert issue(site, JSON).status == 200


def test_an_oversized_body_is_not_read(site: Site) -> None:
    lines = ["POST /issue HTTP/1.1", "Host: x", "Content-Type: application/json", "Content-Length: 100000000000"]
    received = site.raw("\r\n".join([*lines, "", ""]).encode(), site.live.service.issuer)
    assert received.split(b" ", 2)[1] == b"413"
    assert issue(site, JSON).status == 200


def test_a_connection_that_never_speaks_holds_up_nobody(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", port_of(site.live.service.issuer))):
        assert issue(site, JSON).status == 200


def test_introspection_is_for_those_who_have_its_password(site: Site) -> None:
    url = site.live.service.issuer + "/auth/realms/esante-wallet/protocol/openid-connect/token/introspect"
    token = site.subject("hospital_physician", "hospital-rp")
    for headers in ({}, {"Authorization": "Basic c2NlYXU6"}, {"Authorization": "Basic \xe9"}):
        answer = site.http.request("POST", url, body=f"token={token}".encode(), headers=headers)
        assert answer.status == 401
        assert b"active" not in answer.data


def test_the_service_itself_issues_no_identities(site: Site) -> None:
    assert site.http.request("POST", site.origin + "/issue", body=ASKED, headers=JSON).status == 404


# --- where it runs --------------------------------------------------------------------------------------------------

AWS = """
[stages.elsewhere]
host = "aws"
region = "eu-west-3"
owner = "somebody"
origins = ["https://dmp.example"]
identifiers = ["urn:oid:1.2.250.1.213.1.4.10"]
largest_body_bytes = 4194304
retention_days = 3653
token_seconds = 300
nonce_required = true
replay_marks_for_reads = true
{issuer}
[stages.elsewhere.store]
adapter = "filesystem"
folder = "stage/store"

[stages.elsewhere.key_service]
adapter = "local"
file = "stage/keys.json"
"""


@pytest.mark.parametrize(
    ("issuer", "setting", "sentence"),
    [
        ('development_issuer = "https://127.0.0.1:8444"', {}, "only a local stage"),
        ("", {"SCEAU_ISSUER": "https://127.0.0.1:8444"}, "SCEAU_ISSUER is for local stages only"),
        ("", {}, "is not a local stage"),
    ],
)
def test_the_command_starts_it_on_no_other_stage(
    tmp_path: Path, issuer: str, setting: dict[str, str], sentence: str
) -> None:
    chalicefile = tmp_path / "chalicefile"
    chalicefile.write_text((ROOT / "chalicefile").read_text() + AWS.format(issuer=issuer))
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "SCEAU_CHALICEFILE": str(chalicefile), **setting}
    done = subprocess.run(
        [sys.executable, "-m", "sceau.cli", "serve", "--stage", "elsewhere"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "stage").exists()


def test_a_stage_of_real_patients_has_none(tmp_path: Path) -> None:
    chalicefile = tmp_path / "chalicefile"
    text = (ROOT / "chalicefile").read_text()
    real = '"urn:oid:1.2.250.1.213.1.4.8"'
    test = '"urn:oid:1.2.250.1.213.1.4.10", "urn:oid:1.2.250.1.213.1.4.11"'
    assert test in text
    chalicefile.write_text(text.replace(test, real))
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "SCEAU_CHALICEFILE": str(chalicefile)}
    command = [sys.executable, "-m", "sceau.cli", "serve", "--folder", str(tmp_path / "stage")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "development_issuer" in done.stderr
    assert not (tmp_path / "stage").exists()


# --- when it is not there, or is somebody else ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A stage whose issuer can be taken away: it closes each connection, else one that is open would outlive it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sceau.cli.devserver._Handler.protocol_version", "HTTP/1.0")
        with live_stage(tmp_path_factory.mktemp("without issuer") / "stage") as stage:
            yield Site(stage)


def impostor(live: LiveStage, folder: Path, *, own_certificate: bool, own_keys: bool) -> DevIssuerServer:
    """Another server at the issuer's address: with what of the issuer's own it could have stolen."""
    create_loopback_certificates(folder, datetime.now(UTC))
    create_issuer_file(folder / "issuer.json")
    return DevIssuerServer(
        read_issuer_file(folder / "issuer.json" if own_keys else live.folder.issuer),
        stage_host="local",
        audience=live.service.origin,
        certificate=folder / "server.pem" if own_certificate else live.folder.certificate,
        certificate_key=folder / "server.key" if own_certificate else live.folder.certificate_key,
        clock=lambda: datetime.now(UTC),
        port=port_of(live.service.issuer),
    )


def test_without_the_issuer_nobody_gets_in_and_who_is_in_stays(own_stage: Site, tmp_path: Path) -> None:
    """One story, since the issuer goes and comes back: down, replaced by an impostor, up again."""
    site, live = own_stage, own_stage.live
    record = Record(site, "dominique")
    record.grant("hospital")
    own_id = record.publish("issuer")
    reader = record.physician()
    hospital = site.client("hospital")
    subject = site.subject("hospital_physician", "hospital-rp")

    def asked(client: Client = hospital) -> urllib3.BaseHTTPResponse:
        form = client.exchange(subject, scope="user/DocumentReference.rs", patient=record.ins)
        return client.post(form, client.proof())

    with unchanged(site):
        live.issuer.stop()
        answer = asked()
        refused_token(answer, 503, "temporarily_unavailable")
        assert answer.headers["Retry-After"]
        assert reader.get(f"/fhir/Binary/{own_id}", Accept="*/*").status == 200
        # Somebody else at its address, with a certificate that nobody we trust signed, says that the token is active.
        with impostor(live, tmp_path, own_certificate=True, own_keys=False):
            refused_token(asked(), 503, "temporarily_unavailable")
        # A fresh process has not even its keys.
        live.restart()
        refused_token(asked(), 503, "temporarily_unavailable")
    back = tmp_path / "back"
    back.mkdir()
    # After a failure nobody asks for the keys again for 5 s: another fresh process need not wait for that.
    live.restart()
    with impostor(live, back, own_certificate=False, own_keys=False):
        answer = asked()
        assert answer.status == 200  # the same identity: none of the failures used it up
        refused_token(asked(), 400, "invalid_grant")
    own = tmp_path / "keys"
    own.mkdir()
    with impostor(live, own, own_certificate=False, own_keys=True) as stranger, unchanged(site):
        forged = stranger.issuer.token_for("hospital_physician", "hospital-rp")
        form = hospital.exchange(forged, scope="user/DocumentReference.rs", patient=record.ins)
        refused_token(hospital.post(form, hospital.proof()), 400, "invalid_grant")
    assert json.loads(answer.data)["token_type"] == "DPoP"
