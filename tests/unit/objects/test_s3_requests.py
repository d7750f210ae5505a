"""What leaves for S3, and where it may go: signed bodies, conditions, locks; one host and no other."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from fakes.s3_transport import Reply, timed_out
from sceau.objects.errors import (
    InvalidObjectName,
    ObjectAbsent,
    ObjectChanged,
    ObjectLocked,
    ObjectStoreUnavailable,
)
from sceau.objects.s3.client import Connection, make_client
from unit.objects.s3_world import (
    ABSENT,
    CREDENTIALS,
    DENIED,
    DOCUMENT,
    DOSSIER,
    EVENT,
    MARK,
    NOW,
    TAKEN,
    found,
    make_world,
    spec,
    written,
)

BODY = b"sealed \x00 bytes"


@pytest.mark.parametrize(
    ("addressing", "host", "path"),
    [("virtual", "dmp-records.s3.fr-par.scw.cloud", "/"), ("path", "s3.fr-par.scw.cloud", "/dmp-records/")],
)
def test_a_write_is_signed_with_its_body_and_goes_to_its_bucket(addressing: str, host: str, path: str) -> None:
    world = make_world(written(), addressing=addressing)
    world.store.create(DOCUMENT, BODY)
    (sent,) = world.sent
    assert (sent.method, sent.host, sent.path, sent.body) == ("PUT", host, path + DOCUMENT, BODY)
    digest = hashlib.sha256(BODY)
    assert sent.headers["x-amz-content-sha256"] == digest.hexdigest(), "the body is in the signature"
    assert sent.headers["x-amz-checksum-sha256"] == b64encode(digest.digest()).decode()
    signed = sent.headers["authorization"]
    assert "/fr-par/s3/aws4_request" in signed
    for header in ("host", "if-none-match", "x-amz-content-sha256", "x-amz-checksum-sha256"):
        assert header in signed
    assert "x-amz-trailer" not in sent.headers and "transfer-encoding" not in sent.headers
    assert "expect" not in sent.headers, "asking first would cost a round trip"


def test_an_event_goes_to_the_locked_bucket_with_its_own_retention_in_whole_seconds() -> None:
    world = make_world(written())
    until = datetime(2036, 3, 4, 10, 0, 0, 1, tzinfo=ZoneInfo("Europe/Paris"))
    world.store.create(EVENT, BODY, locked_until=until)
    (sent,) = world.sent
    assert sent.host == "dmp-events.s3.fr-par.scw.cloud"
    assert sent.headers["x-amz-object-lock-mode"] == "COMPLIANCE"
    assert sent.headers["x-amz-object-lock-retain-until-date"] == "2036-03-04T09:00:01Z"
    assert sent.headers["if-none-match"] == "*"
    assert sent.headers["x-amz-sdk-checksum-algorithm"] == "SHA256", "AWS asks for it with a lock"


def test_a_lock_without_time_zone_or_without_durability_is_refused_before_anything_is_sent() -> None:
    world = make_world()
    with pytest.raises(ValueError, match="time zone"):
        world.store.create(EVENT, BODY, locked_until=datetime(2036, 1, 1))  # noqa: DTZ001 - that is the point
    with pytest.raises(ValueError, match="durable"):
        world.store.create(EVENT, BODY, locked_until=NOW, durable=False)
    assert world.sent == []


@pytest.mark.parametrize("put", ['"abc-1"', "abc-1", 'W/"abc-1"'])
@pytest.mark.parametrize("get", ['"abc-1"', "abc-1", 'W/"abc-1"'])
def test_a_tag_is_the_same_however_a_host_dresses_it(put: str, get: str) -> None:
    world = make_world(written(put), found(BODY, get), written('"next"'))
    tag = world.store.replace(DOSSIER, BODY, expected=None)
    assert tag == world.store.read(DOSSIER).tag == "abc-1"
    world.store.replace(DOSSIER, b"next", expected=tag)
    assert world.sent[0].headers["if-none-match"] == "*"
    assert world.sent[2].headers["if-match"] == '"abc-1"'


@pytest.mark.parametrize("tag", ["", '"', 'a"b', "a b", "a\nb", "\x7f"])
def test_what_can_be_no_tag_has_lost_without_asking(tag: str) -> None:
    """Some servers take an empty If-Match for no condition at all."""
    world = make_world()
    with pytest.raises(ObjectChanged):
        world.store.replace(DOSSIER, BODY, expected=tag)
    assert world.sent == []


def test_an_object_without_a_tag_is_not_worked_with() -> None:
    world = make_world(Reply(body=b"x"))
    with pytest.raises(ObjectStoreUnavailable, match="without a tag"):
        world.store.read(DOSSIER)


# Locks


def test_a_swap_in_a_bucket_without_locks_asks_once() -> None:
    world = make_world(written())
    world.store.replace(DOSSIER, BODY, expected="e0")
    assert world.methods() == ["PUT"]


LOCKED = {"x-amz-object-lock-mode": "COMPLIANCE", "x-amz-object-lock-retain-until-date": "2026-03-02T09:30:01Z"}
OVER = {"x-amz-object-lock-mode": "COMPLIANCE", "x-amz-object-lock-retain-until-date": "2026-03-02T09:30:00Z"}


def test_where_locks_may_be_a_lock_is_looked_at_first_by_the_store_s_clock() -> None:
    name = "journal/log/checkpoint"
    world = make_world(found(b"", '"e0"', **LOCKED))
    with pytest.raises(ObjectLocked):
        world.store.replace(name, BODY, expected="e0")
    assert world.methods() == ["HEAD"]
    world = make_world(found(b"", '"other"', **LOCKED))
    with pytest.raises(ObjectChanged):
        world.store.replace(name, BODY, expected="e0")
    world = make_world(Reply(404))
    with pytest.raises(ObjectChanged):
        world.store.replace(name, BODY, expected="e0")
    world = make_world(found(b"", '"e0"', **OVER), written('"e1"'))
    assert world.store.replace(name, BODY, expected="e0") == "e1"


def test_a_lock_is_made_longer_and_never_shorter_whatever_the_host_would_do() -> None:
    world = make_world(found(b"", **LOCKED), Reply(), found(b"", **LOCKED))
    world.store.extend_lock(EVENT, NOW + timedelta(days=1))
    assert world.methods() == ["HEAD", "PUT"]
    sent = world.sent[1]
    assert "retention" in sent.query
    assert b"<Mode>COMPLIANCE</Mode><RetainUntilDate>2026-03-03T09:30:00" in sent.body
    with pytest.raises(ObjectLocked):
        world.store.extend_lock(EVENT, NOW)
    world.script.then(found(b"", **LOCKED))
    world.store.extend_lock(EVENT, NOW + timedelta(seconds=1))  # as it is: nothing is sent
    assert world.methods() == ["HEAD", "PUT", "HEAD", "HEAD"]


def test_a_longer_lock_that_lost_against_a_still_longer_one_is_said_to_be_locked() -> None:
    later = {**LOCKED, "x-amz-object-lock-retain-until-date": "2030-01-01T00:00:00Z"}
    world = make_world(found(b"", **LOCKED), DENIED, found(b"", **later))
    with pytest.raises(ObjectLocked):
        world.store.extend_lock(EVENT, NOW + timedelta(days=1))
    world = make_world(found(b"", **LOCKED), DENIED, found(b"", **LOCKED))
    with pytest.raises(ObjectStoreUnavailable, match="refuses"):
        world.store.extend_lock(EVENT, NOW + timedelta(days=1))


# Refusals that are told in a sentence


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (404, "NoSuchBucket", "a bucket of the store does not exist"),
        (403, "AccessDenied", "the store refuses what this function must be allowed to do"),
        (403, "InvalidAccessKeyId", "does not know the credentials"),
        (403, "SignatureDoesNotMatch", "credentials are wrong"),
        (400, "ExpiredToken", "credentials have expired"),
        (403, "RequestTimeTooSkewed", "clock and ours differ"),
        (400, "AuthorizationHeaderMalformed", "in another region"),
        (301, "PermanentRedirect", "in another region"),
        (400, "SomethingNew", r"the store refused \(400 SomethingNew\)"),
    ],
)
def test_a_refusal_is_a_sentence_and_changed_nothing(status: int, code: str, sentence: str) -> None:
    for act in ("create", "read", "replace", "list", "written_at", "versions"):
        asked_again = (act, code) == ("read", "AccessDenied")  # by a listing of that name: is it absent?
        world = make_world(*[Reply(status, code)] * (1 + asked_again))
        with pytest.raises(ObjectStoreUnavailable, match=sentence) as refused:
            match act:
                case "create":
                    world.store.create(DOCUMENT, BODY)
                case "replace":
                    world.store.replace(DOSSIER, BODY, expected="e0")
                case "list" | "versions":
                    list(getattr(world.store, act)("records/"))
                case _:
                    getattr(world.store, act)(DOSSIER)
        assert not refused.value.maybe_written
        assert refused.value.reason == code
        assert "secret" not in str(refused.value)
        assert len(world.sent) == 1 + asked_again


def page(*keys: str) -> Reply:
    contents = "".join(f"<Contents><Key>{key}</Key></Contents>" for key in keys)
    return Reply(body=f"<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>".encode())


@pytest.mark.parametrize("answer", [page(), page(f"{DOSSIER}-of-another")], ids=["nothing", "a longer name"])
def test_a_read_that_is_refused_is_of_what_is_absent_only_if_a_listing_of_that_name_says_so(answer: Reply) -> None:
    """AWS refuses to read what is absent, as it refuses what is forbidden, to whoever may not list."""
    world = make_world(DENIED, answer)
    with pytest.raises(ObjectAbsent):
        world.store.read(DOSSIER)
    asked = world.sent[1]
    assert {name: asked.query[name] for name in ("prefix", "max-keys")} == {"prefix": DOSSIER, "max-keys": "1"}


@pytest.mark.parametrize("answer", [page(DOSSIER), DENIED, Reply(404, "NoSuchBucket")], ids=["it", "no", "no bucket"])
def test_a_refusal_is_never_taken_for_absence(answer: Reply) -> None:
    world = make_world(DENIED, answer)
    with pytest.raises(ObjectStoreUnavailable, match="refuses what this function must be allowed to do"):
        world.store.read(DOSSIER)


def test_a_full_disk_may_have_been_written_to() -> None:
    world = make_world(*[Reply(507, "XMinioStorageFull")] * 6)
    with pytest.raises(ObjectStoreUnavailable, match="the store's disk is full") as full:
        world.store.create(DOCUMENT, BODY)
    assert full.value.maybe_written


def test_a_name_beside_another_is_said_to_be_invalid() -> None:
    world = make_world(Reply(409, "ObjectParentIsFile"), Reply(400, "XMinioParentIsObject"))
    for _ in range(2):
        with pytest.raises(InvalidObjectName):
            world.store.create(DOCUMENT, BODY)


def test_a_folder_that_another_is_deleting_is_asked_for_again() -> None:
    """versitygw says so while the last object of the new one's folder is deleted."""
    passing = Reply(409, "ExistingObjectIsDirectory")
    world = make_world(passing, passing, written())
    world.store.create(DOCUMENT, BODY)
    assert len(world.sent) == 3
    world = make_world(*[passing] * 6)
    with pytest.raises(InvalidObjectName):
        world.store.create(DOCUMENT, BODY)


def test_an_absent_object_is_absent_and_a_missing_bucket_is_not() -> None:
    world = make_world(ABSENT, Reply(404, "NoSuchBucket"))
    with pytest.raises(ObjectAbsent):
        world.store.read(DOSSIER)
    with pytest.raises(ObjectStoreUnavailable, match="bucket"):
        world.store.read(DOSSIER)


# Where requests may go


def test_a_bucket_that_says_it_moved_is_not_followed() -> None:
    elsewhere = {"x-amz-bucket-region": "us-east-1", "location": "https://dmp-records.s3.us-east-1.amazonaws.com/x"}
    for status, code in ((301, "PermanentRedirect"), (307, "TemporaryRedirect"), (400, "AuthorizationHeaderMalformed")):
        world = make_world(Reply(status, code, headers=elsewhere), written())
        with pytest.raises(ObjectStoreUnavailable):
            world.store.create(DOCUMENT, BODY)
        assert [one.host for one in world.sent] == ["dmp-records.s3.fr-par.scw.cloud"]
        world.store.create(DOCUMENT, BODY)  # and the client has learnt nothing from it
        assert world.sent[1].host == "dmp-records.s3.fr-par.scw.cloud"
        assert "/fr-par/s3/" in world.sent[1].headers["authorization"]


def test_no_variable_of_the_environment_sends_requests_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, "https://evil.example")
    for name in ("AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT", "AWS_S3_USE_ARN_REGION"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    (tmp_path / "credentials").write_text(CREDENTIALS, "utf-8")
    for changes in ({}, {"endpoint": None, "region": "eu-west-3"}):
        client = make_client(Connection(spec(**changes), tmp_path, 1))
        origin = spec(**changes).origin
        assert client.meta.endpoint_url == origin
        hosts: list[str] = []

        def note(request: object, hosts: list[str] = hosts, **_: object) -> None:
            hosts.append(str(getattr(request, "url", "")))
            raise ConnectionResetError

        client.meta.events.register_last("before-send.s3", note)
        with pytest.raises(ConnectionResetError):
            client.get_object(Bucket="dmp-records", Key="x")
        assert hosts == [origin.replace("https://", "https://dmp-records.") + "/x"]


def test_a_request_for_another_host_never_leaves() -> None:
    world = make_world()

    def astray(request: object, **_: object) -> None:
        request.url = "https://evil.example/x"  # type: ignore[attr-defined]

    world.client.meta.events.register("before-sign.s3", astray, unique_id="astray")
    try:
        with pytest.raises(ObjectStoreUnavailable, match="another address") as refused:
            world.store.create(DOCUMENT, BODY)
    finally:
        world.client.meta.events.unregister("before-sign.s3", unique_id="astray")
    assert world.sent == []
    assert not refused.value.maybe_written


# Credentials


def test_a_credentials_file_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA-of-another")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_PROFILE", "another")
    world = make_world(written(), region="fr-par")
    world.store.create(DOCUMENT, BODY)
    assert "Credential=AKIA-test/" in world.sent[0].headers["authorization"]
    (tmp_path / "credentials").write_text("[default]\n", "utf-8")
    client = make_client(Connection(spec(), tmp_path, 1))
    with pytest.raises(Exception, match="Unable to locate credentials"):
        client.get_object(Bucket="dmp-records", Key="x")


def test_without_a_file_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA-of-the-container")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    world = make_world(written(), credentials_file=None)
    world.store.create(DOCUMENT, BODY)
    assert "Credential=AKIA-of-the-container/" in world.sent[0].headers["authorization"]


@pytest.mark.parametrize("missing", ["credentials_file", "ca_file"])
def test_a_file_that_is_missing_is_named_at_the_start(missing: str, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(CREDENTIALS, "utf-8")
    with pytest.raises(ObjectStoreUnavailable, match=r"file nowhere\.pem of the store is missing"):
        make_client(Connection(spec(**{missing: "nowhere.pem"}), tmp_path, 1))


def test_nobody_s_credentials_are_a_sentence_and_nothing_leaves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    world = make_world(credentials_file=None, region="eu-west-par", endpoint="https://s3.eu-west-par.io.cloud.ovh.net")
    with pytest.raises(ObjectStoreUnavailable, match="NoCredentials") as refused:
        world.store.create(DOCUMENT, BODY)
    assert not refused.value.maybe_written
    assert world.sent == []


def test_marks_are_written_like_everything_else() -> None:
    world = make_world(timed_out(), written(), TAKEN)
    world.store.create(MARK, b"", durable=False)
    assert world.methods() == ["PUT", "PUT"]
