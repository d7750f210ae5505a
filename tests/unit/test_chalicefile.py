"""The chalicefile: it and the apps say the same, both ways; a bad one is refused with a useful sentence."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sceau.cli.serve import load_app
from sceau_schemas.deployment import Chalicefile, ChalicefileError, parse_chalicefile, read_chalicefile

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))
SCHEDULED = ["expunge", "journal", "upkeep"]
ON_DEMAND = ["rewrap"]
SERVING = [name for name in FUNCTIONS if name not in (*SCHEDULED, *ON_DEMAND)]

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def chalicefile() -> Chalicefile:
    return read_chalicefile(ROOT / "chalicefile")


@pytest.fixture(scope="module")
def modules() -> Iterator[dict[str, ModuleType]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_EXECUTION_ENV", "test")  # each app writes it: what it was comes back
        yield {name: load_app(ROOT / "functions" / name / "app.py", f"of_the_chalicefile_{name}") for name in FUNCTIONS}


def routes_of(module: ModuleType) -> set[tuple[str, str]]:
    return {(method, path) for path, methods in module.app.routes.items() for method in methods}


def shape(path: str) -> str:
    """A path as a router sees it: the name of a parameter tells no routes apart."""
    return re.sub(r"\{[^}]*\}", "{}", path)


# The file and the apps


@pytest.mark.parametrize("function", SERVING)
def test_every_declared_route_is_in_the_app_and_every_route_of_the_app_is_declared(
    function: str, chalicefile: Chalicefile, modules: dict[str, ModuleType]
) -> None:
    declared = {(route.method, route.path) for route in chalicefile.functions[function].routes}
    served = routes_of(modules[function])
    assert declared - served == set(), "declared, but nobody serves them"
    assert served - declared == set(), "served, but not declared"
    assert declared


@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_app_has_the_schedule_that_is_declared_or_none(
    function: str, chalicefile: Chalicefile, modules: dict[str, ModuleType]
) -> None:
    declared = chalicefile.functions[function].schedule
    app = modules[function].app
    assert (declared is not None) == (function in SCHEDULED)
    if declared is None:
        assert app.event_sources == []
    else:
        (source,) = app.event_sources
        assert source.schedule_expression == declared.text
        assert (source.name, source.handler_string) == (function, f"app.{function}"), "what hosts and `serve` call"
        assert app.routes == {}


@pytest.mark.parametrize("function", ON_DEMAND)
def test_a_function_on_demand_is_called_by_its_name_and_started_by_nothing_else(
    function: str, chalicefile: Chalicefile, modules: dict[str, ModuleType]
) -> None:
    assert chalicefile.functions[function].on_demand
    app = modules[function].app
    assert (app.routes, app.event_sources) == ({}, [])
    (handler,) = app.pure_lambda_functions
    assert (handler.name, handler.handler_string) == (function, f"app.{function}")


def test_every_declared_function_has_a_folder_and_every_folder_is_declared(chalicefile: Chalicefile) -> None:
    folders = {path.name for path in (ROOT / "functions").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(FUNCTIONS), "a folder without an app.py"
    assert set(chalicefile.functions) == folders


def test_no_two_functions_share_a_route(modules: dict[str, ModuleType]) -> None:
    owners: dict[tuple[str, str], list[str]] = {}
    for function, module in modules.items():
        for method, path in routes_of(module):
            owners.setdefault((method, shape(path)), []).append(function)
    assert {route: names for route, names in owners.items() if len(names) > 1} == {}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_app_is_built_with_the_rights_of_its_own_folder(
    function: str, modules: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asked(Exception):
        pass

    def runtime_of(name: str) -> None:
        raise Asked(name)

    monkeypatch.setattr(modules[function], "runtime_of", runtime_of)
    with pytest.raises(Asked) as asked:
        modules[function].app.warm()
    assert asked.value.args == (function,)
    assert modules[function].app.app_name == function


def test_every_function_answers_a_health_probe_at_an_address_of_its_own(chalicefile: Chalicefile) -> None:
    for name in SERVING:
        function = chalicefile.functions[name]
        assert ("GET", f"/healthz/{name}") in {(route.method, route.path) for route in function.routes}


# Bad files. Each is the project's own file with one thing changed.


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    return tomllib.loads((ROOT / "chalicefile").read_text("utf-8"))


def local(**values: object) -> Edit:
    return lambda file: file["stages"]["local"].update(values)


def ingest(**values: object) -> Edit:
    return lambda file: file["functions"]["ingest"].update(values)


def upkeep(**values: object) -> Edit:
    return lambda file: file["functions"]["upkeep"].update(values)


def ingest_store(pattern: str, operations: object) -> Edit:
    return lambda file: file["functions"]["ingest"]["store"].update({pattern: operations})


def ingest_keys(key: str, operations: object) -> Edit:
    return lambda file: file["functions"]["ingest"]["keys"].update({key: operations})


UNTIL = datetime(2026, 12, 1, tzinfo=UTC)


def hosted(**values: object) -> Edit:
    """A stage in Paris, for real patients."""
    real = {"host": "aws", "region": "eu-west-3", "identifiers": ["urn:oid:1.2.250.1.213.1.4.8"]}

    def edit(file: dict[str, Any]) -> None:
        for name in ("development_issuer", "folder", "sealing_seconds"):
            del file["stages"]["local"][name]
        file["stages"]["local"].update(real, **values)

    return edit


def s3(**values: object) -> Edit:
    """The project's own stage on the S3 server of the loopback, with other values for its store."""
    return lambda file: file["stages"]["s3"]["store"].update(values)


def stored(endpoint: str | None, signed: str, **stage: object) -> Edit:
    """A stage in Paris with its objects behind this endpoint."""

    def edit(file: dict[str, Any]) -> None:
        hosted(**stage)(file)
        store = {name: value for name, value in file["stages"]["s3"]["store"].items() if not name.endswith("_file")}
        store |= {"endpoint": endpoint, "region": signed}
        file["stages"]["local"]["store"] = {name: value for name, value in store.items() if value is not None}

    return edit


def own(**values: object) -> Edit:
    """A stage on an organisation's own servers."""
    stage: dict[str, Any] = {"host": "container", "region": "fr-rennes", "premises": PREMISES | values}
    return stored("https://s3.chy.example:9000", "fr-rennes", **stage)


def without(*path: str) -> Edit:
    def edit(file: dict[str, Any]) -> None:
        for part in path[:-1]:
            file = file[part]
        del file[path[-1]]

    return edit


ROUTE_FORM = "a route reads like 'GET /fhir/Patient'"
SCHEDULE_FORM = "a schedule reads like 'rate(1 hour)'"
ORIGIN_FORM = "an origin reads like 'https://dmp.example.fr'"
ENDPOINT_FORM = "an endpoint reads like 'https://s3.fr-par.scw.cloud'"
THE_LIST = "the list: scaleway fr-par; aws eu-west-3; ovhcloud gra, rbx, sbg, eu-west-par; outscale eu-west-2, "
PREMISES = {"owner": "CH de Y", "address": "1 rue de Z, 35000 Rennes", "servers": ["s3.chy.example"]}
SOIL = "is accepted on French soil only"
REAL_INS = ["urn:oid:1.2.250.1.213.1.4.8"]
MIXED_INS = ["urn:oid:1.2.250.1.213.1.4.8", "urn:oid:1.2.250.1.213.1.4.10"]

BAD_FILES: dict[str, tuple[Edit, str, str]] = {
    "unknown format": (lambda file: file.update(format=2), "format", "should be 1"),
    "no format": (without("format"), "format", "required"),
    "unknown key in the file": (lambda file: file.update(colour="red"), "colour", "no such key"),
    "unknown key of a function": (ingest(memory=512), "functions.ingest.memory", "no such key"),
    "unknown key of a stage": (local(debug=True), "stages.local.debug", "no such key"),
    "missing key of a function": (
        without("functions", "ingest", "memory_mb"),
        "functions.ingest.memory_mb",
        "required",
    ),
    "missing key of a stage": (without("stages", "local", "nonce_required"), "stages.local.nonce_required", "required"),
    "memory as text": (ingest(memory_mb="1024"), "functions.ingest.memory_mb", "integer"),
    "too little memory": (ingest(memory_mb=64), "functions.ingest.memory_mb", "128"),
    "slower than API Gateway waits": (ingest(timeout_seconds=30), "functions.ingest.timeout_seconds", "29"),
    "slower than Lambda waits": (upkeep(timeout_seconds=901), "functions.upkeep.timeout_seconds", "900"),
    "a function on demand with routes": (ingest(on_demand=True), "functions.ingest", "either routes or a schedule"),
    "a function on demand by schedule": (upkeep(on_demand=True), "functions.upkeep", "either routes or a schedule"),
    "on demand as a text": (upkeep(on_demand="yes"), "functions.upkeep.on_demand", "valid boolean"),
    "what is switched on and serves": (
        local(switched_on={"ingest": UNTIL}),
        "stages.local.switched_on",
        "ingest is nothing that is called on demand",
    ),
    "what is switched on and is not there": (local(switched_on={"x": UNTIL}), "stages.local.switched_on", "is nothing"),
    "switched on without an end": (local(switched_on={"rewrap": True}), "stages.local.switched_on.rewrap", "datetime"),
    "switched on until a time of no zone": (
        local(switched_on={"rewrap": UNTIL.replace(tzinfo=None)}),
        "stages.local.switched_on.rewrap",
        "timezone",
    ),
    "a function that nothing starts": (ingest(routes=[]), "functions.ingest", "either routes or a schedule"),
    "a schedule beside routes": (ingest(schedule="rate(1 hour)"), "functions.ingest", "either routes or a schedule"),
    "routes beside a schedule": (upkeep(routes=["GET /x"]), "functions.upkeep", "either routes or a schedule"),
    "a schedule without its form": (upkeep(schedule="1 hour"), "functions.upkeep.schedule", SCHEDULE_FORM),
    "a schedule as a number": (upkeep(schedule=60), "functions.upkeep.schedule", SCHEDULE_FORM),
    "a schedule as a table": (
        upkeep(schedule={"text": "rate(1 hour)", "every": 1}),
        "functions.upkeep.schedule",
        SCHEDULE_FORM,
    ),
    "a switch as a number": (local(nonce_required=0), "stages.local.nonce_required", "boolean"),
    "a switch as text": (local(replay_marks_for_reads="off"), "stages.local.replay_marks_for_reads", "boolean"),
    "unknown right on the store": (ingest_store("records/", ["write"]), "functions.ingest.store.records/", "'replace'"),
    "no right on the store": (ingest_store("records/", []), "functions.ingest.store.records/", "at least 1"),
    "rights on the store as text": (ingest_store("records/", "read"), "functions.ingest.store.records/", "tuple"),
    "unknown right on a key": (ingest_keys("dossier", ["open"]), "functions.ingest.keys.dossier", "'unwrap'"),
    "unknown key name": (ingest_keys("dossiers", ["wrap"]), "functions.ingest.keys.dossiers", "'dossier'"),
    "pattern that climbs": (ingest_store("records/../x", ["read"]), "functions.ingest.store.records/../x", "pattern"),
    "pattern with a blank": (ingest_store("records /", ["read"]), "functions.ingest.store.records /", "pattern"),
    "pattern with a partial star": (ingest_store("rec*/", ["read"]), "functions.ingest.store.rec*/", "pattern"),
    "pattern of the root": (ingest_store("/", ["read"]), "functions.ingest.store./", "pattern"),
    "empty pattern": (ingest_store("", ["read"]), "functions.ingest.store", "at least 1 character"),
    "route without method": (ingest(routes=["/fhir"]), "functions.ingest.routes.0", ROUTE_FORM),
    "route with an unknown method": (ingest(routes=["BREW /fhir"]), "functions.ingest.routes.0", ROUTE_FORM),
    "route in lowercase": (ingest(routes=["get /fhir"]), "functions.ingest.routes.0", ROUTE_FORM),
    "route without slash": (ingest(routes=["GET fhir"]), "functions.ingest.routes.0", ROUTE_FORM),
    "route with an empty segment": (ingest(routes=["GET /fhir//x"]), "functions.ingest.routes.0", ROUTE_FORM),
    "route with a query": (ingest(routes=["GET /fhir?x"]), "functions.ingest.routes.0", ROUTE_FORM),
    "route with half a parameter": (ingest(routes=["GET /fhir/{id"]), "functions.ingest.routes.0", ROUTE_FORM),
    "parameter that no router knows": (ingest(routes=["GET /fhir/{Id}"]), "functions.ingest.routes.0", ROUTE_FORM),
    "greedy parameter": (ingest(routes=["GET /fhir/{id+}"]), "functions.ingest.routes.0", ROUTE_FORM),
    "route as a table": (
        ingest(routes=[{"method": "GET", "path": "fhir"}]),
        "functions.ingest.routes.0",
        ROUTE_FORM,
    ),
    "route of two functions": (
        ingest(routes=["GET /fhir/Patient"]),
        "functions",
        "GET /fhir/Patient belongs to ingest and to retrieval",
    ),
    "route of two functions under other parameter names": (
        ingest(routes=["GET /fhir/Binary/{id}"]),
        "functions",
        "belongs to ingest and to retrieval",
    ),
    "route twice in one function": (
        ingest(routes=["POST /fhir", "POST /fhir"]),
        "functions",
        "POST /fhir belongs to ingest and to ingest",
    ),
    "unknown host": (hosted(host="gcp"), "stages.local.host", "'scaleway'"),
    "Ireland": (hosted(region="eu-west-1"), "stages.local: region", SOIL),
    "Frankfurt": (hosted(region="eu-central-1"), "stages.local: region", "eu-west-3"),
    "Amsterdam": (hosted(host="scaleway", region="nl-ams"), "stages.local: region", "fr-par"),
    "another host's region": (hosted(host="scaleway", region="eu-west-3"), "stages.local: region", "fr-par"),
    "a French region in capitals": (hosted(region="EU-WEST-3"), "stages.local: region", SOIL),
    "retention too short": (local(retention_days=3652), "stages.local.retention_days", "3653"),
    "token too long": (local(token_seconds=301), "stages.local.token_seconds", "300"),
    "no room for a body": (local(largest_body_bytes=1024), "stages.local.largest_body_bytes", "65536"),
    "nobody's stage": (local(owner=""), "stages.local.owner", "at least 1 character"),
    "test and real identifiers": (hosted(identifiers=MIXED_INS), "stages.local: identifiers", "never both"),
    "identifiers that are no INS": (local(identifiers=["urn:oid:1.2.3"]), "stages.local: identifiers", ".8 to .11"),
    "no identifiers": (local(identifiers=[]), "stages.local.identifiers", "at least 1"),
    "development issuer beside real identifiers": (
        local(identifiers=REAL_INS),
        "stages.local: development_issuer",
        "only a local stage with test identities",
    ),
    "development issuer on a host": (
        hosted(identifiers=["urn:oid:1.2.250.1.213.1.4.10"], development_issuer="https://localhost:8444"),
        "stages.local: development_issuer",
        "only a local stage with test identities",
    ),
    "development issuer that is no origin": (
        local(development_issuer="https://localhost:8444/issuer"),
        "stages.local.development_issuer",
        ORIGIN_FORM,
    ),
    "no origin": (local(origins=[]), "stages.local.origins", "at least 1"),
    "unknown store": (
        lambda file: file["stages"]["local"]["store"].update(adapter="tape"),
        "stages.local.store",
        "'filesystem', 's3'",
    ),
    "unknown key of a store": (s3(user="x"), "stages.s3.store.user", "no such key"),
    "a credential in the file": (s3(secret_access_key="x"), "stages.s3.store.secret_access_key", "no such key"),
    "a store without a region": (without("stages", "s3", "store", "region"), "stages.s3.store.region", "required"),
    "a store in clear": (s3(endpoint="http://127.0.0.1:8445"), "stages.s3.store.endpoint", ENDPOINT_FORM),
    "an endpoint with a path": (s3(endpoint="https://127.0.0.1/x"), "stages.s3.store.endpoint", ENDPOINT_FORM),
    "an endpoint with a user": (s3(endpoint="https://a@127.0.0.1"), "stages.s3.store.endpoint", ENDPOINT_FORM),
    "no bucket for most names": (s3(buckets={"journal/": "sceau-log"}), "stages.s3.store: buckets", '""'),
    "events beside records": (
        s3(buckets={"": "sceau-records", "journal/log/": "sceau-log"}),
        "stages.s3.store: buckets",
        '"journal/events/" needs a bucket with Object Lock',
    ),
    "the log beside records": (
        s3(buckets={"": "sceau-records", "journal/events/": "sceau-log"}),
        "stages.s3.store: buckets",
        '"journal/log/" needs a bucket with Object Lock',
    ),
    "a prefix that ends in a name": (
        s3(buckets={"": "sceau-records", "journal": "sceau-log"}),
        "stages.s3.store.buckets.journal",
        "pattern",
    ),
    "a bucket with a dot": (
        s3(buckets={"": "sceau.records", "journal/": "sceau-log"}),
        "stages.s3.store.buckets.",
        "pattern",
    ),
    "Ireland's store": (stored("https://s3.eu-west-1.amazonaws.com", "eu-west-1"), "stages.local: store", THE_LIST),
    "AWS's store, region left to it": (stored(None, "eu-west-1"), "stages.local: store", "s3.eu-west-1.amazonaws.com"),
    "a store of no region": (stored("https://s3.amazonaws.com", "eu-west-3"), "stages.local: store", THE_LIST),
    "Paris signed for, Amsterdam addressed": (
        stored("https://s3.nl-ams.scw.cloud", "fr-par"),
        "stages.local: store",
        THE_LIST,
    ),
    "Paris addressed, Amsterdam signed for": (
        stored("https://s3.fr-par.scw.cloud", "nl-ams"),
        "stages.local: store",
        THE_LIST,
    ),
    "a name that only ends like Paris": (
        stored("https://s3.eu-west-3.amazonaws.com.example.org", "eu-west-3"),
        "stages.local: store",
        THE_LIST,
    ),
    "a name that only begins like Paris": (
        stored("https://xs3.fr-par.scw.cloud", "fr-par"),
        "stages.local: store",
        THE_LIST,
    ),
    "a host's store on the loopback": (stored("https://127.0.0.1:8445", "loopback"), "stages.local: store", THE_LIST),
    "a loopback that says it is Paris": (s3(region="eu-west-3"), "stages.s3: store", THE_LIST),
    "an own server that nobody declared": (
        stored("https://s3.chy.example", "fr-rennes"),
        "stages.local: store",
        "own servers declared in premises",
    ),
    "an own server beside those declared": (own(servers=["other.chy.example"]), "stages.local: store", THE_LIST),
    "own servers without a declaration": (
        hosted(host="container", region="fr-rennes"),
        "stages.local: premises",
        "declaration of their owner and address",
    ),
    "own servers of nobody": (own(owner=""), "stages.local.premises.owner", "at least 1 character"),
    "own servers nowhere": (own(address="somewhere"), "stages.local.premises: address", "five-digit code"),
    "own servers in Ireland": (own(address="1 Main St, Dublin 00000 X"), "stages.local.premises: address", "French"),
    "a public host's server called one's own": (
        own(servers=["s3.us-east-1.amazonaws.com"]),
        "stages.local.premises: servers",
        "no server of an organisation's own",
    ),
    "own servers with another's region": (
        stored("https://s3.chy.example", "us-east-1", premises=PREMISES),
        "stages.local: store",
        THE_LIST,
    ),
    "own servers without a region of their own": (
        hosted(host="container", region="us-east-1", premises=PREMISES),
        "stages.local: region",
        "begins with 'fr-'",
    ),
    "a folder on a host": (hosted(folder=".local"), "stages.local: folder", "local stages have one"),
    "a local stage without a folder": (without("stages", "local", "folder"), "stages.local: folder", "have one"),
    "unknown key service": (
        lambda file: file["stages"]["local"]["key_service"].update(adapter="paper"),
        "stages.local.key_service",
        "'local', 'pkcs11', 'aws_kms', 'scaleway', 'custody'",
    ),
}

BAD_ORIGINS = (
    "http://dmp.example.fr",
    "dmp.example.fr",
    "https://",
    "https://dmp.example.fr/",
    "https://dmp.example.fr/fhir",
    "https://dmp.example.fr?",
    "https://dmp.example.fr#",
    "https://user@dmp.example.fr",
    "https://dmp.example.fr:443",
    "https://dmp.example.fr:port",
    "https://DMP.example.fr",
    "https://dmp example.fr",
    "https://dmp.example.fr\n",
    " https://dmp.example.fr",
    443,
)


BAD_SCHEDULES = (
    "",
    "rate()",
    "rate(hour)",
    "rate(0 hours)",
    "rate(01 hour)",
    "rate(1 hours)",
    "rate(2 hour)",
    "rate(1000 days)",
    "rate(1.5 hours)",
    "rate(-1 hours)",
    "rate(1  hour)",
    "rate(1 hour) ",
    "rate(1 hour)\n",
    "Rate(1 hour)",
    "rate(1 Hour)",
    "rate(30 seconds)",
    "rate(1 week)",
    "rate(\N{ARABIC-INDIC DIGIT ONE} hour)",
    "cron(0 * * * ? *)",
    "hourly",
)


def test_the_file_that_bad_ones_are_made_from_is_good(data: dict[str, Any]) -> None:
    assert parse_chalicefile(copy.deepcopy(data)).stages


GOOD_STAGES = {
    "aws": hosted(),
    "scaleway": hosted(host="scaleway", region="fr-par"),
    **{f"ovhcloud {region}": hosted(host="ovhcloud", region=region) for region in ("gra", "rbx", "sbg", "eu-west-par")},
    **{f"outscale {region}": hosted(host="outscale", region=region) for region in ("eu-west-2", "cloudgouv-eu-west-1")},
    "objects on aws": stored(None, "eu-west-3"),
    "objects on aws, by its private network": stored("https://x.s3.eu-west-3.vpce.amazonaws.com", "eu-west-3"),
    "objects on scaleway": stored("https://s3.fr-par.scw.cloud", "fr-par", host="scaleway", region="fr-par"),
    "objects on ovhcloud": stored("https://s3.gra.io.cloud.ovh.net", "gra"),
    "objects on outscale": stored("https://oos.cloudgouv-eu-west-1.outscale.com", "cloudgouv-eu-west-1"),
    "own servers": own(),
    "objects on own servers": stored("https://s3.chy.example", "fr-rennes", premises=PREMISES),
}


@pytest.mark.parametrize("edit", GOOD_STAGES.values(), ids=GOOD_STAGES)
def test_a_stage_on_french_soil_for_real_patients_is_good(edit: Edit, data: dict[str, Any]) -> None:
    file = copy.deepcopy(data)
    edit(file)
    assert parse_chalicefile(file).stages["local"].development_issuer is None


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_by_the_name_of_its_key_and_what_was_expected(name: str, data: dict[str, Any]) -> None:
    edit, key, expected = BAD_FILES[name]
    file = copy.deepcopy(data)
    edit(file)
    with pytest.raises(ChalicefileError) as refused:
        parse_chalicefile(file)
    text = str(refused.value)
    assert key in text
    assert expected in text
    assert "\n" not in text, "one sentence"


@pytest.mark.parametrize("origin", BAD_ORIGINS)
def test_what_no_proof_could_name_is_no_origin(origin: object, data: dict[str, Any]) -> None:
    file = copy.deepcopy(data)
    file["stages"]["local"]["origins"] = ["https://localhost:8443", origin]
    with pytest.raises(ChalicefileError) as refused:
        parse_chalicefile(file)
    assert str(refused.value) == f"chalicefile: stages.local.origins.1: {ORIGIN_FORM}"


@pytest.mark.parametrize("origin", ["https://localhost:8443", "https://dmp.example.fr", "https://[::1]:8443"])
def test_an_origin_is_kept_as_it_is_written(origin: str, data: dict[str, Any]) -> None:
    file = copy.deepcopy(data)
    file["stages"]["local"]["origins"] = [origin]
    assert parse_chalicefile(file).stages["local"].origins == (origin,)


@pytest.mark.parametrize(
    ("text", "every"),
    [
        ("rate(1 minute)", timedelta(minutes=1)),
        ("rate(5 minutes)", timedelta(minutes=5)),
        ("rate(1 hour)", timedelta(hours=1)),
        ("rate(12 hours)", timedelta(hours=12)),
        ("rate(1 day)", timedelta(days=1)),
        ("rate(999 days)", timedelta(days=999)),
    ],
)
def test_a_rate_is_kept_as_it_is_written_and_told_as_a_time(text: str, every: timedelta, data: dict[str, Any]) -> None:
    file = copy.deepcopy(data)
    file["functions"]["upkeep"]["schedule"] = text
    schedule = parse_chalicefile(file).functions["upkeep"].schedule
    assert schedule is not None
    assert (schedule.text, schedule.every) == (text, every)


@pytest.mark.parametrize("text", BAD_SCHEDULES)
def test_what_eventbridge_would_refuse_is_no_schedule(text: str, data: dict[str, Any]) -> None:
    file = copy.deepcopy(data)
    file["functions"]["upkeep"]["schedule"] = text
    with pytest.raises(ChalicefileError) as refused:
        parse_chalicefile(file)
    assert str(refused.value).startswith(f"chalicefile: functions.upkeep.schedule: {SCHEDULE_FORM}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ChalicefileError, match=r"^chalicefile is missing$"):
        read_chalicefile(tmp_path / "chalicefile")


@pytest.mark.parametrize("content", [b"format 1", b"{}", b"format = 1\nformat = 1\n", b"\xff\xfe"])
def test_what_is_not_toml_is_refused_with_the_place(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "chalicefile").write_bytes(content)
    with pytest.raises(ChalicefileError, match=r"^chalicefile is not TOML: .*(line|position) [0-9]"):
        read_chalicefile(tmp_path / "chalicefile")


def test_a_folder_in_its_place_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "chalicefile").mkdir()
    with pytest.raises(ChalicefileError, match=r"^chalicefile can't be read: Is a directory$"):
        read_chalicefile(tmp_path / "chalicefile")


def test_an_empty_file_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "chalicefile").write_text("", "utf-8")
    with pytest.raises(ChalicefileError, match=r"^chalicefile: format: Field required$"):
        read_chalicefile(tmp_path / "chalicefile")


@pytest.mark.parametrize(("days", "fits"), [(30, True), (31, False)])
def test_a_backup_is_not_locked_for_longer_than_a_deleted_record_may_stay_in_it(
    days: int, fits: bool, data: dict[str, Any]
) -> None:
    file = copy.deepcopy(data)
    spec = {"adapter": "s3", "region": "loopback", "endpoint": "https://127.0.0.1:1", "addressing": "path"}
    file["stages"]["local"]["backup"] = spec | {"buckets": {"": "a-backup"}, "lock_days": days}
    if fits:
        assert parse_chalicefile(file).stages["local"].backup is not None
    else:
        with pytest.raises(ChalicefileError, match="lock_days is 31"):
            parse_chalicefile(file)
    file["stages"]["local"]["rules"] = {"deleted_backup_days": 31}
    assert parse_chalicefile(file).stages["local"].rules.deleted_backup_days == 31
