"""`make plan` of a stage on servers of its own: what will be started, and which secret is missing for it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from fixtures import hosted
from iac.container_host.compose import compose_file
from iac.container_host.secrets import PAGE, files, missing
from iac.plan import main
from sceau_schemas.deployment import Chalicefile, parse_chalicefile

STAGE = "own"
FRONT = "f" * 40
KEYS = "7d2cf1a0-6f3e-4a57-9b1c-1f2d3a4b5c6d"
HSM = {
    "adapter": "pkcs11",
    "module": "/opt/vendor/libpkcs11.so",
    "token": "hospital",
    "prefix": "dmp",
    "pin_file": "/run/secrets/hsm_pin",
}


def data(**changes: Any) -> dict[str, Any]:
    """A chalicefile with a stage on servers of a hospital, keys on its HSM."""
    file = hosted.data()
    own = {name: value for name, value in file["stages"][hosted.SCALEWAY].items() if name != "infrastructure"}
    own |= {
        "host": "container",
        "region": "fr-rennes",
        "premises": {"owner": "Hôpital", "address": "1 rue X, 35000 Rennes", "servers": ["s3.hopital.example"]},
        "key_service": HSM,
        **changes,
    }
    file["stages"] = {STAGE: own}
    return file


@pytest.fixture
def file() -> Chalicefile:
    return parse_chalicefile(data())


@pytest.fixture
def folder(tmp_path: Path, file: Chalicefile) -> Path:
    """The folder of secrets, whole."""
    made = tmp_path / "secrets"
    made.mkdir()
    certificate, key = pair()
    held = {
        "front_secret": FRONT,
        "front.env": f"# the front's\nSCEAU_FRONT_SECRET={FRONT}\n",
        "tls_certificate.pem": certificate,
        "tls_key.pem": key,
    }
    for name in functions(file):
        held[f"{name}.env"] = f"AWS_ACCESS_KEY_ID=key-of-{name}\nAWS_SECRET_ACCESS_KEY=secret-of-{name}\n"
        held[f"{name}.hsm_pin"] = "123456"
    for name, text in held.items():
        put(made, name, text)
    return made


def functions(file: Chalicefile) -> list[str]:
    return list(file.deployed(file.stages[STAGE]))


def put(folder: Path, name: str, text: str, mode: int = 0o400) -> None:
    (folder / name).unlink(missing_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(mode)


def pair() -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dmp.example.fr")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + datetime.timedelta(days=90))
    text = made.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()
    return text, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def sentences(folder: Path, file: Chalicefile) -> list[str]:
    spec = file.stages[STAGE]
    return list(missing(STAGE, file.deployed(spec), spec, folder))


def test_where_all_are_there_none_is_missing(folder: Path, file: Chalicefile) -> None:
    assert sentences(folder, file) == []
    assert {one.name for one in files(file.deployed(file.stages[STAGE]), file.stages[STAGE])} == {
        path.name for path in folder.iterdir()
    }


def test_each_file_is_missed_alone_and_by_its_name(folder: Path, file: Chalicefile) -> None:
    for one in files(file.deployed(file.stages[STAGE]), file.stages[STAGE]):
        text = (folder / one.name).read_text()
        (folder / one.name).unlink()
        [sentence] = sentences(folder, file)
        assert sentence == (
            f"stage {STAGE}: {one.what} is missing: {one.made} makes {one.name} in the folder of secrets ({PAGE})"
        )
        put(folder, one.name, text, 0o440)
        [sentence] = sentences(folder, file)
        assert "can be read by others than its owner" in sentence
        put(folder, one.name, "")
        assert any(one.what in said for said in sentences(folder, file)), "an empty file is no secret"
        put(folder, one.name, text)


WRONG: dict[str, tuple[str, str, str]] = {
    "a short front secret": ("front_secret", "f" * 31, "is not one secret, or two, of 32 to 256 characters"),
    "three front secrets": ("front_secret", f"{FRONT} {'g' * 40} {'h' * 40}", "is not one secret, or two"),
    "another front's secret": ("front.env", f"SCEAU_FRONT_SECRET={'g' * 40}", "hold different secrets"),
    "no certificate": ("tls_certificate.pem", "x", "is no certificate"),
    "another certificate's key": ("tls_key.pem", pair()[1], "is not the key of tls_certificate.pem"),
    "half of the credentials": ("ingest.env", "AWS_ACCESS_KEY_ID=x", "do not set AWS_SECRET_ACCESS_KEY"),
    "another function's credentials": (
        "ingest.env",
        "AWS_ACCESS_KEY_ID=key-of-consent\nAWS_SECRET_ACCESS_KEY=x",
        "have the same credentials: each has its own",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_such_secret_is_told(name: str, folder: Path, file: Chalicefile) -> None:
    which, text, said = WRONG[name]
    put(folder, which, text)
    [sentence] = sentences(folder, file)
    assert said in sentence
    assert FRONT not in sentence
    assert "key-of" not in sentence


def test_while_the_front_s_secret_is_replaced_both_are_right(folder: Path, file: Chalicefile) -> None:
    put(folder, "front_secret", f"{'g' * 40}\n{FRONT}\n")
    assert sentences(folder, file) == []


def test_key_manager_s_secret_is_looked_for_where_the_stage_has_its_keys_there(folder: Path) -> None:
    listed = {name: [KEYS.replace("7d2c", f"{number:04d}")] for number, name in enumerate(NAMES)}
    keys = {"adapter": "scaleway", "region": "fr-par", "keys": listed}
    for service in (keys, {"adapter": "custody", "first": keys, "second": HSM}):
        said = sentences(folder, parse_chalicefile(data(key_service=service)))
        assert said
        assert all("do not set SCEAU_SCALEWAY_SECRET_KEY" in one for one in said)


NAMES = ("dossier", "content", "journal", "configuration", "pseudonym", "log", "probe", "tokens", "checkpoints")


def test_the_compose_file_gives_each_function_its_own_pin_and_the_vendor_s_library(file: Chalicefile) -> None:
    spec = file.stages[STAGE]
    lines = compose_file(STAGE, f"sha256:{'ab' * 32}", file.deployed(spec), spec).splitlines()
    whole = json.loads("\n".join(line for line in lines if not line.startswith("#")))
    for name in functions(file):
        service = whole["services"][name]
        assert {"source": f"{name}.hsm_pin", "target": "hsm_pin"} in service["secrets"]
        assert service["volumes"] == ["${SCEAU_HSM:?the folder of the HSM vendor's library}:/opt/vendor:ro"]
        assert whole["secrets"][f"{name}.hsm_pin"] == {"file": f"./secrets/{name}.hsm_pin"}
    assert "hsm" not in json.dumps(whole["services"]["front"])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Path]:
    """A project's folder with the stage, packaged; `make plan` finds its secrets."""
    text = json_to_toml(data())
    (tmp_path / "chalicefile").write_text(text, "utf-8")
    manifest = tmp_path / "build" / "package" / STAGE / "manifest.json"
    manifest.parent.mkdir(parents=True)
    artefact = {"name": "image", "digest": hosted.DIGEST, "sha256": "ab" * 32}
    manifest.write_text(json.dumps({"format": 1, "stage": STAGE, "artefacts": [artefact]}))
    monkeypatch.setattr("iac.plan.missing", lambda *_: iter(()))  # test_missing_secrets.py has the package's signature
    monkeypatch.setenv("SCEAU_SECRETS", str(folder))
    yield tmp_path


def json_to_toml(value: dict[str, Any], name: str = "") -> str:
    own = [f"{json.dumps(key)} = {json.dumps(one)}" for key, one in value.items() if not isinstance(one, dict)]
    parts = [
        json_to_toml(one, f"{name}.{json.dumps(key)}".strip(".")) for key, one in value.items() if isinstance(one, dict)
    ]
    return "\n".join([f"[{name}]" if name else "", *own, *parts]) + "\n"


def plan(root: Path) -> int:
    return main(["--root", str(root), "--stage", STAGE])


def test_make_plan_says_what_is_started(root: Path, file: Chalicefile, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(root) == 0
    told = capsys.readouterr()
    assert hosted.DIGEST in told.out
    assert all(name in told.out for name in functions(file))
    assert "rewrap" not in told.out
    assert "every secret is there" in told.out
    assert told.err == ""


Spoil = Callable[[Path, Path, pytest.MonkeyPatch], object]


def two_gone(_root: Path, folder: Path, _patch: pytest.MonkeyPatch) -> None:
    (folder / "tls_key.pem").unlink()
    (folder / "ingest.hsm_pin").unlink()


STOPS: dict[str, tuple[Spoil, str]] = {
    "no folder": (lambda _, __, patch: patch.delenv("SCEAU_SECRETS"), "the folder of its secrets is missing: SCEAU_"),
    "a file of it": (lambda _, folder, __: (folder / "ingest.hsm_pin").unlink(), "the PIN of ingest is missing"),
    "two files of it": (two_gone, "the key of the front's certificate is missing"),
    "no package": (
        lambda root, _, __: (root / "build" / "package" / STAGE / "manifest.json").unlink(),
        "stage own is not packaged",
    ),
}


@pytest.mark.parametrize("name", STOPS)
def test_make_plan_ends_with_one_sentence(
    name: str, root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, said = STOPS[name]
    spoil(root, folder, monkeypatch)
    assert plan(root) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("sceau: stage own")
    assert said in line
