"""Names over several buckets, pages and versions; and what goes when something is deleted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from fakes.s3_transport import Reply, Sent
from sceau.objects.errors import ObjectAbsent, ObjectLocked, ObjectStoreUnavailable
from sceau.objects.ports import Kept
from sceau.objects.s3.naming import Naming
from sceau.objects.s3.versions import written_at
from unit.objects.s3_world import BUCKETS, DENIED, DOCUMENT, DOSSIER, EVENT, MARK, NOW, World, found, make_world

RECORDS, EVENTS, LOG = "dmp-records", "dmp-events", "dmp-log"


def listing(*keys: str, truncated: bool = False) -> bytes:
    contents = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-03-02T09:00:00Z</LastModified></Contents>" for key in keys
    )
    return (
        f"<ListBucketResult><IsTruncated>{str(truncated).lower()}</IsTruncated>{contents}</ListBucketResult>".encode()
    )


def version(key: str, number: str, *, latest: bool = False, mark: bool = False) -> str:
    kind = "DeleteMarker" if mark else "Version"
    etag = "" if mark else "<ETag>e</ETag>"
    when = f"2026-03-02T09:0{number}:00Z"
    return (
        f"<{kind}><Key>{key}</Key><VersionId>v{number}</VersionId><IsLatest>{str(latest).lower()}</IsLatest>"
        f"<LastModified>{when}</LastModified>{etag}</{kind}>"
    )


def versions(*entries: str, after: tuple[str, str] | None = None) -> bytes:
    more = f"<IsTruncated>{str(after is not None).lower()}</IsTruncated>"
    if after:
        more += f"<NextKeyMarker>{after[0]}</NextKeyMarker><NextVersionIdMarker>{after[1]}</NextVersionIdMarker>"
    return f"<ListVersionsResult>{more}{''.join(entries)}</ListVersionsResult>".encode()


def holding(objects: dict[str, list[str]]) -> Callable[[Sent], Reply]:
    """Answers listings from what each bucket holds, pages of two."""

    def answer(sent: Sent) -> Reply:
        bucket = sent.host.partition(".")[0]
        start = sent.query.get("start-after", "")
        keys = [key for key in sorted(objects.get(bucket, ())) if key.startswith(sent.query["prefix"]) and key > start]
        return Reply(body=listing(*keys[:2], truncated=len(keys) > 2))

    return answer


def world_with(**objects: list[str]) -> World:
    world = make_world()
    world.script.then(*[holding({f"dmp-{name}": keys for name, keys in objects.items()})] * 20)
    return world


# The table of prefixes


def test_the_longest_prefix_decides() -> None:
    naming = Naming({"": "a", "journal/": "b", "journal/events/": "c"})
    assert [naming.bucket_of(name) for name in ("records/x", "journal", "journal/x", "journal/events/x")] == [
        *("a", "a", "b", "c")
    ]
    assert naming.all() == ["a", "b", "c"]


def test_a_listing_asks_the_buckets_that_can_have_its_names_and_no_others() -> None:
    world = world_with(records=["records/a", "replay/b"], events=[], log=[])
    assert list(world.store.list("records/")) == ["records/a"]
    assert {one.host.partition(".")[0] for one in world.sent} == {RECORDS}
    world = world_with(records=[], events=["journal/events/a"], log=[])
    assert list(world.store.list("journal/events/")) == ["journal/events/a"]
    assert {one.host.partition(".")[0] for one in world.sent} == {EVENTS}


def test_names_of_several_buckets_come_in_one_order() -> None:
    world = world_with(
        records=["a", "journal/a", "journal/f", "journal/z", "z"],
        events=["journal/events/1", "journal/events/2", "journal/events/3"],
        log=["journal/log/1"],
    )
    expected = [
        *("journal/a", "journal/events/1", "journal/events/2", "journal/events/3", "journal/f"),
        *("journal/log/1", "journal/z"),
    ]
    assert list(world.store.list("journal/")) == expected
    assert list(world.store.list("journal/", after="journal/events/2")) == expected[3:]
    assert list(world.store.list("")) == ["a", *expected, "z"]


def test_what_lies_in_a_bucket_that_does_not_have_its_name_is_not_seen() -> None:
    world = world_with(records=["journal/events/forged", "records/a"], events=["records/forged"], log=[])
    assert list(world.store.list("")) == ["records/a"]
    assert list(world.store.list("journal/events/")) == []


def test_keys_that_are_no_names_of_ours_are_passed_over_and_do_not_end_the_listing() -> None:
    world = world_with(records=["records/", "records/a b", "records/a/../b", "records/b", "records/c//d", "records/e"])
    assert list(world.store.list("records/")) == ["records/b", "records/e"]


def test_a_file_that_versitygw_is_about_to_put_in_place_is_passed_over() -> None:
    world = world_with(records=["records/.dossier.sgwtmp.1795742577751632639", "records/dossier"])
    assert list(world.store.list("records/")) == ["records/dossier"]


def test_two_prefixes_of_one_bucket_are_listed_once() -> None:
    naming = Naming({"": "a", "journal/events/": "b", "journal/log/": "b"})
    assert naming.parts("journal/") == [
        ("", "journal/"),
        ("journal/events/", "journal/events/"),
        ("journal/log/", "journal/log/"),
    ]
    assert naming.parts("journal/events/x") == [("journal/events/", "journal/events/x")]


def test_a_listing_that_breaks_off_says_so() -> None:
    world = make_world(Reply(body=listing("records/a", truncated=True)), DENIED)
    names = world.store.list("records/")
    assert next(names) == "records/a"
    with pytest.raises(ObjectStoreUnavailable):
        next(names)


# When something was written


def test_the_age_of_an_object_is_a_listing_s() -> None:
    world = make_world(Reply(body=listing(DOSSIER)), Reply(body=listing(f"{DOSSIER}.other")), Reply(body=listing()))
    assert world.store.written_at(DOSSIER).isoformat() == "2026-03-02T09:00:00+00:00"
    for _ in range(2):
        with pytest.raises(ObjectAbsent):
            world.store.written_at(DOSSIER)
    assert [one.query["prefix"] for one in world.sent] == [DOSSIER] * 3


# Versions


def test_versions_are_counted_by_name_over_pages_and_marks_hide() -> None:
    world = make_world(
        Reply(
            body=versions(
                version("records/a", "1", latest=True),
                version("records/b", "3", latest=True),
                after=("records/b", "v3"),
            )
        ),
        Reply(
            body=versions(
                version("records/b", "2"), version("records/c", "1"), version("records/c", "2", latest=True, mark=True)
            )
        ),
    )
    assert list(world.store.versions("records/")) == [
        Kept("records/a", 1, hidden=False),
        Kept("records/b", 2, hidden=False),
        Kept("records/c", 1, hidden=True, deletions=1),
    ]
    assert world.sent[1].query["key-marker"] == "records/b"
    assert world.sent[1].query["version-id-marker"] == "v3"


@pytest.mark.parametrize(
    ("version_id", "written"),
    [
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", datetime(2016, 7, 30, 23, 54, 10, 259_000, tzinfo=UTC)),  # the ULID of its spec
        ("3L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY", NOW),  # AWS
        ("3b1f0f2a-5b3f-4b53-9d0e-6a3c7f1d2e4a", NOW),  # MinIO
        ("91ARZ3NDEKTSV4RRFFQ69G5FAV", NOW),
        ("null", NOW),
    ],
)
def test_a_version_is_dated_by_its_host_or_by_the_id_that_says_more(version_id: str, written: datetime) -> None:
    assert written_at({"VersionId": version_id, "LastModified": NOW}) == written


# Deletion


def test_in_records_a_deletion_is_a_mark_and_the_version_stays() -> None:
    for name in (DOCUMENT, DOSSIER, "configuration/clients/a"):
        world = make_world(Reply(body=versions(version(name, "1", latest=True))), Reply(204))
        world.store.delete(name)
        assert [one.method for one in world.sent] == ["GET", "DELETE"]
        assert "versionId" not in world.sent[1].query


def test_elsewhere_all_versions_go_and_the_present_one_last() -> None:
    entries = (
        version(MARK, "3", latest=True),
        version(MARK, "1"),
        version(MARK, "2"),
        version(f"{MARK}x", "9", latest=True),
    )
    world = make_world(Reply(body=versions(*entries)), *[Reply(204)] * 3)
    world.store.delete(MARK)
    assert [one.query["versionId"] for one in world.sent[1:]] == ["v1", "v2", "v3"]


@pytest.mark.parametrize(
    "entries",
    [(), (version(MARK, "1"), version(MARK, "2", latest=True, mark=True)), (version(f"{MARK}x", "1", latest=True),)],
)
def test_what_is_not_there_can_not_be_deleted(entries: tuple[str, ...]) -> None:
    world = make_world(Reply(body=versions(*entries)))
    with pytest.raises(ObjectAbsent):
        world.store.delete(MARK)


LOCK = {"x-amz-object-lock-mode": "COMPLIANCE", "x-amz-object-lock-retain-until-date": "2036-01-01T00:00:00Z"}


@pytest.mark.parametrize("refusal", [DENIED, Reply(400, "InvalidRequest")], ids=["AWS", "MinIO"])
def test_a_deletion_refused_by_a_lock_is_said_to_be(refusal: Reply) -> None:
    world = make_world(Reply(body=versions(version(EVENT, "1", latest=True))), refusal, found(b"", **LOCK))
    with pytest.raises(ObjectLocked):
        world.store.delete(EVENT)
    assert world.sent[2].query == {"versionId": "v1"}


def test_a_deletion_refused_without_a_lock_is_a_refusal() -> None:
    world = make_world(Reply(body=versions(version(EVENT, "1", latest=True))), DENIED, found(b""))
    with pytest.raises(ObjectStoreUnavailable, match="refuses"):
        world.store.delete(EVENT)


def test_the_buckets_say_where_they_are() -> None:
    where = b"<LocationConstraint>%s</LocationConstraint>"
    world = make_world(Reply(body=where % b"FR-PAR"), Reply(body=where % b""), Reply(body=where % b"eu-west-1"))
    assert world.store.locations() == {"dmp-events": "fr-par", "dmp-log": "us-east-1", "dmp-records": "eu-west-1"}
    assert BUCKETS[""] == "dmp-records"
