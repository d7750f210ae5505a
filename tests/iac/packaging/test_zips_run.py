"""The bytes that go to Lambda: called with API Gateway's events, in an interpreter that has nothing else."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator

import pytest

from fixtures.lambda_gateway import Lambdas, https
from fixtures.lambdas import SCHEDULED_EVENT
from fixtures.packaged_stage import PackagedStage, packaged_stage
from fixtures.packages import Built
from fixtures.project import ROOT
from iac.packaging.build import LARGEST_UNZIPPED, LARGEST_ZIPPED
from iac.packaging.interpreter import Interpreter
from iac.packaging.wheels import AWS_SERVICES
from sceau.cli.documents import journey_documents
from sceau.cli.journey import Journey
from sceau.http.gateway import Gateway

pytestmark = pytest.mark.slow

COLD_START_SECONDS = 1.0
"""From the process's start to its first answer, of processor time. A machine that is busy with other things spends more
on the same work, never less: of several cold processes that do the same run by schedule the cheapest counts."""

MOST_STARTS = 3


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PackagedStage]:
    with packaged_stage(tmp_path_factory.mktemp("zips") / "stage") as made:
        yield made


@pytest.fixture(scope="module")
def lambdas(
    zips: Built, interpreter: Interpreter, stage: PackagedStage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lambdas]:
    # The packages' own stage has it on; the one that they serve here is another.
    on = {"rewrap": {"SCEAU_STAGE__SWITCHED_ON": '{"rewrap": "2999-01-01T00:00:00Z"}'}}
    folder = tmp_path_factory.mktemp("lambdas")
    made = Lambdas(zips, interpreter, stage, folder, lambda function: on.get(function, {}))
    try:
        yield made
    finally:
        made.stop()


def test_the_whole_journey_runs_on_the_packaged_bytes(
    lambdas: Lambdas, stage: PackagedStage, measured: Callable[[str], None]
) -> None:
    lambdas.start()
    spec, file = stage.stage.spec, stage.stage.file
    timeouts = {name: function.timeout_seconds for name, function in file.functions.items()}
    gateway = Gateway(lambdas.mounts(), largest_body_bytes=spec.largest_body_bytes, timeouts_seconds=timeouts)
    with https(gateway, stage):
        journey = Journey(stage.service, journey_documents(ROOT), lambdas.restart, lambda step: None)
        journey.play()
    for name, facts in lambdas.facts.items():
        if facts["schedule"] is not None:
            assert lambdas.running[name].invoke(SCHEDULED_EVENT, remaining=300_000).get("answer"), f"{name} failed"
    rewrapped = lambdas.running["rewrap"].invoke({}, remaining=900_000)["answer"]
    assert (rewrapped["records"], rewrapped["failed"]) == (1, 0)
    lambdas.stop()
    assert len(journey.steps) > 10

    used = [(name, process.reports) for name, process in lambdas.ended if process.reports]
    assert {name for name, _ in used} == {*file.deployed(spec), "rewrap"}
    for name, reports in used:
        assert {name for report in reports for name in report["strangers"]} == set(), "only what was packaged"
        peak = max(report["peak_kb"] for report in reports) / 1024
        assert peak < file.functions[name].memory_mb
        if file.functions[name].schedule is None:
            assert cheapest_start(lambdas, name) < COLD_START_SECONDS, name
        measured(f"{name}: first answer after {reports[0]['cpu_seconds']:.2f} s of CPU, at most {peak:.0f} MB")
    for name, facts in lambdas.facts.items():
        if facts["schedule"] is not None:
            for _ in range(MOST_STARTS - 1):
                if cheapest_start(lambdas, name) >= COLD_START_SECONDS:
                    run_by_schedule_anew(lambdas, stage, name)
            assert cheapest_start(lambdas, name) < COLD_START_SECONDS, name


def cheapest_start(lambdas: Lambdas, name: str) -> float:
    """Of a function's processes: the least processor time, in seconds, from the start to the first answer."""
    spent: list[float] = [
        process.reports[0]["cpu_seconds"] for own, process in lambdas.ended if own == name and process.reports
    ]
    return min(spent)


def run_by_schedule_anew(lambdas: Lambdas, stage: PackagedStage, name: str) -> None:
    """The first run of a cold process once more, with the day's check of the store to do as the first time."""
    shutil.rmtree(stage.folder.path / "store" / "objects" / "probe" / "daily", ignore_errors=True)
    lambdas.start()
    lambdas.running[name].invoke(SCHEDULED_EVENT, remaining=300_000)
    lambdas.stop()


def test_each_function_says_that_it_can_serve_in_a_cold_process(lambdas: Lambdas, stage: PackagedStage) -> None:
    lambdas.start()
    for name in lambdas.facts:
        if stage.stage.file.functions[name].routes:
            path = f"/healthz/{name}"
            identity = {"identity": {"sourceIp": "192.0.2.1"}}
            context = identity | {"resourcePath": path, "httpMethod": "GET", "requestId": "r", "path": path}
            event = {
                "resource": path,
                "path": path,
                "httpMethod": "GET",
                "headers": None,
                "multiValueHeaders": {},
                "queryStringParameters": None,
                "multiValueQueryStringParameters": None,
                "pathParameters": None,
                "stageVariables": None,
                "requestContext": context,
                "body": None,
                "isBase64Encoded": False,
            }
            assert lambdas.running[name].invoke(event)["answer"]["statusCode"] == 200
    lambdas.stop()


def test_the_zips_hold_what_they_must_and_weigh_what_they_may(zips: Built) -> None:
    layer = (zips.folder / "layer.zip").stat().st_size
    with zipfile.ZipFile(zips.folder / "layer.zip") as archive:
        names = archive.namelist()
        assert sum(info.file_size for info in archive.infolist()) < LARGEST_UNZIPPED
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert all(name.startswith("python/") for name in names)
    assert "python/chalice/app.py" in names
    assert not [name for name in names if name.startswith(("python/chalice/cli", "python/granian", "python/pip/"))]
    assert not [name for name in names if name.endswith((".pyi", ".h", ".pxd", ".pem")) and "botocore" not in name]
    services = {
        name.split("/")[3] for name in names if name.startswith("python/botocore/data/") and name.count("/") > 3
    }
    assert services == AWS_SERVICES
    for one in zips.package.artefacts:
        if one.facts["role"] == "function":
            with zipfile.ZipFile(zips.folder / one.facts["file"]) as archive:
                assert sorted(archive.namelist()) == ["__pycache__/app.cpython-313.pyc", "app.py", "chalicefile"]
            assert layer + one.packed_bytes < LARGEST_ZIPPED


def test_every_module_of_ours_has_its_bytecode_beside_it(zips: Built) -> None:
    with zipfile.ZipFile(zips.folder / "layer.zip") as archive:
        names = set(archive.namelist())
    for name in names:
        if name.endswith(".py"):
            folder, _, file = name.rpartition("/")
            assert f"{folder}/__pycache__/{file.removesuffix('.py')}.cpython-313.pyc" in names
