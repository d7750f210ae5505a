"""What we ask of trusted issuers: bounded, verified, and closed when anything is not as it must be."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import urllib3

from sceau.cli.certificates import create_loopback_certificates
from sceau.cli.devissuer import IssuerSecrets
from sceau.cli.devserver import DevIssuerServer
from sceau.identity import jose
from sceau.identity.errors import Unavailable
from sceau.identity.upstream import TokenInactive, Upstream, https_pools
from sceau_schemas.configuration import IntrospectionAccess, TrustedIssuer
from unit.identity.identity_world import ORIGIN, World


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    create_loopback_certificates(folder, now())
    return folder


@pytest.fixture
def issuer_server(issuer_secrets: IssuerSecrets, tls: Path) -> Iterator[DevIssuerServer]:
    with DevIssuerServer(
        issuer_secrets,
        stage_host="local",
        audience=ORIGIN,
        certificate=tls / "server.pem",
        certificate_key=tls / "server.key",
        clock=now,
    ) as server:
        yield server


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    pools = https_pools()
    made: list[urllib3.PoolManager] = []

    def kept(ca_bundle: str | None) -> urllib3.PoolManager:
        made.append(pools(ca_bundle))
        return made[-1]

    yield Upstream(kept, monotonic=lambda: 0.0)
    for pool in made:
        pool.clear()


def access(issuer: TrustedIssuer) -> IntrospectionAccess:
    assert issuer.introspection is not None
    return issuer.introspection


def test_the_development_issuer_answers_over_https(
    issuer_server: DevIssuerServer, upstream: Upstream, tls: Path
) -> None:
    professionals, patients = issuer_server.issuer.trusted_issuers(tls / "ca.pem")
    token = issuer_server.issuer.token_for("hospital_physician", "hospital-rp")
    parsed = jose.read(token, algorithms=professionals.algorithms, types=("JWT",))
    jose.verify(parsed, upstream.keys(professionals, parsed.header["kid"], now()))
    assert upstream.introspect(professionals, access(professionals), token)["client_id"] == "hospital-rp"
    assert professionals.userinfo_url is not None
    assert b'"SubjectNameID": "899700000102"' in upstream.userinfo(professionals, professionals.userinfo_url, token)
    patient = jose.read(issuer_server.issuer.token_for("amarante", "app"), algorithms=("ES256",), types=("JWT",))
    jose.verify(patient, upstream.keys(patients, patient.header["kid"], now()))


def test_an_inactive_token_and_wrong_credentials_are_told_apart(
    issuer_server: DevIssuerServer, upstream: Upstream, tls: Path
) -> None:
    professionals, _ = issuer_server.issuer.trusted_issuers(tls / "ca.pem")
    issuer_server.issuer.deactivate("gone")
    token = issuer_server.issuer.token_for("hospital_physician", "hospital-rp", jti="gone")
    with pytest.raises(TokenInactive):
        upstream.introspect(professionals, access(professionals), token)
    assert professionals.userinfo_url is not None
    with pytest.raises(TokenInactive):
        upstream.userinfo(professionals, professionals.userinfo_url, token)
    wrong = access(professionals).model_copy(update={"password": "wrong"})
    with pytest.raises(Unavailable):
        upstream.introspect(professionals, wrong, token)


def test_an_issuer_whose_certificate_nobody_we_trust_signed_is_not_asked(
    issuer_server: DevIssuerServer, upstream: Upstream, tls: Path, tmp_path: Path
) -> None:
    create_loopback_certificates(tmp_path, now())
    professionals, _ = issuer_server.issuer.trusted_issuers(tmp_path / "ca.pem")
    with pytest.raises(Unavailable):
        upstream.keys(professionals, None, now())
    with pytest.raises(Unavailable):
        upstream.keys(professionals.model_copy(update={"ca_bundle": None}), None, now() + timedelta(minutes=1))


def test_an_issuer_that_is_down_is_unavailable(upstream: Upstream, tls: Path, issuer_server: DevIssuerServer) -> None:
    professionals, _ = issuer_server.issuer.trusted_issuers(tls / "ca.pem")
    issuer_server.stop()
    with pytest.raises(Unavailable):
        upstream.keys(professionals, None, now())
    issuer_server.stop = lambda: None  # type: ignore[method-assign]  # the fixture stops it too


class Hostile(http.server.BaseHTTPRequestHandler):
    """An issuer that misbehaves as the path says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        match self.path:
            case "/redirect":
                self.send_response(302)
                self.send_header("Location", "/keys")
                self.send_header("Content-Length", "0")
                self.end_headers()
            case "/large":
                self._send(b'{"keys":[],"x":"' + b"x" * 100_000 + b'"}')
            case "/text":
                self._send(b"<html></html>")
            case "/duplicate":
                self._send(b'{"keys":[],"keys":[]}')
            case "/private":
                self._send(b'{"keys":[{"kty":"EC","d":"AA"}]}')
            case "/broken":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"{")
                self.close_connection = True
            case "/error":
                self.send_response(500)
                self.send_header("Content-Length", "0")
                self.end_headers()
            case _:
                self._send(b'{"keys":[]}')

    def _send(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def hostile(tls: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls / "server.pem", tls / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("path", ["redirect", "large", "text", "duplicate", "private", "broken", "error"])
def test_an_issuer_that_does_not_answer_as_it_must_grants_nothing(
    hostile: str, upstream: Upstream, tls: Path, path: str, world: World
) -> None:
    issuer = next(one for one in world.issuers.list() if one.kind == "patient")
    asked = issuer.model_copy(update={"ca_bundle": str(tls / "ca.pem"), "jwks_url": f"{hostile}/{path}"})
    with pytest.raises(Unavailable):
        upstream.keys(asked, None, now())
    good = asked.model_copy(update={"jwks_url": f"{hostile}/keys"})
    assert upstream.keys(good, None, now()) == ()


def test_an_answer_that_drips_is_cut_off(hostile: str, tls: Path, world: World) -> None:
    seconds = iter([0.0, 4.9, 5.1])
    pools = https_pools()
    slow = Upstream(pools, monotonic=lambda: next(seconds))
    issuer = next(one for one in world.issuers.list() if one.kind == "patient")
    asked = issuer.model_copy(update={"ca_bundle": str(tls / "ca.pem"), "jwks_url": f"{hostile}/keys"})
    assert slow.keys(asked, None, now()) == ()
    late = iter([0.0, 5.1])
    slow = Upstream(pools, monotonic=lambda: next(late))
    with pytest.raises(Unavailable, match="slowly"):
        slow.keys(asked, None, now())
    pools(str(tls / "ca.pem")).clear()


def test_keys_are_kept_10_minutes_and_asked_again_for_an_unknown_id_every_30_seconds(world: World) -> None:
    upstream = Upstream(world.pool)
    issuer = next(one for one in world.issuers.list() if one.kind == "patient")
    start = world.clock()

    def keys(kid: str, seconds: float) -> int:
        upstream.keys(issuer, kid, start + timedelta(seconds=seconds))
        return len(world.pool.asked)

    known = upstream.keys(issuer, None, start)[0].kid
    assert known is not None
    assert keys(known, 599) == 1
    assert keys(known, 600) == 2
    assert keys("unknown", 620) == 2
    assert keys("unknown", 630) == 3
    assert keys("unknown", 659) == 3
    assert keys(known, 700) == 3


def test_behind_an_issuer_that_is_down_callers_do_not_queue_up(world: World) -> None:
    upstream = Upstream(world.pool)
    issuer = next(one for one in world.issuers.list() if one.kind == "patient")
    world.pool.down = True
    for second in (0, 1, 4):
        with pytest.raises(Unavailable):
            upstream.keys(issuer, None, world.clock() + timedelta(seconds=second))
    assert len(world.pool.asked) == 1
    world.pool.down = False
    assert upstream.keys(issuer, None, world.clock() + timedelta(seconds=5))
