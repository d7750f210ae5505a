"""Key services in the chalicefile: what is accepted, what is refused by name, and which adapter a stage gets of it."""

from __future__ import annotations

import copy
import tomllib
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from fakes.softhsm import soft_token
from sceau.keys.aws_kms import AwsKmsKeyService
from sceau.keys.custody import CustodyKeyService
from sceau.keys.errors import KeyServiceNotUsable
from sceau.keys.pkcs11 import Pkcs11KeyService
from sceau.keys.ports import SIGNING_KEYS, KeyName
from sceau.keys.scaleway import ScalewayKeyService
from sceau.keys.scaleway_http import SECRET_KEY_VARIABLE, read_secret_key
from sceau.stage import Settings, Stage, load_stage, moved
from sceau_schemas.deployment import ChalicefileError, StageSpec, parse_chalicefile
from sceau_schemas.key_services import CustodyKeysSpec, KeyNameText, LocalKeysSpec, Pkcs11KeysSpec

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "arn:aws:kms:eu-west-3:111122223333:key/"
SECRET = "6f3b2a10-5c1d-4e8f-9a7b-1c2d3e4f5a6b"

Edit = Callable[[dict[str, Any]], object]


def an_id(number: int) -> str:
    return str(uuid.UUID(int=number, version=4))


def kms(**changes: Any) -> dict[str, Any]:
    keys = {key.value: [ACCOUNT + an_id(number)] for number, key in enumerate(KeyName, 1)}
    return {"adapter": "aws_kms", "region": "eu-west-3", "keys": keys} | changes


def key_manager(**changes: Any) -> dict[str, Any]:
    keys = {key.value: [an_id(number)] for number, key in enumerate(KeyName, 1)}
    return {"adapter": "scaleway", "region": "fr-par", "keys": keys} | changes


def hsm(**changes: Any) -> dict[str, Any]:
    given = {"adapter": "pkcs11", "module": "/usr/lib/vendor.so", "token": "sceau", "prefix": "prod", "pin_file": "pin"}
    whole = given | changes
    return {name: value for name, value in whole.items() if value is not None}


def custody(**changes: Any) -> dict[str, Any]:
    return {"adapter": "custody", "first": key_manager(), "second": hsm()} | changes


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    return tomllib.loads((ROOT / "chalicefile").read_text("utf-8"))


def spec_of(data: dict[str, Any], service: dict[str, Any], **stage: Any) -> StageSpec:
    file = copy.deepcopy(data)
    file["stages"]["local"]["key_service"] = service
    file["stages"]["local"].update(stage)
    return parse_chalicefile(file).stages["local"]


def test_the_names_of_keys_are_those_of_the_port() -> None:
    assert set(get_args(KeyNameText)) == {key.value for key in KeyName}


@pytest.mark.parametrize("service", [kms(), key_manager(), hsm(), custody()], ids=lambda one: str(one["adapter"]))
def test_each_service_is_accepted_with_what_it_needs(service: dict[str, Any], data: dict[str, Any]) -> None:
    assert spec_of(data, service).key_service.adapter == service["adapter"]


def without(service: dict[str, Any], key: str) -> dict[str, Any]:
    return service | {"keys": {name: value for name, value in service["keys"].items() if name != key}}


def with_keys(service: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return service | {"keys": service["keys"] | keys}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "keys in Ireland": (kms(region="eu-west-1"), "keys of aws are accepted on French soil only: eu-west-3"),
    "a key of another region": (
        with_keys(kms(), content=[f"arn:aws:kms:eu-west-1:111122223333:key/{an_id(99)}"]),
        "a key of content is not in eu-west-3",
    ),
    "an alias": (with_keys(kms(), content=["arn:aws:kms:eu-west-3:111122223333:alias/x"]), "a KMS key reads like"),
    "a key id without its ARN": (with_keys(kms(), content=[an_id(99)]), "a KMS key reads like"),
    "a multi-Region key": (
        with_keys(kms(), content=[f"{ACCOUNT}mrk-{uuid.UUID(int=9).hex}"]),
        "its replicas may be anywhere",
    ),
    "a purpose without a key": (without(kms(), "journal"), "missing: journal"),
    "a purpose without versions": (with_keys(kms(), journal=[]), "at least 1 item"),
    "a purpose that nobody knows": (with_keys(kms(), x=[ACCOUNT + an_id(99)]), "keys.x"),
    "one key for two purposes": (with_keys(kms(), journal=[ACCOUNT + an_id(1)]), "a key stands twice"),
    "one key twice in a purpose": (with_keys(kms(), journal=[ACCOUNT + an_id(99)] * 2), "a key stands twice"),
    "Key Manager in Amsterdam": (key_manager(region="nl-ams"), "keys of scaleway are accepted on French soil only"),
    "a purpose without a key of Key Manager": (without(key_manager(), "tokens"), "missing: tokens"),
    "an id that is none": (with_keys(key_manager(), content=["x"]), "valid UUID"),
    "one id for two purposes": (with_keys(key_manager(), journal=[an_id(1)]), "a key stands twice"),
    "a secret in the file": (key_manager(secret_key=SECRET), "no such key is known here"),
    "no PIN": (hsm(pin_file=None), "give one of the two"),
    "two PINs": (hsm(pin_descriptor=3), "give one of the two"),
    "a PIN in the file": (hsm(pin="123456"), "no such key is known here"),
    "standard input as the PIN": (hsm(pin_file=None, pin_descriptor=0), "pin_descriptor"),
    "a label that no token has": (hsm(token="x" * 33), "token"),
    "a prefix with a colon": (hsm(prefix="a:b"), "prefix"),
    "custody of one service twice": (custody(second=key_manager()), "the two services are the same one"),
    "custody of a signing key": (custody(purposes=["tokens"]), "a signing key is of one service"),
    "custody of nothing": (custody(purposes=[]), "purposes"),
    "custody in custody": (custody(second=custody()), "'local', 'pkcs11', 'aws_kms', 'scaleway'"),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_can_not_be_right_is_refused_in_a_sentence(name: str, data: dict[str, Any]) -> None:
    service, said = REFUSED[name]
    with pytest.raises(ChalicefileError) as refused:
        spec_of(data, service)
    assert said in str(refused.value)
    assert "stages.local.key_service" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert SECRET not in str(refused.value)
    assert "123456" not in str(refused.value)


def test_custody_is_of_contents_and_dossiers_unless_told_otherwise(data: dict[str, Any]) -> None:
    spec = spec_of(data, custody()).key_service
    assert isinstance(spec, CustodyKeysSpec)
    assert (spec.purposes, spec.single) == (("content", "dossier"), False)


# What a stage builds of it.


def stage_of(data: dict[str, Any], service: dict[str, Any], base: Path) -> Stage:
    file = copy.deepcopy(data)
    file["stages"]["local"]["key_service"] = service
    parsed = parse_chalicefile(file)
    return Stage("local", parsed, parsed.stages["local"], base)


def test_kms_is_built_without_asking_it(data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    assert isinstance(stage_of(data, kms(), tmp_path).keys(), AwsKmsKeyService)


def test_key_manager_takes_its_secret_from_the_environment_or_a_file(
    data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SECRET_KEY_VARIABLE, raising=False)
    with pytest.raises(KeyServiceNotUsable, match=f"{SECRET_KEY_VARIABLE} does not hold the secret key"):
        stage_of(data, key_manager(), tmp_path).keys()
    monkeypatch.setenv(SECRET_KEY_VARIABLE, SECRET)
    assert isinstance(stage_of(data, key_manager(), tmp_path).keys(), ScalewayKeyService)
    (tmp_path / "secret").write_text(SECRET + "\n")
    monkeypatch.delenv(SECRET_KEY_VARIABLE)
    assert isinstance(stage_of(data, key_manager(secret_key_file="secret"), tmp_path).keys(), ScalewayKeyService)


@pytest.mark.parametrize("content", [b"", b"\xff", b"not-a-uuid", SECRET.encode() + b" x"])
def test_a_secret_key_that_is_none_is_told_and_not_quoted(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(KeyServiceNotUsable) as told:
        read_secret_key(tmp_path / "secret", {})
    assert "secret key of Scaleway" in str(told.value)
    assert "not-a-uuid" not in str(told.value)
    assert SECRET not in str(told.value)


def test_a_secret_key_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyServiceNotUsable, match="secret can't be read: No such file"):
        read_secret_key(tmp_path / "secret", {})


def test_a_token_is_found_by_paths_beside_the_chalicefile(
    data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soft = soft_token()
    (tmp_path / "pin").touch(mode=0o600)
    (tmp_path / "pin").write_text(soft.pin_file.read_text())
    service = hsm(module=str(soft.module), token=soft.label, pin_file="pin")
    assert isinstance(stage_of(data, service, tmp_path).keys(), Pkcs11KeyService)
    (tmp_path / "pin").unlink()
    with pytest.raises(KeyServiceNotUsable, match="no token labelled nobody"):
        stage_of(data, service | {"token": "nobody"}, tmp_path).keys()


def test_custody_is_built_of_its_two(data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET_KEY_VARIABLE, SECRET)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    service = custody(first=key_manager(), second=kms(), purposes=["content"])
    assert isinstance(stage_of(data, service, tmp_path).keys(), CustodyKeyService)


def test_a_stage_that_moves_takes_the_files_of_both_services_along(data: dict[str, Any], tmp_path: Path) -> None:
    first = {"adapter": "local", "file": ".local/keys.json"}
    second = hsm(pin_file=".local/softhsm/pin", softhsm_configuration=".local/softhsm/softhsm2.conf")
    spec = moved(spec_of(data, custody(first=first, second=second)), tmp_path).key_service
    assert isinstance(spec, CustodyKeysSpec)
    assert isinstance(spec.first, LocalKeysSpec)
    assert isinstance(spec.second, Pkcs11KeysSpec)
    assert spec.first.file == tmp_path / "keys.json"
    assert spec.second.pin_file == tmp_path / "softhsm" / "pin"
    assert spec.second.module == Path("/usr/lib/vendor.so")


def test_the_environment_can_say_where_the_vendor_s_module_is(tmp_path: Path) -> None:
    text = (ROOT / "chalicefile").read_text("utf-8")
    begin = text.index("[stages.local.key_service]")
    service = '[stages.local.key_service]\nadapter = "pkcs11"\nmodule = "/x.so"\ntoken = "t"\nprefix = "p"\n'
    service += 'pin_file = "pin"\n'
    following = text.index("\n[", begin + 1) if "\n[" in text[begin + 1 :] else len(text)
    (tmp_path / "chalicefile").write_text(text[:begin] + service + text[following:], "utf-8")
    environ = {
        "SCEAU_CHALICEFILE": str(tmp_path / "chalicefile"),
        "SCEAU_STAGE": "local",
        "SCEAU_STAGE__KEY_SERVICE__MODULE": "/opt/vendor.so",
    }
    spec = load_stage(Settings.from_environ(environ)).spec.key_service
    assert isinstance(spec, Pkcs11KeysSpec)
    assert spec.module == Path("/opt/vendor.so")


def test_the_signing_keys_are_known_to_the_settings(data: dict[str, Any]) -> None:
    for key in SIGNING_KEYS:
        with pytest.raises(ChalicefileError, match="a signing key is of one service"):
            spec_of(data, custody(purposes=[key.value]))
