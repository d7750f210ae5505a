"""Reading a stage: one sentence for what is missing, the local settings, and runtimes with their own rights only."""

from __future__ import annotations

import shutil
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sceau.http.runtime import Runtime
from sceau.keys.errors import KeyRightDenied
from sceau.keys.keyfile import create_key_file
from sceau.keys.local import LocalKeyService
from sceau.keys.ports import KeyName
from sceau.keys.scoped import ScopedKeys
from sceau.objects.errors import ObjectAbsent, ObjectRightDenied, ObjectStoreUnavailable
from sceau.objects.filesystem import FilesystemStore, create_root
from sceau.objects.scoped import ScopedStore
from sceau.stage import Settings, SettingsError, Stage, load_stage, runtime_of
from sceau_schemas.deployment import StageSpec
from sceau_schemas.key_services import LocalKeysSpec
from sceau_schemas.stores import FilesystemStoreSpec, S3StoreSpec

ROOT = Path(__file__).resolve().parents[2]
RECORD = "a" * 26
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
REAL = "urn:oid:1.2.250.1.213.1.4.8"


@pytest.fixture
def chalicefile(tmp_path: Path) -> Path:
    """The project's own chalicefile in a folder of its own, with an empty store and a key file beside it."""
    shutil.copy(ROOT / "chalicefile", tmp_path / "chalicefile")
    (tmp_path / ".local").mkdir()
    create_root(tmp_path / ".local" / "store")
    create_key_file(tmp_path / ".local" / "keys.json", clock=lambda: NOW)
    return tmp_path / "chalicefile"


@pytest.fixture
def hosted(chalicefile: Path) -> Path:
    """A chalicefile with a second stage `paris`, on a host."""
    text = chalicefile.read_text("utf-8")
    stage = text[text.index("[stages.local]") : text.index("# The same on a real S3 server")]
    stage = stage.replace("stages.local", "stages.paris")
    stage = stage.replace('host = "local"', 'host = "aws"').replace('region = "loopback"', 'region = "eu-west-3"')
    local_only = ("development_issuer", "sealing_seconds", 'folder = ".local"\n')
    stage = "".join(line for line in stage.splitlines(keepends=True) if not line.startswith(local_only))
    chalicefile.write_text(f"{text}\n{stage}", "utf-8")
    return chalicefile


def store_folder(stage: Stage) -> Path:
    assert isinstance(stage.spec.store, FilesystemStoreSpec)
    return stage.spec.store.folder


def environ(chalicefile: Path, **settings: str) -> dict[str, str]:
    """The environment of a process on the local stage."""
    given = {"SCEAU_CHALICEFILE": str(chalicefile), "SCEAU_STAGE": "local", "PATH": "/usr/bin", "SCEAU_OTHER": "x"}
    return given | {f"SCEAU_{name.upper()}": value for name, value in settings.items()}


def stage_of(chalicefile: Path, **settings: str) -> Stage:
    return load_stage(Settings.from_environ(environ(chalicefile, **settings)))


def sentence(chalicefile: Path, **settings: str) -> str:
    """What is said instead of starting."""
    with pytest.raises(SettingsError) as refused:
        stage_of(chalicefile, **settings)
    assert "\n" not in str(refused.value)
    return str(refused.value)


# Settings


@pytest.mark.parametrize("name", ["SCEAU_CHALICEFILE", "SCEAU_STAGE"])
@pytest.mark.parametrize("how", ["absent", "empty"])
def test_a_missing_setting_is_named_in_one_sentence(name: str, how: str, chalicefile: Path) -> None:
    given = environ(chalicefile)
    if how == "absent":
        del given[name]
    else:
        given[name] = ""
    with pytest.raises(SettingsError, match=rf"^{name} is not set \(or not usable\): it is needed to start$"):
        Settings.from_environ(given)


def test_with_nothing_set_the_first_thing_to_set_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^SCEAU_CHALICEFILE is not set"):
        Settings.from_environ({})


def test_optional_settings_are_absent_unless_given(chalicefile: Path) -> None:
    settings = Settings.from_environ(environ(chalicefile))
    assert (settings.folder, settings.origin, settings.issuer, settings.store_endpoint) == (None,) * 4
    assert Settings.from_environ(environ(chalicefile, folder="")) == settings


def test_the_environment_is_read_when_none_is_passed(chalicefile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environ(chalicefile).items():
        monkeypatch.setenv(name, value)
    assert runtime_of("ingest").function == "ingest"
    monkeypatch.delenv("SCEAU_STAGE")
    with pytest.raises(SettingsError, match=r"^SCEAU_STAGE is not set"):
        runtime_of("ingest")


# The file and the stage


def test_an_unknown_stage_is_refused_with_those_that_there_are(hosted: Path) -> None:
    assert sentence(hosted, stage="production") == (
        "the chalicefile declares no stage 'production'; it has local, paris, s3"
    )


def test_a_bad_chalicefile_is_refused_in_its_own_words(chalicefile: Path) -> None:
    chalicefile.write_text(chalicefile.read_text("utf-8").replace("format = 1", "format = 9"), "utf-8")
    assert sentence(chalicefile) == "chalicefile: format: Input should be 1"


def test_a_missing_chalicefile_is_named(tmp_path: Path) -> None:
    assert sentence(tmp_path / "chalicefile") == "chalicefile is missing"


def test_paths_begin_where_the_chalicefile_is_and_not_where_the_process_runs(
    chalicefile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    stage = stage_of(Path("..") / "chalicefile")
    assert stage.base == tmp_path
    stage.keys()
    stage.store().create("probe/x", b"x")
    assert list((tmp_path / ".local" / "store").rglob("x"))
    assert list((tmp_path / "elsewhere").iterdir()) == []


# Settings of local stages


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("folder", "somewhere"),
        ("origin", "https://a.example"),
        ("issuer", "https://b.example"),
        ("store_endpoint", "https://c.example"),
    ],
)
def test_local_settings_are_for_local_stages_only(name: str, value: str, hosted: Path) -> None:
    assert sentence(hosted, stage="paris", **{name: value}) == f"SCEAU_{name.upper()} is for local stages only"


def test_a_host_stage_is_read_without_them(hosted: Path) -> None:
    assert stage_of(hosted, stage="paris").spec.host == "aws"


def test_a_folder_moves_store_and_keys_and_nothing_else(chalicefile: Path, tmp_path: Path) -> None:
    folder = tmp_path / "moved"
    before, after = stage_of(chalicefile), stage_of(chalicefile, folder=str(folder))
    assert after.spec.folder == folder
    assert store_folder(after) == folder / "store"
    assert isinstance(after.spec.key_service, LocalKeysSpec)
    assert after.spec.key_service.file == folder / "keys.json"
    rest = {name for name in StageSpec.model_fields if name not in ("folder", "store", "key_service")}
    assert after.spec.model_dump(include=rest) == before.spec.model_dump(include=rest)


def test_a_folder_moves_what_a_stage_on_an_s3_server_keeps_in_it(chalicefile: Path, tmp_path: Path) -> None:
    folder = tmp_path / "moved"
    before, after = (stage_of(chalicefile, stage="s3", **more).spec.store for more in ({}, {"folder": str(folder)}))
    assert isinstance(before, S3StoreSpec)
    assert isinstance(after, S3StoreSpec)
    assert (after.ca_file, after.credentials_file) == (folder / "tls/ca.pem", folder / "s3/credentials")
    rest = {name for name in S3StoreSpec.model_fields if name not in ("ca_file", "credentials_file")}
    assert after.model_dump(include=rest) == before.model_dump(include=rest)


def test_an_endpoint_takes_the_place_of_the_files_on_the_loopback_only(chalicefile: Path) -> None:
    there = stage_of(chalicefile, stage="s3", store_endpoint="https://127.0.0.1:9750").spec.store
    assert isinstance(there, S3StoreSpec)
    assert there.origin == "https://127.0.0.1:9750"
    refused = sentence(chalicefile, stage="s3", store_endpoint="https://s3.eu-west-1.amazonaws.com")
    assert refused.startswith("SCEAU_STORE_ENDPOINT: store: endpoint s3.eu-west-1.amazonaws.com")
    assert "the list: scaleway fr-par;" in refused
    assert sentence(chalicefile, store_endpoint="https://127.0.0.1:9750") == (
        "SCEAU_STORE_ENDPOINT: stage local has no S3 server"
    )


def test_a_relative_folder_is_relative_to_the_process(
    chalicefile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert store_folder(stage_of(chalicefile, folder="mine")) == tmp_path / "elsewhere" / "mine" / "store"


def test_an_origin_takes_the_place_of_the_files(chalicefile: Path) -> None:
    stage = stage_of(chalicefile, origin="https://localhost:9443")
    assert stage.spec.origins == ("https://localhost:9443",)
    assert stage.runtime("ingest").origin == "https://localhost:9443"


def test_an_issuer_takes_the_place_of_the_files(chalicefile: Path) -> None:
    assert stage_of(chalicefile, issuer="https://localhost:9444").spec.development_issuer == "https://localhost:9444"


@pytest.mark.parametrize("name", ["origin", "issuer"])
@pytest.mark.parametrize("value", ["http://localhost:9443", "https://localhost/fhir", "localhost"])
def test_an_origin_that_is_none_is_refused_by_the_setting_s_name(name: str, value: str, chalicefile: Path) -> None:
    expected = f"SCEAU_{name.upper()}: an origin reads like 'https://dmp.example.fr'"
    assert sentence(chalicefile, **{name: value}) == expected


def test_an_issuer_cannot_be_set_beside_real_identifiers(chalicefile: Path) -> None:
    lines = chalicefile.read_text("utf-8").splitlines()
    kept = [line for line in lines if not line.startswith("development_issuer")]
    real = [f'identifiers = ["{REAL}"]' if line.startswith("identifiers") else line for line in kept]
    chalicefile.write_text("\n".join(real), "utf-8")
    assert stage_of(chalicefile).spec.identifiers == (REAL,)
    expected = "SCEAU_ISSUER: development_issuer: only a local stage with test identities may have one"
    assert sentence(chalicefile, issuer="https://localhost:9444") == expected


# Runtimes


def test_a_function_that_nobody_declared_has_no_runtime(chalicefile: Path) -> None:
    with pytest.raises(SettingsError, match=r"^the chalicefile declares no function 'nobody'$"):
        stage_of(chalicefile).runtime("nobody")
    with pytest.raises(SettingsError, match=r"^the chalicefile declares no function 'operations'$"):
        runtime_of("operations", environ(chalicefile))  # a tool is no function


def test_a_tool_that_nobody_declared_has_no_runtime(chalicefile: Path) -> None:
    with pytest.raises(SettingsError, match=r"^the chalicefile declares no tool 'ingest'$"):
        stage_of(chalicefile).tool("ingest")


def test_a_runtime_is_of_its_function_and_stage(chalicefile: Path) -> None:
    runtime = runtime_of("retrieval", environ(chalicefile))
    assert (runtime.function, runtime.stage, runtime.origin) == ("retrieval", "local", "https://localhost:8443")
    assert runtime.clock().utcoffset() is not None


@pytest.mark.parametrize("function", ["authentication", "ingest", "retrieval", "consent", "traces"])
def test_a_runtime_holds_nothing_that_is_not_scoped(function: str, chalicefile: Path) -> None:
    runtime = runtime_of(function, environ(chalicefile))
    assert isinstance(runtime.store, ScopedStore)
    assert isinstance(runtime.keys, ScopedKeys)
    held = [getattr(runtime, field.name) for field in fields(Runtime)]
    assert not [value for value in held if isinstance(value, (FilesystemStore, LocalKeyService))]


def test_a_runtime_does_what_it_is_granted_and_no_more(chalicefile: Path) -> None:
    stage = stage_of(chalicefile)
    ingest, retrieval = stage.runtime("ingest"), stage.runtime("retrieval")
    name, context = f"records/{RECORD}/documents/{RECORD}", {"purpose": "document"}
    ingest.store.create(name, b"sealed")
    wrapped = ingest.keys.wrap(KeyName.CONTENT, bytes(32), context)

    with pytest.raises(ObjectRightDenied):
        ingest.store.read(name)
    with pytest.raises(KeyRightDenied):
        ingest.keys.unwrap(KeyName.CONTENT, wrapped, context)
    with pytest.raises(ObjectRightDenied):
        retrieval.store.create(name + "x", b"sealed")
    with pytest.raises(ObjectAbsent):
        retrieval.store.read(name + "x")

    assert retrieval.store.read(name).data == b"sealed"
    assert retrieval.keys.unwrap(KeyName.CONTENT, wrapped, context) == bytes(32)


def test_the_tool_of_operations_opens_no_health_data(chalicefile: Path) -> None:
    tool = stage_of(chalicefile).tool("operations")
    tool.store.replace("configuration/clients/lab", b"sealed", expected=None)
    tool.keys.wrap(KeyName.CONFIGURATION, bytes(32), {"purpose": "configuration"})
    with pytest.raises(ObjectRightDenied):
        tool.store.read(f"records/{RECORD}/dossier")
    for key in (KeyName.DOSSIER, KeyName.CONTENT, KeyName.JOURNAL, KeyName.PSEUDONYM):
        with pytest.raises(KeyRightDenied):
            tool.keys.unwrap(key, bytes(64), {})


def test_reading_a_stage_touches_neither_store_nor_keys(chalicefile: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / ".local")
    stage = stage_of(chalicefile)
    assert [path.name for path in tmp_path.iterdir()] == ["chalicefile"]
    with pytest.raises(ObjectStoreUnavailable):
        stage.runtime("ingest")
    assert [path.name for path in tmp_path.iterdir()] == ["chalicefile"], "a stage is never made by serving it"
