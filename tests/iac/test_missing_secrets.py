"""A missing secret stops `make plan`, or `make deploy`, with one sentence: its name, and where it is to be put."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pydantic import BaseModel

from fixtures import hosted
from iac.packaging import signing
from iac.packaging.tree import File, Tree
from iac.plan import main
from iac.secrets import SECRETS, Around, Secret, Step, missing, unreachable
from sceau_schemas.deployment import StageSpec, parse_chalicefile

ROOT = hosted.ROOT
SECRET = "5e0c7a58-6f3e-4a57-9b1c-1f2d3a4b5c6d"


@dataclass
class Desk:
    """Who plans: a folder of the project, a home folder, an environment. All that a stage needs is there."""

    root: Path
    stage: str
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def package(self) -> Path:
        return self.root / "build" / "package" / self.stage

    @property
    def profiles(self) -> Path:
        return self.home / ".config" / "scw" / "config.yaml"

    def around(self) -> Around:
        file = parse_chalicefile(hosted.data())
        return Around(self.stage, file.stages[self.stage], self.package, self.environ)


def desk_of(root: Path, stage: str) -> Desk:
    desk = Desk(hosted.write_root(root, stage), stage)
    signer = ec.generate_private_key(ec.SECP256R1())
    key, public = root / "signing.pem", root / "verifying.pem"
    key.write_bytes(signer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(signer.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    files: Tree = {path.name: File(path.read_bytes()) for path in desk.package.iterdir()}
    (desk.package / signing.DIGESTS).write_bytes(signing.digest_list(files))
    signing.sign(desk.package, key, None)
    desk.profiles.parent.mkdir(parents=True)
    desk.profiles.write_text(f"profiles:\n  journal: {{access_key: SCWJOURNAL, secret_key: {SECRET}}}\n")
    (desk.home / ".aws").mkdir()
    (desk.home / ".aws" / "config").write_text(
        f"[default]\nsso_session = x\n[profile journal]\nrole_arn = {hosted.aws_settings().journal_administrator}\n"
    )
    desk.environ = {"HOME": str(desk.home), "SCEAU_VERIFYING_KEY": str(public), "SCEAU_JOURNAL_PROFILE": "journal"}
    if stage == hosted.SCALEWAY:
        both = {"ACCESS_KEY": "SCWDEPLOYER", "SECRET_KEY": SECRET}
        desk.environ |= {f"SCW_{name}": value for name, value in both.items()}
        desk.environ |= {"AWS_ACCESS_KEY_ID": "SCWDEPLOYER", "AWS_SECRET_ACCESS_KEY": SECRET}
    return desk


Spoil = Callable[[Desk], object]


def unset(*names: str) -> Spoil:
    return lambda desk: [desk.environ.pop(name) for name in names]


def journal_profile(text: str) -> Spoil:
    return lambda desk: desk.profiles.write_text(text)


def another_package(desk: Desk) -> None:
    manifest = desk.package / "manifest.json"
    manifest.write_text(manifest.read_text().replace("ab", "cd"))


def a_token(content: str) -> Spoil:
    def spoil(desk: Desk) -> None:
        token = desk.root / "token"
        token.write_text(content)
        desk.environ |= {"AWS_ROLE_ARN": hosted.aws_settings().deployer, "AWS_WEB_IDENTITY_TOKEN_FILE": str(token)}

    return spoil


CASES: dict[str, dict[Spoil, str]] = {
    "the package's signature": {lambda desk: (desk.package / signing.SIGNATURE).unlink(): "is missing"},
    "the public key of who signs packages": {
        unset("SCEAU_VERIFYING_KEY"): "is missing",
        lambda desk: Path(desk.environ["SCEAU_VERIFYING_KEY"]).unlink(): "is not where it is said to be",
        another_package: "does not accept the package (manifest.json is not what the digest list says)",
    },
    "the deployer's API key": {
        unset("SCW_ACCESS_KEY", "SCW_SECRET_KEY"): "is missing",
        unset("SCW_ACCESS_KEY"): "is there by half",
        unset("SCW_SECRET_KEY"): "is there by half",
    },
    "the journal administrator's API key": {
        lambda desk: desk.profiles.unlink(): "is missing",
        journal_profile("profiles: {another: {access_key: x, secret_key: x}}"): "is missing",
        journal_profile("profiles: {journal: {access_key: x}}"): "is there by half",
        journal_profile("profiles: {journal: {access_key: SCWDEPLOYER, secret_key: x}}"): "is the deployer's",
        journal_profile("profiles: ["): "can't be read from config.yaml (it is no YAML)",
        journal_profile("profiles: [x]"): "can't be read from config.yaml (its profiles are no table)",
    },
    "the key of the state's bucket": {
        unset("AWS_ACCESS_KEY_ID"): "is there by half",
        unset("AWS_SECRET_ACCESS_KEY"): "is there by half",
        lambda desk: [
            unset("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")(desk),
            desk.environ.update(AWS_PROFILE="x"),
        ]: ("is missing"),
    },
    "the deployer's access": {
        lambda desk: (desk.home / ".aws" / "config").write_text("[profile journal]\nrole_arn = x\n"): "is missing",
        lambda desk: desk.environ.update(AWS_ACCESS_KEY_ID="x"): "is there by half",
        a_token(""): "has no token in its file",
    },
    "the journal administrator's access": {
        unset("SCEAU_JOURNAL_PROFILE"): "is missing",
        lambda desk: desk.environ.update(SCEAU_JOURNAL_PROFILE="x"): "is in no profile of that name",
    },
}
"""Of each secret, the ways in which it may be missing."""

WAYS = [
    pytest.param(one, spoil, said, id=f"{one.name}: {said} ({number})")
    for one in SECRETS
    for number, (spoil, said) in enumerate(CASES.get(one.name, {}).items())
]


def test_every_secret_is_tried() -> None:
    assert set(CASES) == {one.name for one in SECRETS}


@pytest.mark.parametrize("stage", [hosted.AWS, hosted.SCALEWAY])
def test_where_all_are_there_none_is_missing(stage: str, tmp_path: Path) -> None:
    assert list(missing(desk_of(tmp_path, stage).around(), Step.APPLY)) == []


@pytest.mark.parametrize(("one", "spoil", "said"), WAYS)
def test_one_that_is_missing_is_told_alone(one: Secret, spoil: Spoil, said: str, tmp_path: Path) -> None:
    desk = desk_of(tmp_path, hosted.SCALEWAY if one.host == "scaleway" else hosted.AWS)
    spoil(desk)
    [sentence, *others] = missing(desk.around(), Step.APPLY)
    assert (sentence, others) == (
        f"stage {desk.stage}: {one.name} {said}: {one.put.format(stage=desk.stage)}",
        [],
    )
    assert SECRET not in sentence
    assert "SCWDEPLOYER" not in sentence
    planned = list(missing(desk.around(), Step.PLAN))
    assert planned == ([sentence] if one.step is Step.PLAN else []), "asked for when it is needed, not before"


@pytest.mark.parametrize(
    ("one", "spoil", "said"),
    [way for way in WAYS if isinstance(way.values[0], Secret) and way.values[0].step is Step.PLAN],
)
def test_make_plan_ends_with_that_sentence(
    one: Secret,
    spoil: Spoil,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    desk = desk_of(tmp_path, hosted.SCALEWAY if one.host == "scaleway" else hosted.AWS)
    spoil(desk)
    for name in ("SCW_ACCESS_KEY", "SCW_SECRET_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in desk.environ.items():
        monkeypatch.setenv(name, value)
    if "SCEAU_VERIFYING_KEY" not in desk.environ:
        monkeypatch.delenv("SCEAU_VERIFYING_KEY", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))  # it must end before Terraform is looked for
    assert main(["--root", str(desk.root), "--stage", desk.stage]) == 1
    told = capsys.readouterr().err
    assert told == f"sceau: stage {desk.stage}: {one.name} {said}: {one.put.format(stage=desk.stage)}\n"
    assert not list((desk.root / "build" / "iac" / desk.stage).iterdir()), "nothing was planned"


def test_with_all_of_them_a_stage_on_aws_is_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = desk_of(tmp_path, hosted.AWS)
    monkeypatch.setenv("SCEAU_VERIFYING_KEY", desk.environ["SCEAU_VERIFYING_KEY"])
    assert main(["--root", str(desk.root), "--stage", desk.stage]) == 0
    assert capsys.readouterr().err == ""


def test_an_identity_of_the_job_or_of_the_machine_is_access(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, hosted.AWS)
    (desk.home / ".aws" / "config").write_text("[profile journal]\nrole_arn = x\n")
    a_token("eyJ")(desk)
    assert list(missing(desk.around(), Step.APPLY)) == []
    unset("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE")(desk)
    desk.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://169.254.170.2/x"
    assert list(missing(desk.around(), Step.APPLY)) == []


NOT_AT_PLAN = {
    "SCEAU_SIGNING_KEY_PASSWORD": "the signing key's, if it has one",
    "SCEAU_OPERATIONS_ACCESS_KEY": "its application is made by the first deployment",
    "SCEAU_OPERATIONS_SECRET_KEY": "its application is made by the first deployment",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "GitHub's own, turned into AWS_WEB_IDENTITY_TOKEN_FILE",
    "ACTIONS_ID_TOKEN_REQUEST_URL": "GitHub's own, turned into AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ID_TOKEN": "GitLab's own, turned into AWS_WEB_IDENTITY_TOKEN_FILE",
}


def test_every_secret_of_the_pipelines_is_asked_for_or_said_not_to_be() -> None:
    rows = re.findall(
        r"^\| (`[^|]+) \| ([^|]+) \|", (ROOT / "docs/deploy/pipelines.md").read_text("utf-8"), re.MULTILINE
    )
    named = {name for names, secret in rows if secret.strip() != "no" for name in re.findall(r"`([A-Z_]+)`", names)}
    workflow = (ROOT / ".github/workflows/sceau.yml").read_text("utf-8")
    named |= set(re.findall(r"secrets\.([A-Z_]+)", workflow))
    assert len(named) > 8
    asked = {name for one in SECRETS for name in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", one.put)}
    assert named - asked == set(NOT_AT_PLAN)


@pytest.mark.parametrize("one", SECRETS, ids=lambda one: str(one.name))
def test_the_page_that_a_sentence_names_says_where_each_is_put(one: Secret) -> None:
    [page] = re.findall(r"docs/deploy/[a-z]+\.md", one.put)
    text = (ROOT / page).read_text("utf-8")
    for variable in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", one.put):
        assert variable in text, f"{page} does not name {variable}"


def test_the_pipelines_give_what_planning_and_deploying_ask_for() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/sceau.yml").read_text("utf-8"))["jobs"]
    for job, target, steps in (("plan", "make plan", {Step.PLAN}), ("deploy", "make deploy", {Step.PLAN, Step.APPLY})):
        [given] = [one.get("env", {}) for one in jobs[job]["steps"] if one.get("run", "").startswith(target)]
        for one in SECRETS:
            wanted = re.findall(r"\b(?:SCEAU|SCW|AWS)(?:_[A-Z]+)+\b", one.put)
            wanted = [name for name in wanted if name not in ("SCEAU_SIGNING_KEY", "AWS_PROFILE")]
            if one.step in steps and wanted:
                assert set(wanted) <= set(given), f"{job}: {one.name}"


UNREACHABLE: dict[str, dict[str, Any]] = {
    "store.ca_file": {"store": {"ca_file": "ca.pem"}},
    "store.credentials_file": {"store": {"credentials_file": "credentials"}},
    "key_service.file": {"key_service": {"adapter": "local", "file": "keys.json"}},
    "key_service.module": {
        "key_service": {"adapter": "pkcs11", "module": "x.so", "token": "x", "prefix": "x", "pin_file": "pin"}
    },
    "key_service.pin_file": {
        "key_service": {"adapter": "pkcs11", "module": "x.so", "token": "x", "prefix": "x", "pin_file": "pin"}
    },
    "key_service.softhsm_configuration": {
        "key_service": {
            "adapter": "pkcs11",
            "module": "x.so",
            "token": "x",
            "prefix": "x",
            "pin_file": "pin",
            "softhsm_configuration": "x",
        }
    },
    "key_service.secret_key_file": {
        "key_service": {"adapter": "scaleway", "region": "fr-par", "secret_key_file": "secret"}
    },
    "backup.credentials_file": {
        "backup": {
            "adapter": "s3",
            "endpoint": "https://s3.gra.io.cloud.ovh.net",
            "region": "gra",
            "addressing": "virtual",
            "buckets": {"": "exemple-backup"},
        }
    },
    "backup.ca_file": {},
    "backup.folder": {},
    "store.folder": {},
    "folder": {},
}
"""Each setting that names a file, and a stage on functions that has it; {}: refused as the chalicefile is read, or of
who runs `sceau backup`."""


def files_in(model: type[BaseModel], where: str = "") -> set[str]:
    """Every setting of a stage that names a file: what it is called in a sentence."""
    found = set()
    for name, one in model.model_fields.items():
        called = f"{where}.{name}".removeprefix(".")
        for kind in _kinds(one.annotation):
            if kind is Path:
                found.add(called)
            elif isinstance(kind, type) and issubclass(kind, BaseModel):
                found |= files_in(kind, called)
    return found


def _kinds(annotation: Any) -> list[Any]:
    parts = get_args(annotation)
    return [annotation] if not parts else [kind for part in parts for kind in _kinds(part)]


def test_every_setting_that_names_a_file_is_tried() -> None:
    assert {one.replace(".first", "").replace(".second", "") for one in files_in(StageSpec)} == set(UNREACHABLE)


@pytest.mark.parametrize("called", [name for name, change in UNREACHABLE.items() if change])
def test_functions_are_given_no_file_and_no_secret_of_another_service(
    called: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = hosted.data()
    for part, change in UNREACHABLE[called].items():
        own = {} if "adapter" in change else data["stages"][hosted.SCALEWAY][part]
        data["stages"][hosted.SCALEWAY][part] = {**own, **change}
    spec = parse_chalicefile(data).stages[hosted.SCALEWAY]
    [sentence, *_] = unreachable(hosted.SCALEWAY, spec)
    where, _, name = called.rpartition(".")
    assert sentence.startswith(f"stage {hosted.SCALEWAY}: {where}")
    assert name in sentence or spec.key_service.adapter in sentence
    del tmp_path, capsys
