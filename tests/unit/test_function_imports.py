"""What each function imports on each kind of stage, pinned: an adapter or a package more is a slower cold start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakes.softhsm import require_softhsm
from fixtures import hosted
from sceau.cli.local_stage import ensure_local_stage
from sceau.keys.ports import KeyName
from sceau.keys.scaleway_http import SECRET_KEY_VARIABLE
from sceau.stage import Settings, load_stage

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = sorted({path.parent.name for path in (ROOT / "functions").glob("*/app.py")})

STORES = {
    "local": {"sceau.objects.filesystem", "sceau.objects.durable_files"},
    "s3": {
        "sceau.objects.s3",
        *(f"sceau.objects.s3.{name}" for name in ("answers", "calls", "client", "naming", "store", "versions")),
    },
}
"""The modules of each stage's store; what only checks and makes buckets is not among them."""

_FILE = {f"sceau.keys.{name}" for name in ("context", "keyfile", "local")}
_TOKEN = {"sceau.keys.context", "sceau.keys.wrapped"}
_TOKEN |= {f"sceau.keys.pkcs11{name}" for name in ("", "_library", "_objects", "_token")}
CUSTODY = "s3 in custody"
KEYS = {
    "local": _FILE,
    "s3": _TOKEN,
    CUSTODY: _FILE | _TOKEN | {"sceau.keys.custody"},
    hosted.AWS: {f"sceau.keys.{name}" for name in ("aws_kms", "retrying", "signatures", "wrapped")},
    hosted.SCALEWAY: {
        f"sceau.keys.{name}" for name in ("context", "retrying", "scaleway", "scaleway_http", "signatures", "wrapped")
    },
}
PORTS = {
    *(f"sceau.objects{name}" for name in ("", ".deadline", ".errors", ".findings", ".ports", ".scoped")),
    *(f"sceau.keys{name}" for name in ("", ".errors", ".ports", ".scoped")),
}

# boto3 comes with the AWS Encryption SDK, on every stage.
_SEALING = {"attr", "aws_encryption_sdk", "boto3", "botocore", "certifi", "cryptography", "dateutil", "jmespath"}
_SEALING |= {"s3transfer", "six", "urllib3", "wrapt"}
_MODELS = {"annotated_types", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"}
_ALL = {"chalice", "sceau", "sceau_schemas", *_SEALING, *_MODELS}
PACKAGES = {
    "authentication": _ALL | {"joserfc"},
    "consent": _ALL | {"joserfc", "lxml"},
    "expunge": _ALL,
    "ingest": _ALL | {"joserfc", "lxml"},
    "journal": _ALL,
    "retrieval": _ALL | {"joserfc", "lxml"},
    "rewrap": _ALL,
    "traces": _ALL | {"joserfc"},
    "upkeep": _ALL | {"lxml"},
}
"""Top-level packages beyond Python's own."""

KEY_PACKAGES: dict[str, set[str]] = {
    stage: {"asn1crypto", "pkcs11"} if stage in ("s3", CUSTODY) else set() for stage in KEYS
}
"""What the stage's key service brings besides."""

_NUMBERED = {key: str(uuid.UUID(int=number, version=4)) for number, key in enumerate(KeyName, 1)}
_ENVIRONS: dict[str, dict[str, str]] = {
    hosted.SCALEWAY: {
        "SCEAU_STAGE__KEY_SERVICE__KEYS": json.dumps({key: [number] for key, number in _NUMBERED.items()}),
        SECRET_KEY_VARIABLE: str(uuid.UUID(int=99, version=4)),
    },
    hosted.AWS: {
        "SCEAU_STAGE__KEY_SERVICE__KEYS": json.dumps(
            {key: [f"arn:aws:kms:eu-west-3:123456789012:key/{number}"] for key, number in _NUMBERED.items()}
        ),
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    },
    CUSTODY: {
        "SCEAU_STAGE__KEY_SERVICE": json.dumps(
            {
                "adapter": "custody",
                "first": hosted.data()["stages"]["s3"]["key_service"],
                "second": hosted.data()["stages"]["local"]["key_service"],
            }
        )
    },
}
"""What a process is told beyond the chalicefile, of a service that is not asked here."""

_NOT_PACKAGES = {"cython_runtime", "_cython_3_2_4"}


@dataclass(frozen=True)
class Loaded:
    """What one function on one stage had imported when it was built."""

    function: str
    stage: str
    modules: frozenset[str]

    def packages(self) -> set[str]:
        tops = {name.partition(".")[0] for name in self.modules}
        return {one for one in tops if one not in sys.stdlib_module_names and not one.startswith("_")} - _NOT_PACKAGES


@pytest.fixture(scope="module")
def chalicefile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chalicefile beside stages that were made."""
    require_softhsm()
    folder = tmp_path_factory.mktemp("stages")
    (folder / "chalicefile").write_text(hosted.text(), "utf-8")
    for stage in STORES:
        ensure_local_stage(load_stage(Settings(chalicefile=folder / "chalicefile", stage=stage)))
    return folder / "chalicefile"


@pytest.fixture(
    scope="module",
    params=[*((function, "s3") for function in FUNCTIONS), *(("ingest", stage) for stage in sorted({*KEYS} - {"s3"}))],
)
def loaded(request: pytest.FixtureRequest, chalicefile: Path) -> Loaded:
    function, stage = request.param
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "tests" / "unit" / "imports_probe.py"),
            *(str(ROOT / "functions" / function / "app.py"), function),
        ],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join((str(ROOT / "layers"), str(ROOT / "schemas"))),
            "SCEAU_CHALICEFILE": str(chalicefile),
            "SCEAU_STAGE": stage.partition(" ")[0],
            "SCEAU_STAGE__SWITCHED_ON": '{"rewrap": "2999-01-01T00:00:00Z"}',
            **_ENVIRONS.get(stage, {}),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return Loaded(function, stage, frozenset(json.loads(done.stdout)))


def test_a_function_imports_only_its_stage_s_adapters(loaded: Loaded) -> None:
    found = {name for name in loaded.modules if name.startswith(("sceau.objects", "sceau.keys"))}
    assert found == PORTS | KEYS[loaded.stage] | STORES.get(loaded.stage, STORES["s3"])


def test_a_function_imports_no_further_packages(loaded: Loaded) -> None:
    assert loaded.packages() == PACKAGES[loaded.function] | KEY_PACKAGES[loaded.stage]


def test_a_function_imports_nothing_of_the_command(loaded: Loaded) -> None:
    assert [name for name in loaded.modules if name.startswith(("sceau.cli", "granian", "moto", "pytest"))] == []
