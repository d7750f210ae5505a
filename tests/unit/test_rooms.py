"""The house holds: who may import whom, read from the source, lazy imports too; and what importing an app does."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import sceau

ROOT = Path(__file__).resolve().parents[2]
LAYERS, SCHEMAS, FUNCTIONS = ROOT / "layers", ROOT / "schemas", ROOT / "functions"

ROOMS = ("objects", "keys", "envelope", "audit", "records", "access", "identity", "fhir", "http", "cli")
"""In import order: each imports only those before it, and `sceau_schemas`."""

ADAPTERS = (
    "sceau.objects.filesystem",
    "sceau.objects.s3",
    "sceau.keys.local",
    "sceau.keys.keyfile",
    "sceau.keys.pkcs11",
    "sceau.keys.pkcs11_library",
    "sceau.keys.pkcs11_objects",
    "sceau.keys.pkcs11_token",
    "sceau.keys.aws_kms",
    "sceau.keys.scaleway",
    "sceau.keys.scaleway_http",
    "sceau.keys.custody",
)
"""What only `stage` and `cli` choose."""

PYDANTIC = ("pydantic", "pydantic_core")
OWN = "__name__"
DYNAMIC = ("__import__", "import_module")


@dataclass(frozen=True)
class Imported:
    """`file` (below the checkout) imports `module`, at `line`."""

    file: str
    line: int
    module: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"

    def within(self, *packages: str) -> bool:
        return any(self.module == package or self.module.startswith(package + ".") for package in packages)


def imports(source: str, file: str) -> Iterator[Imported]:
    """Every import in a source text, wherever it stands. `from a import b` counts as a and as a.b."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Imported(file, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield Imported(file, node.lineno, base)
            for alias in node.names:
                yield Imported(file, node.lineno, f"{base}.{alias.name}")
        elif isinstance(node, ast.Call) and _name(node.func) in DYNAMIC:
            yield Imported(file, node.lineno, _named_at_run_time(node.args[0] if node.args else None))


def _named_at_run_time(argument: ast.expr | None) -> str:
    """The module that an argument names; OWN for f"{__name__}.…", which stays in its package; "?" for all else."""
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value
    if isinstance(argument, ast.JoinedStr) and ast.unparse(argument).startswith(("f'{__name__}.", 'f"{__name__}.')):
        return OWN
    return "?"


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def imports_below(folder: Path) -> list[Imported]:
    return [
        imported
        for path in sorted(folder.rglob("*.py"))
        for imported in imports(path.read_text("utf-8"), str(path.relative_to(ROOT)))
    ]


def room_of(imported: Imported) -> str:
    """The room whose file imports."""
    return Path(imported.file).relative_to("layers/sceau").parts[0]


@pytest.fixture(scope="module")
def of_layers() -> list[Imported]:
    return imports_below(LAYERS)


@pytest.fixture(scope="module")
def of_functions() -> list[Imported]:
    return imports_below(FUNCTIONS)


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("import a.b", "a.b"),
        ("from a import b", "a.b"),
        ("from a.b import c", "a.b"),
        ("def f():\n    from a.b import c", "a.b"),
        ("if TYPE_CHECKING:\n    import a.b", "a.b"),
        ("try:\n    import a.b\nexcept ImportError:\n    pass", "a.b"),
        ("import importlib\nx = importlib.import_module('a.b')", "a.b"),
        ("x = import_module('a.b')", "a.b"),
        ("x = __import__('a.b')", "a.b"),
        ("x = __import__(name)", "?"),
        ("x = import_module(f'{name}.b')", "?"),
        ("x = import_module(f'{__name__}.{name}')", OWN),
        ("from . import b", "..b"),
    ],
)
def test_no_form_of_import_escapes(source: str, module: str) -> None:
    assert module in {imported.module for imported in imports(source, "x.py")}


def test_every_folder_is_a_room_with_a_place_in_the_order() -> None:
    folders = {path.name for path in (LAYERS / "sceau").iterdir() if path.is_dir() and path.name != "__pycache__"}
    files = {path.name for path in (LAYERS / "sceau").iterdir() if path.is_file()}
    assert folders == set(ROOMS)
    assert files == {"__init__.py", "stage.py"}


def test_the_order_is_the_one_that_the_pages_give() -> None:
    said = re.search(r"in import order .*?: ([a-z,\s]+)\.", sceau.__doc__ or "")
    assert said is not None
    assert tuple(re.split(r",\s+", said[1])) == ROOMS
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    assert tuple(re.findall(r"^\| `([a-z]+)/` \|", page, re.MULTILINE)) == ROOMS


def test_each_room_imports_only_those_before_it(of_layers: list[Imported]) -> None:
    wrong = []
    for imported in of_layers:
        room, target = room_of(imported), imported.module.split(".")
        if room in ROOMS and target[0] == "sceau" and len(target) > 1 and target[1] in ROOMS:
            allowed = ROOMS[: ROOMS.index(room) + 1]
            wrong += [] if target[1] in allowed else [str(imported)]
    assert wrong == []


def test_no_import_is_relative_or_made_up_at_run_time(of_layers: list[Imported], of_functions: list[Imported]) -> None:
    every = of_layers + of_functions + imports_below(SCHEMAS)
    assert [str(imported) for imported in every if imported.module.startswith((".", "?"))] == []


def test_stage_is_imported_by_the_command_and_the_apps_only(of_layers: list[Imported]) -> None:
    found = {room_of(imported) for imported in of_layers if imported.within("sceau.stage")}
    assert found <= {"cli"}


def test_stage_knows_nothing_of_the_command(of_layers: list[Imported]) -> None:
    of_stage = [imported for imported in of_layers if room_of(imported) == "stage.py"]
    assert of_stage
    assert [str(imported) for imported in of_stage if imported.within("sceau.cli")] == []


def test_only_the_stage_and_the_command_choose_an_adapter(of_layers: list[Imported]) -> None:
    wrong = [
        str(imported)
        for imported in of_layers
        if imported.within(*ADAPTERS)
        and room_of(imported) not in ("stage.py", "cli")
        and not imported.file.startswith(tuple(f"layers/{adapter.replace('.', '/')}" for adapter in ADAPTERS))
    ]
    assert wrong == []


def test_an_app_only_routes(of_functions: list[Imported]) -> None:
    allowed = ("chalice", "sceau.http", "sceau.stage")
    assert [str(imported) for imported in of_functions if not imported.within(*allowed)] == []


def test_chalice_stays_in_http_and_the_apps(of_layers: list[Imported]) -> None:
    assert {imported.file for imported in of_layers if imported.within("chalice")} == {
        "layers/sceau/http/chalice_app.py"
    }


AWS_CLIENTS = ("layers/sceau/objects/s3/", "layers/sceau/keys/aws_kms")
"""Who may import boto3: the adapters that speak to AWS's interfaces."""


def test_only_the_adapters_of_aws_s_interfaces_import_its_client(
    of_layers: list[Imported], of_functions: list[Imported]
) -> None:
    every = of_layers + of_functions + imports_below(SCHEMAS)
    found = [imported for imported in every if imported.within("boto3", "botocore", "s3transfer")]
    assert found
    assert [str(imported) for imported in found if not imported.file.startswith(AWS_CLIENTS)] == []


def test_the_schemas_stand_alone() -> None:
    wrong = [
        str(imported)
        for imported in imports_below(SCHEMAS)
        if imported.module.split(".")[0] not in {*sys.stdlib_module_names, OWN, *PYDANTIC, "sceau_schemas"}
    ]
    assert wrong == []


def test_nothing_that_is_shipped_imports_tests(of_layers: list[Imported], of_functions: list[Imported]) -> None:
    # `iac` is what is shipped: the folder of its tests has its name.
    ours = {path.stem for path in (ROOT / "tests").iterdir()} - {"iac"} | {"tests", "pytest", "hypothesis", "_pytest"}
    every = of_layers + of_functions + imports_below(SCHEMAS) + imports_below(ROOT / "iac")
    assert {"fakes", "fixtures", "conftest", "unit"} <= ours
    assert [str(imported) for imported in every if imported.module.split(".")[0] in ours] == []


# What importing an app costs: Chalice imports it when it packages, without settings, and Lambda in every cold start.

PROBE = """
import collections, json, os, sys
from pathlib import Path

seen = {"environment": [], "opened": [], "network": [], "processes": []}


class Watched(dict):
    def _saw(self, name):
        seen["environment"].append(name)

    def __getitem__(self, name):
        self._saw(name)
        return super().__getitem__(name)

    def get(self, name, default=None):
        self._saw(name)
        return super().get(name, default)

    def __contains__(self, name):
        self._saw(name)
        return super().__contains__(name)


def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        mode = arguments[1] or ""
        seen["opened"].append([os.fsdecode(arguments[0]), mode if isinstance(mode, str) else "?"])
    elif event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto"):
        if (event, arguments[1:]) != ("socket.bind", (("::1", 0),)):  # urllib3 finds out whether there is IPv6
            seen["network"].append(event)
    elif event in ("subprocess.Popen", "os.exec", "os.fork", "os.posix_spawn", "os.system"):
        seen["processes"].append(event)


import socket
from importlib.util import module_from_spec, spec_from_file_location

os.environ = Watched(os.environ)
sys.addaudithook(watch)
spec = spec_from_file_location("probed_app", sys.argv[1])
spec.loader.exec_module(module_from_spec(spec))
print(json.dumps({**seen, "modules": sorted(sys.modules)}))
"""


@dataclass(frozen=True)
class Cost:
    """What importing an app did."""

    environment: list[str]
    opened: list[tuple[str, str]]
    network: list[str]
    processes: list[str]
    modules: list[str]


@pytest.fixture(scope="module", params=sorted(path.parent.name for path in FUNCTIONS.glob("*/app.py")))
def cost(request: pytest.FixtureRequest) -> Cost:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SCEAU_", "AWS_"))}
    environment |= {
        "PYTHONPATH": os.pathsep.join((str(LAYERS), str(SCHEMAS))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_CHALICE_CLI_MODE": "true",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(FUNCTIONS / request.param / "app.py")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return Cost(**json.loads(done.stdout))


def test_importing_an_app_reads_no_setting(cost: Cost) -> None:
    assert [name for name in cost.environment if name.startswith(("SCEAU_", "AWS_SECRET", "AWS_ACCESS"))] == []
    assert cost.environment, "the probe sees reads of the environment"


def test_importing_an_app_reads_code_and_tables_only(cost: Cost) -> None:
    opened = [ROOT / name for name, _ in cost.opened]  # a relative name is relative to where the probe ran
    below = [path for path in opened if path.is_relative_to(ROOT)]
    allowed = {".py", ".pyc", ".so", ".tsv", ".dictionary"}
    others = {str(path) for path in below if path.suffix not in allowed and "site-packages" not in path.parts}
    assert others == set()
    assert any(path.suffix in allowed for path in below), "the probe sees files"


def test_importing_an_app_writes_nothing(cost: Cost) -> None:
    assert [name for name, mode in cost.opened if set(mode) & set("wax+") and name != os.devnull] == []


def test_importing_an_app_asks_nobody(cost: Cost) -> None:
    assert cost.network == []
    assert cost.processes == []


def test_importing_an_app_loads_no_adapter_and_no_command(cost: Cost) -> None:
    wrong = [
        name
        for name in cost.modules
        if name in ADAPTERS
        or name.startswith(("sceau.cli", "granian", "chalice.cli", "chalice.local", "chalice.deploy"))
    ]
    assert wrong == []
    assert "sceau.stage" in cost.modules
