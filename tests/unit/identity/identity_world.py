"""A stage's identity side in memory: authorization server, resource server, clients, and the development issuer.

What is asked of the issuer goes to it without a socket; the store and the key service are watched. Tests change one
thing of a good request and see it refused.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import ECKey

from fakes.clock import ManualClock
from fakes.key_stands import local
from fakes.keys import PolicingKeys
from fakes.objects import MemoryStore, PolicingStore
from fixtures.issuer_pool import IssuerPool
from sceau.access.model import Actor
from sceau.cli.devissuer import DevIssuer, IssuerSecrets
from sceau.envelope.messages import Envelope
from sceau.fhir.ins import TEST_SYSTEMS, check_ins
from sceau.identity.assertions import ASSERTION_TYPE, ClientAuthentication
from sceau.identity.authorization import AuthorizationServer, IssuedToken, Services, TokenRequest
from sceau.identity.client import Prover, SigningKey
from sceau.identity.clients import ClientDirectory, ClientStore
from sceau.identity.emergency import Declarations
from sceau.identity.errors import OAuthRefusal
from sceau.identity.facts import TokenFacts
from sceau.identity.grants import ACCESS_TOKEN_TYPE, Grants
from sceau.identity.issuers import IssuerDirectory, IssuerStore
from sceau.identity.nonce import NonceRole, Nonces
from sceau.identity.pseudonym import ensure_pseudonym_key
from sceau.identity.replay import ReplayMarks
from sceau.identity.resource import ResourceServer
from sceau.identity.revocation import RevocationList
from sceau.identity.settings import TOKEN_PATH, IdentitySettings
from sceau.identity.subjects import Subjects
from sceau.identity.tokens import TokenKeys, TokenSigner, TokenVerifier
from sceau.identity.upstream import Upstream
from sceau.keys.ports import KeyName
from sceau_schemas.configuration import CLIENT_CREDENTIALS, TOKEN_EXCHANGE, Client, ClientKind
from sceau_schemas.dossier import StoredIdentifier

ORIGIN = "https://dmp.example.fr"
SECOND_ORIGIN = "https://mtls.dmp.example.fr:8443"
ISSUER_ORIGIN = "https://127.0.0.1:9443"
TOKEN_URL = ORIGIN + TOKEN_PATH
SETTINGS = IdentitySettings(
    issuer=ORIGIN,
    origins=(ORIGIN, SECOND_ORIGIN),
    audience=f"{ORIGIN}/fhir",
    token_seconds=300,
    nonce_required=True,
    replay_marks_for_reads=True,
)
DECLARATION_LIFE = timedelta(minutes=60)
INS = "urn:oid:1.2.250.1.213.1.4.10|279035121518989"
OTHER_INS = "urn:oid:1.2.250.1.213.1.4.10|157078901234578"
STRUCTURES = "urn:oid:1.2.250.1.71.4.2.2"
HOSPITAL = StoredIdentifier(system=STRUCTURES, value="1000000202")
PRACTICE = StoredIdentifier(system=STRUCTURES, value="1000000404")
LABORATORY = StoredIdentifier(system=STRUCTURES, value="1000000101")

_KEYS: dict[str, SigningKey] = {}


def key_of(name: str) -> SigningKey:
    """One key pair per name in the whole session: making them is what takes time."""
    return _KEYS.setdefault(name, SigningKey.generate())


def event_id(number: int) -> str:
    """The id of the event of the trace with this number."""
    return str(uuid.UUID(int=0x7 << 76 | 0b10 << 62 | number))


def raw_jws(key: SigningKey, header: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    """A JWS whose signature is right, whatever its header and body say: members that are None are left out."""

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    head, payload = (
        part(json.dumps({name: value for name, value in one.items() if value is not None}).encode())
        for one in (header, body)
    )
    private = ECKey.import_key(key.private_jwk()).private_key
    assert private is not None
    r, s = decode_dss_signature(private.sign(f"{head}.{payload}".encode(), ECDSA(SHA256())))
    return f"{head}.{payload}.{part(r.to_bytes(32) + s.to_bytes(32))}"


def client(client_id: str, kind: ClientKind, *scopes: str, **more: Any) -> Client:
    """A registration."""
    exchanging = kind in (ClientKind.PATIENT_APP, ClientKind.PROFESSIONAL_SOFTWARE)
    return Client(
        client_id=client_id,
        name=f"Logiciel {client_id}",
        kind=kind,
        keys=(key_of(client_id).registered_jwk(),),
        scopes=scopes,
        grants=(TOKEN_EXCHANGE if exchanging else CLIENT_CREDENTIALS,),
        **more,
    )


CLIENTS = (
    client("laboratory", ClientKind.SOFTWARE, "system/DocumentReference.cs", structures=(LABORATORY,)),
    client("insurer", ClientKind.INSURER, "system/Consent.c"),
    client(
        "hospital",
        ClientKind.PROFESSIONAL_SOFTWARE,
        "user/DocumentReference.crs",
        "user/Patient.rs",
        structures=(HOSPITAL,),
        azp=("hospital-rp",),
    ),
    client(
        "group",
        ClientKind.PROFESSIONAL_SOFTWARE,
        "user/*.rs",
        structures=(HOSPITAL, PRACTICE),
        azp=("group-rp", "hospital-rp"),
    ),
    client("app", ClientKind.PATIENT_APP, "patient/DocumentReference.rs", "patient/Consent.crus", azp=("app-rp",)),
    client("jobs", ClientKind.OPERATIONS, "ops/Journal.r"),
    client("retired", ClientKind.SOFTWARE, "system/*.c", structures=(LABORATORY,), enabled=False),
)


@dataclass
class World:
    """Everything a test may touch. `traces` and `refusals` are what was traced and counted."""

    clock: ManualClock
    store: PolicingStore
    keys: PolicingKeys
    envelope: Envelope
    pseudonym_key: bytes
    pool: IssuerPool
    server: AuthorizationServer
    resource: ResourceServer
    token_keys: TokenKeys
    clients: ClientStore
    issuers: IssuerStore
    add_token_key: Callable[[], object]
    disable_token_key: Callable[[], None]
    traces: list[TokenFacts] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    trace_fails: Exception | None = None

    @property
    def issuer(self) -> DevIssuer:
        return self.pool.issuer

    def trace(self, facts: TokenFacts) -> str:
        if self.trace_fails:
            raise self.trace_fails
        self.traces.append(facts)
        return event_id(len(self.traces))

    def count_refusal(self, reason: str) -> None:
        self.refusals[reason] += 1

    def prover(self, name: str = "proof") -> Prover:
        return Prover(key_of(name), self.clock)

    def nonce(self, name: str = "proof", role: NonceRole = NonceRole.TOKEN) -> str:
        """The nonce that the holder of this key would get now."""
        return self.nonces(role).current(key_of(name).thumbprint, self.clock())

    def nonces(self, role: NonceRole) -> Nonces:
        return Nonces(self.pseudonym_key, role)

    def jws(self, signer: str, body: Mapping[str, Any], *, typ: str | None = "JWT", **header: Any) -> str:
        """A statement signed by the named key."""
        head = {"kid": key_of(signer).thumbprint, "typ": typ, **header}
        return raw_jws(key_of(signer), {"alg": "ES256", **head}, body)

    def assertion(self, client_id: str = "laboratory", *, signer: str | None = None, **changed: Any) -> str:
        """A client assertion; `changed` replaces claims, None removes them."""
        now = int(self.clock().timestamp())
        body = {
            "iss": client_id,
            "sub": client_id,
            "aud": TOKEN_URL,
            "jti": secrets.token_hex(8),
            "iat": now,
            "exp": now + 60,
        }
        return self.jws(signer or client_id, {**body, **changed})

    def proof(
        self,
        method: str = "POST",
        url: str = TOKEN_URL,
        *,
        signer: str = "proof",
        header: Mapping[str, Any] | None = None,
        **changed: Any,
    ) -> str:
        """A DPoP proof; `changed` replaces claims, None removes them."""
        role = NonceRole.TOKEN if url.endswith(TOKEN_PATH) else NonceRole.RESOURCE
        body = {
            "jti": secrets.token_hex(8),
            "htm": method,
            "htu": url,
            "iat": int(self.clock().timestamp()),
            "nonce": self.nonce(signer, role),
            **changed,
        }
        head = {"typ": "dpop+jwt", "jwk": key_of(signer).public_jwk(), **(header or {})}
        return raw_jws(key_of(signer), {"alg": "ES256", **head}, body)

    def form(self, client_id: str = "laboratory", /, **changed: str | None) -> dict[str, str]:
        """A client_credentials request."""
        form: dict[str, str | None] = {
            "grant_type": CLIENT_CREDENTIALS,
            "scope": "system/DocumentReference.c",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.assertion(client_id),
            **changed,
        }
        return {name: value for name, value in form.items() if value is not None}

    def exchange_form(self, client_id: str, subject_token: str, /, **changed: str | None) -> dict[str, str]:
        """A token exchange."""
        return self.form(
            client_id,
            **{
                "grant_type": TOKEN_EXCHANGE,
                "scope": "user/DocumentReference.rs",
                "subject_token": subject_token,
                "subject_token_type": ACCESS_TOKEN_TYPE,
                "patient": INS,
                **changed,
            },
        )

    def professional_form(self, person: str = "hospital_physician", **changed: str | None) -> dict[str, str]:
        """A physician's exchange through the hospital's software."""
        return self.exchange_form("hospital", self.issuer.token_for(person, "hospital-rp"), **changed)

    def patient_form(self, subject: str | None = None, **changed: str | None) -> dict[str, str]:
        """A patient's exchange through the app."""
        token = subject or self.issuer.token_for("dominique", "app-rp")
        return self.exchange_form("app", token, **{"scope": "patient/DocumentReference.rs", "patient": None, **changed})

    def issue(self, form: Mapping[str, str], *proofs: str) -> IssuedToken:
        """Ask for a token, with a good proof unless others are given."""
        request = TokenRequest("POST", form, proofs or (self.proof(),))
        return self.server.issue(request, now=self.clock(), trace=self.trace, count_refusal=self.count_refusal)

    def refused(self, form: Mapping[str, str], *proofs: str) -> OAuthRefusal:
        """Ask for a token and be refused."""
        try:
            self.issue(form, *proofs)
        except OAuthRefusal as refusal:
            return refusal
        raise AssertionError("a token was issued")

    def revoke(self, form: Mapping[str, str]) -> str | None:
        """Ask for a revocation."""
        request = TokenRequest("POST", form, ())
        return self.server.revoke(request, now=self.clock(), trace=self.trace, count_refusal=self.count_refusal)

    def call(
        self, token: str, method: str = "GET", path: str = "/fhir/Patient", *, proof: str | None = None, **headers: str
    ) -> Actor:
        """Call the API with a token and a good proof, unless another is given."""
        made = proof or self.api_proof(token, method, path)
        given = {"authorization": (f"DPoP {token}",), "dpop": (made,)} | {
            name: (value,) for name, value in headers.items()
        }
        return self.resource.authenticate(ApiRequest(method, path, given), self.clock())

    def api_proof(self, token: str, method: str = "GET", path: str = "/fhir/Patient", **changed: Any) -> str:
        """A proof for an API call."""
        digest = hashlib.sha256(token.encode()).digest()
        ath = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        return self.proof(method, ORIGIN + path, **{"ath": ath, **changed})

    def marks(self) -> list[str]:
        """The replay marks there are."""
        return list(self.store.inner.list("replay/"))

    def advance(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))


@dataclass(frozen=True)
class ApiRequest:
    """A request as the resource server sees it."""

    method: str
    path: str
    headers: Mapping[str, tuple[str, ...]]


def make_world(folder: Path, kept: IssuerSecrets, *, settings: IdentitySettings = SETTINGS) -> World:
    """A stage with its clients and issuers registered, and nothing else."""
    clock = ManualClock()
    store, stand = PolicingStore(MemoryStore(clock)), local(folder)
    keys = PolicingKeys(stand.keys)
    envelope = Envelope(keys)
    pool = IssuerPool(DevIssuer(kept, origin=ISSUER_ORIGIN, audience=ORIGIN, clock=clock))
    pseudonym_key = ensure_pseudonym_key(store, envelope, random_bytes=secrets.token_bytes)
    clients, issuers = ClientStore(store, envelope), IssuerStore(store, envelope)
    for registration in CLIENTS:
        clients.put(registration)
    for trusted in pool.issuer.trusted_issuers(folder / "ca.pem"):
        issuers.put(trusted)
    token_keys = TokenKeys(keys)
    subjects = Subjects(IssuerDirectory(issuers), Upstream(pool, monotonic=lambda: 0.0))
    verifier = TokenVerifier(settings, token_keys)
    services = Services(
        settings=settings,
        store=store,
        clients=ClientAuthentication(settings, ClientDirectory(clients)),
        subjects=subjects,
        grants=Grants(
            settings,
            subjects,
            pseudonym_key=pseudonym_key,
            check_ins=_check_ins,
            declarations=Declarations(pseudonym_key, life=DECLARATION_LIFE),
        ),
        nonces=Nonces(pseudonym_key, NonceRole.TOKEN),
        signer=TokenSigner(keys, token_keys),
        verifier=verifier,
        random_bytes=secrets.token_bytes,
    )
    resource = ResourceServer(
        settings,
        tokens=verifier,
        nonces=Nonces(pseudonym_key, NonceRole.RESOURCE),
        revocations=RevocationList(store),
        marks=ReplayMarks(store),
    )
    return World(
        clock=clock,
        store=store,
        keys=keys,
        envelope=envelope,
        pseudonym_key=pseudonym_key,
        pool=pool,
        server=AuthorizationServer(services),
        resource=resource,
        token_keys=token_keys,
        clients=clients,
        issuers=issuers,
        add_token_key=lambda: stand.add_version(KeyName.TOKENS),
        disable_token_key=lambda: stand.disable_oldest(KeyName.TOKENS),
    )


def _check_ins(system: str, value: str) -> None:
    check_ins(system, value, TEST_SYSTEMS)
