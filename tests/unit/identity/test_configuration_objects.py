"""Clients and issuers at rest: sealed, compare-and-swap, never deleted, and what is damaged grants nothing."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from fakes.keys import on as key_on
from fakes.objects import Fault, on
from sceau.access.model import ActorKind
from sceau.envelope import contexts
from sceau.identity.clients import ClientDirectory, ClientRefused, ClientStore, known_client
from sceau.identity.configuration import SealedObjects
from sceau.identity.errors import ConfigurationChanged, ConfigurationDamaged, Unavailable
from sceau.identity.issuers import IssuerDirectory, IssuerRefused, IssuerStore
from sceau.keys.ports import KeyName
from sceau.keys.scoped import KeyOperation
from sceau.objects.scoped import StoreOperation
from sceau_schemas.configuration import Client, ClientKind, StoredClient, StoredIssuer, TrustedIssuer
from unit.identity.identity_world import CLIENTS, LABORATORY, World, client, key_of

PINNED_CLIENT = (
    '{"format":1,"client":{"client_id":"laboratory","name":"SIL","kind":"software","keys":[{"kty":"EC","kid":"1"}],'
    '"structures":[{"system":"urn:oid:1.2.250.1.71.4.2.2","value":"1000000101"}],"scopes":["system/DocumentReference.cs"],'
    '"grants":["client_credentials"],"azp":[],"enabled":true}}'
)
PINNED_ISSUER = (
    '{"format":1,"issuer":{"name":"psc","kind":"prosanteconnect","issuer":"https://auth.example/realm",'
    '"jwks_url":"https://auth.example/realm/certs","userinfo_url":"https://auth.example/realm/userinfo",'
    '"introspection":{"url":"https://auth.example/realm/introspect","user":"sceau","password":"secret"},'
    '"algorithms":["RS256"],"acr":["eidas3"],"max_age_seconds":120,"audience":null,"ca_bundle":null,"enabled":true}}'
)


def test_the_formats_at_rest_are_frozen() -> None:
    assert StoredClient.model_validate_json(PINNED_CLIENT).model_dump_json() == PINNED_CLIENT
    assert StoredIssuer.model_validate_json(PINNED_ISSUER).model_dump_json() == PINNED_ISSUER
    assert StoredClient(client=None).model_dump_json() == '{"format":1,"client":null}'
    for changed in (PINNED_CLIENT.replace('"format":1', '"format":2'), PINNED_CLIENT.replace('"azp"', '"asp"')):
        with pytest.raises(ValidationError):
            StoredClient.model_validate_json(changed)


def test_the_password_of_introspection_is_not_shown() -> None:
    issuer = StoredIssuer.model_validate_json(PINNED_ISSUER)
    assert "secret" not in repr(issuer)


def test_clients_are_put_listed_and_removed(world: World) -> None:
    assert [one.client_id for one in world.clients.list()] == sorted(one.client_id for one in CLIENTS)
    assert world.clients.get("laboratory") == CLIENTS[0]
    assert world.clients.remove("laboratory")
    assert world.clients.get("laboratory") is None
    assert not world.clients.remove("laboratory")
    assert not world.clients.remove("nobody")
    assert "laboratory" not in [one.client_id for one in world.clients.list()]
    assert world.store.count(StoreOperation.DELETE) == 0
    world.clients.put(CLIENTS[0])
    assert world.clients.get("laboratory") == CLIENTS[0]


def test_issuers_are_put_listed_and_removed(world: World) -> None:
    professionals, patients = sorted(world.issuers.list(), key=lambda one: one.name, reverse=True)
    assert (professionals.kind, patients.kind) == ("prosanteconnect", "patient")
    assert world.issuers.remove(patients.name)
    assert world.issuers.list() == [professionals]
    assert not world.issuers.remove(patients.name)
    with pytest.raises(IssuerRefused):
        world.issuers.put(professionals.model_copy(update={"name": "another"}))
    assert world.issuers.list() == [professionals]


def test_two_operators_at_once_do_not_overwrite_each_other(world: World) -> None:
    objects = SealedObjects(world.store, world.envelope, StoredClient, "clients")
    found = objects.read("laboratory")
    assert found is not None
    world.clients.put(CLIENTS[0].model_copy(update={"name": "first"}))
    with pytest.raises(ConfigurationChanged):
        objects.write("laboratory", StoredClient(client=None), expected=found[1])
    with pytest.raises(ConfigurationChanged):
        objects.write("laboratory", StoredClient(client=None), expected=None)
    kept = world.clients.get("laboratory")
    assert kept is not None
    assert kept.name == "first"


def test_what_rests_is_sealed_and_its_name_is_bound(world: World) -> None:
    sealed = world.store.inner.read("configuration/clients/laboratory")
    assert b"Logiciel" not in sealed.data
    other = world.store.inner.read("configuration/clients/insurer")
    world.store.inner.replace("configuration/clients/laboratory", other.data, expected=sealed.tag)
    with pytest.raises(ConfigurationDamaged):
        world.clients.get("laboratory")


@pytest.mark.parametrize(
    "plaintext",
    [b"", b"{}", b'{"format":2,"client":null}', PINNED_CLIENT.replace("laboratory", "another").encode()],
)
def test_a_client_object_that_is_not_what_it_must_be_grants_nothing(world: World, plaintext: bytes) -> None:
    name = "configuration/clients/laboratory"
    sealed = world.envelope.seal(KeyName.CONFIGURATION, plaintext, contexts.configuration(name))
    world.store.inner.replace(name, sealed, expected=world.store.inner.read(name).tag)
    with pytest.raises(ConfigurationDamaged):
        world.clients.get("laboratory")


@pytest.mark.parametrize("operation", [StoreOperation.READ, StoreOperation.LIST, StoreOperation.REPLACE])
@pytest.mark.parametrize("fault", Fault)
def test_store_failures_are_told(world: World, operation: StoreOperation, fault: Fault) -> None:
    world.store.faults = on(operation, fault=fault)
    with pytest.raises(Unavailable):
        world.clients.list()
        world.clients.put(CLIENTS[0])


@pytest.mark.parametrize("operation", [KeyOperation.UNWRAP, KeyOperation.WRAP])
def test_key_service_failures_are_told(world: World, operation: KeyOperation) -> None:
    world.keys.fails = key_on(operation)
    with pytest.raises(Unavailable):
        world.clients.put(CLIENTS[0])


def test_a_directory_reads_a_client_once_a_minute(world: World) -> None:
    directory = ClientDirectory(world.clients)
    before = world.store.count(StoreOperation.READ)
    for _ in range(3):
        known = directory.get("laboratory", world.clock())
    assert known is not None
    assert known.actor_kind is ActorKind.SOFTWARE
    assert world.store.count(StoreOperation.READ) == before + 1
    world.clients.put(CLIENTS[0].model_copy(update={"enabled": False}))
    assert directory.get("laboratory", world.clock() + timedelta(seconds=59)) is not None
    assert directory.get("laboratory", world.clock() + timedelta(seconds=60)) is None


def test_when_a_cached_client_is_too_old_and_the_store_is_down_nobody_is_let_in(world: World) -> None:
    directory = ClientDirectory(world.clients)
    directory.get("laboratory", world.clock())
    world.store.faults = on(StoreOperation.READ)
    assert directory.get("laboratory", world.clock()) is not None
    with pytest.raises(Unavailable):
        directory.get("laboratory", world.clock() + timedelta(seconds=60))


def test_a_new_client_can_start_at_once(world: World) -> None:
    directory = ClientDirectory(world.clients)
    assert directory.get("newcomer", world.clock()) is None
    world.clients.put(client("newcomer", ClientKind.SOFTWARE, "system/*.c", structures=(LABORATORY,)))
    assert directory.get("newcomer", world.clock()) is not None


def test_disabled_and_removed_issuers_are_not_trusted(world: World) -> None:
    professionals = next(one for one in world.issuers.list() if one.kind == "prosanteconnect")
    assert IssuerDirectory(world.issuers).by_address(professionals.issuer, world.clock()) == professionals
    world.issuers.put(professionals.model_copy(update={"enabled": False}))
    assert IssuerDirectory(world.issuers).by_address(professionals.issuer, world.clock()) is None
    assert IssuerDirectory(world.issuers).by_address(None, world.clock()) is None


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"client_id": "../x"}, id="id that is no object name"),
        pytest.param({"client_id": "A"}, id="capitals"),
        pytest.param({"keys": ()}, id="no key"),
        pytest.param({"keys": (key_of("x").private_jwk() | {"kid": "1"},)}, id="private key"),
        pytest.param({"keys": (key_of("x").public_jwk(),)}, id="key without id"),
        pytest.param({"keys": (key_of("x").registered_jwk(),) * 2}, id="one id twice"),
        pytest.param({"scopes": ()}, id="no scope"),
        pytest.param({"scopes": ("user/Patient.rs",)}, id="scope of another level"),
        pytest.param({"grants": ("urn:ietf:params:oauth:grant-type:token-exchange",)}, id="grant of another kind"),
        pytest.param({"grants": ("password",)}, id="unknown grant"),
        pytest.param({"structures": ()}, id="no structure"),
        pytest.param({"azp": ("rp",)}, id="relying parties without exchange"),
        pytest.param({"kind": "administrator"}, id="unknown kind"),
        pytest.param({"secret": "x"}, id="a member that we don't know"),
    ],
)
def test_a_client_that_contradicts_its_kind_can_not_be_made(change: dict[str, Any]) -> None:
    good = json.loads(CLIENTS[0].model_dump_json())
    Client.model_validate_json(json.dumps(good))
    with pytest.raises(ValidationError):
        Client.model_validate_json(json.dumps(good | change, default=str))


@pytest.mark.parametrize(
    "refused",
    [
        client("x", ClientKind.SOFTWARE, "system/documents", structures=(LABORATORY,)),
        client("x", ClientKind.OPERATIONS, "ops/DocumentReference.r"),
        client("x", ClientKind.OPERATIONS, "ops/*.r"),
        client("x", ClientKind.SOFTWARE, "system/*.c", structures=(LABORATORY.model_copy(update={"value": "a b"}),)),
        CLIENTS[0].model_copy(update={"client_id": "x", "keys": ({"kty": "oct", "kid": "1"},)}),
    ],
)
def test_a_client_that_could_not_be_used_safely_is_not_registered(world: World, refused: Client) -> None:
    with pytest.raises(ClientRefused):
        world.clients.put(refused)
    assert world.clients.get("x") is None
    with pytest.raises(ClientRefused):
        known_client(refused)


@pytest.mark.parametrize(
    "change",
    [
        {"introspection": None},
        {"userinfo_url": None},
        {"kind": "patient"},
        {"issuer": "http://auth.example/realm"},
        {"jwks_url": "https://auth.example/certs?x=1"},
        {"algorithms": []},
        {"algorithms": ["HS256"]},
        {"algorithms": ["none"]},
        {"acr": []},
        {"max_age_seconds": 3600},
        {"name": "a/b"},
    ],
)
def test_an_issuer_that_could_not_be_trusted_can_not_be_made(change: dict[str, Any]) -> None:
    good = json.loads(PINNED_ISSUER)["issuer"]
    TrustedIssuer.model_validate_json(json.dumps(good))
    with pytest.raises(ValidationError):
        TrustedIssuer.model_validate_json(json.dumps(good | change))


def test_stores_see_only_their_own_folder(world: World) -> None:
    assert {type(one) for one in IssuerStore(world.store, world.envelope).list()} == {TrustedIssuer}
    assert {type(one) for one in ClientStore(world.store, world.envelope).list()} == {Client}
