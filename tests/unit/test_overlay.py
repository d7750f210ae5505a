"""A stage's settings from the environment: what the chalicefile could say, checked as it is, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from sceau.cli.serve import environment
from sceau.stage import Settings, SettingsError, load_stage
from sceau_schemas.deployment import ChalicefileError, StageSpec, read_chalicefile
from sceau_schemas.overlay import overlaid, settings_in

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def spec() -> StageSpec:
    return read_chalicefile(ROOT / "chalicefile").stages["s3"]


def test_values_are_json_where_they_read_as_json_and_text_elsewhere(spec: StageSpec) -> None:
    environ = {
        "SCEAU_STAGE__OWNER": "un établissement",
        "SCEAU_STAGE__RETENTION_DAYS": "4000",
        "SCEAU_STAGE__NONCE_REQUIRED": "false",
        "SCEAU_STAGE__ORIGINS": '["https://localhost:9443"]',
        "SCEAU_STAGE__STORE__ENDPOINT": "https://127.0.0.1:9000",
        "SCEAU_STAGE__STORE__BUCKETS": '{"":"one","journal/events/":"two","journal/log/":"three"}',
        "SCEAU_STAGE": "s3",
        "PATH": "/usr/bin",
    }
    made = overlaid(spec, settings_in(environ))
    assert (made.owner, made.retention_days, made.nonce_required) == ("un établissement", 4000, False)
    assert made.origins == ("https://localhost:9443",)
    assert made.store.model_dump()["endpoint"] == "https://127.0.0.1:9000"
    assert made.store.model_dump()["buckets"][""] == "one"
    assert made.key_service == spec.key_service
    assert overlaid(spec, {}) is spec


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RETENTION_DAYS", "30", "SCEAU_STAGE__…: retention_days: Input should be greater than or equal to 3653"),
        ("TOKEN_SECONDS", "3600", "SCEAU_STAGE__…: token_seconds: Input should be less than or equal to 300"),
        ("REGION", "us-east-1", "SCEAU_STAGE__…: region: local is accepted on French soil only: loopback"),
        ("NOTHING", "1", "SCEAU_STAGE__…: nothing: no such key is known here"),
        ("STORE__ADAPTER__X", "1", "SCEAU_STAGE__STORE__ADAPTER__X names no key of a stage"),
        ("STORE__BUCKETS__A__B", "x", "SCEAU_STAGE__STORE__BUCKETS__A__B names no key of a stage"),
        ("", "1", "SCEAU_STAGE__ names no key of a stage"),
        ("STORE__", "1", "SCEAU_STAGE__STORE__ names no key of a stage"),
    ],
)
def test_what_the_chalicefile_could_not_say_is_refused(name: str, value: str, said: str, spec: StageSpec) -> None:
    with pytest.raises(ChalicefileError) as refused:
        overlaid(spec, {name: value})
    assert str(refused.value).startswith(said)


def test_a_value_is_in_no_error(spec: StageSpec) -> None:
    with pytest.raises(ChalicefileError) as refused:
        overlaid(spec, {"STORE__ENDPOINT": "https://user:secret-word@example.fr"})
    assert "secret-word" not in str(refused.value)


def test_a_process_reads_them_when_it_loads_its_stage() -> None:
    environ = {"SCEAU_CHALICEFILE": str(ROOT / "chalicefile"), "SCEAU_STAGE": "local"}
    settings = Settings.from_environ(environ | {"SCEAU_STAGE__OWNER": "somebody"})
    assert load_stage(settings).spec.owner == "somebody"
    assert "SCEAU_VALUES" not in environment(settings), "a process that it starts inherits them by their own names"
    with pytest.raises(SettingsError, match=r"^SCEAU_STAGE__…: token_seconds: "):
        load_stage(Settings.from_environ(environ | {"SCEAU_STAGE__TOKEN_SECONDS": "0"}))
