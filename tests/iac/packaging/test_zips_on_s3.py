"""The bytes that go to Lambda, on a real S3 server that enforces the synthesised policies: each is a user there.

Conditions on writes and locks are left out, which that server never fills; keys are the local stage's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError

from fixtures import hosted, store_with_users as users
from fixtures.keys_of_s3 import as_environment, with_keys
from fixtures.lambda_gateway import Lambdas, https
from fixtures.lambdas import SCHEDULED_EVENT
from fixtures.packaged_stage import PackagedStage, packaged_stage
from fixtures.packages import Built
from fixtures.project import ROOT
from iac.packaging.interpreter import Interpreter
from sceau.cli.documents import journey_documents
from sceau.cli.journey import Journey
from sceau.cli.local_s3 import s3_of
from sceau.cli.local_stage import LocalFolder
from sceau.cli.process import port_of
from sceau.cli.s3_server import Credentials
from sceau.http.gateway import Gateway
from sceau.stage import Stage
from sceau_schemas.stores import S3StoreSpec

pytestmark = pytest.mark.slow

KEYS = {"adapter": "local", "file": ".local-s3/keys.json"}
"""No HSM is reached from Lambda: its layer has no PKCS #11."""

SITES: dict[str, users.Site] = {}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PackagedStage, users.Site]]:
    """Stage `s3`, its buckets, and a user for each role under the policies of the template."""

    @contextmanager
    def store(stage: Stage, folder: LocalFolder) -> Iterator[None]:
        spec = stage.spec.store
        assert isinstance(spec, S3StoreSpec)
        assert spec.credentials_file is not None
        own = Credentials.read(stage.base / spec.credentials_file)
        tls = users.Certified(
            port_of(spec.origin),
            spec.region,
            (own.access_key, own.secret_key),
            folder.authority,
            folder.certificate,
            folder.certificate_key,
        )
        with users.running(tmp_path_factory.mktemp("server"), tls) as site, s3_of(stage, folder):
            users.make_users(site, sorted(hosted.deployment(hosted.AWS).roles))
            users.grant_as_on_aws(
                site, hosted.aws_templates()["service"], lambda bucket: bucket.replace("exemple-dmp-", "sceau-")
            )
            SITES["here"] = site
            yield

    folder = tmp_path_factory.mktemp("zips")
    with packaged_stage(folder / "stage", "s3", store, with_keys(folder, KEYS)) as made:
        yield made, SITES["here"]


@pytest.fixture(scope="module")
def lambdas(
    zips: Built,
    interpreter: Interpreter,
    served: tuple[PackagedStage, users.Site],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lambdas]:
    stage, site = served
    secrets = tmp_path_factory.mktemp("credentials")

    def own(function: str) -> Mapping[str, str]:
        if function not in site.users:
            return {}  # it is off on the stage whose rights these are, and on in the packages
        file = secrets / function
        if not file.exists():
            file.mkdir()
            Credentials(*site.users[function]).write(file / "credentials")
        own_store = {"SCEAU_STAGE__STORE__CREDENTIALS_FILE": str(file / "credentials")}
        return own_store | as_environment(KEYS, stage.folder.path)

    made = Lambdas(zips, interpreter, stage, tmp_path_factory.mktemp("lambdas"), own)
    try:
        yield made
    finally:
        made.stop()


def test_the_journey_runs_under_the_synthesised_store_policies(
    lambdas: Lambdas, served: tuple[PackagedStage, users.Site]
) -> None:
    stage, _ = served
    lambdas.start()
    spec, file = stage.stage.spec, stage.stage.file
    timeouts = {name: function.timeout_seconds for name, function in file.functions.items()}
    gateway = Gateway(lambdas.mounts(), largest_body_bytes=spec.largest_body_bytes, timeouts_seconds=timeouts)
    with https(gateway, stage):
        journey = Journey(stage.service, journey_documents(ROOT), lambdas.restart, lambda step: None)
        journey.play()
    for name, facts in lambdas.facts.items():
        if facts["schedule"] is not None:
            report = lambdas.running[name].invoke(SCHEDULED_EVENT, remaining=300_000)
            assert report.get("answer"), f"{name} failed: {report}"
    assert len(journey.steps) > 10


def test_the_same_credentials_open_nothing_of_another_function_s(served: tuple[PackagedStage, users.Site]) -> None:
    _, site = served
    [dossier, *_] = site.client().list_objects_v2(Bucket="sceau-records", Prefix="records/")["Contents"]
    for role in ("authentication", "journal", "operations"):
        with pytest.raises(ClientError) as refused:
            site.client(role).get_object(Bucket="sceau-records", Key=dossier["Key"])
        assert refused.value.response["Error"]["Code"] == "AccessDenied"
