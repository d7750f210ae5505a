"""From the chalicefile to what a host needs: buckets, statements, routes, schedules."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from fixtures import hosted
from iac.derive.deployment import derive
from iac.derive.keys import PURPOSES, is_signing
from iac.derive.routes import check_disjoint, cron_of, path_regex
from iac.derive.stores import Buckets, Demand, DerivationError, needed, store_statements
from sceau.keys.ports import SIGNING_KEYS, KeyName
from sceau_schemas.deployment import parse_chalicefile

TABLE = {"": "records", "journal/events/": "events", "journal/log/": "log"}


@pytest.mark.parametrize(
    ("pattern", "buckets"),
    [
        ("records/*/dossier", ("records",)),
        ("records/", ("records",)),
        ("configuration/pseudonym", ("records",)),
        ("journal/events/", ("events",)),
        ("journal/log/", ("log",)),
        ("journal/records/", ("records",)),
        ("journal/", ("events", "log", "records")),
    ],
)
def test_a_pattern_leads_to_every_bucket_that_holds_such_names(pattern: str, buckets: tuple[str, ...]) -> None:
    assert Buckets(TABLE).of_pattern(pattern) == buckets


def test_the_longest_prefix_has_a_name() -> None:
    buckets = Buckets(TABLE)
    assert buckets.of_name("journal/events/2026-11-23/10/00/a.b") == "events"
    assert buckets.of_name("journal/eventsx") == "records"
    with pytest.raises(DerivationError, match="no bucket is named for 'records/x'"):
        Buckets({"journal/": "events"}).of_name("records/x")


def test_what_is_swapped_must_be_readable() -> None:
    with pytest.raises(DerivationError, match=r"ingest: replace on 'records/\*/dossier' needs read"):
        list(store_statements("ingest", {"records/*/dossier": ["replace"]}, Buckets(TABLE)))


def test_what_is_deleted_must_be_listable() -> None:
    with pytest.raises(DerivationError, match="upkeep: delete on 'replay/' needs list"):
        list(store_statements("upkeep", {"replay/": ["delete"], "revoked/": ["list"]}, Buckets(TABLE)))


def test_records_are_marked_as_deleted_and_marks_go_for_good() -> None:
    grants = {"records/": ["list"], "records/*/documents/": ["delete"], "replay/": ["list", "delete"]}
    deletions = {
        one.names: one.actions for one in store_statements("x", grants, Buckets(TABLE)) if one.operation == "delete"
    }
    assert deletions == {("records/*/documents/*",): ("s3:DeleteObject",), ("replay/*",): ("s3:DeleteObjectVersion",)}


def test_what_another_statement_says_already_is_said_once() -> None:
    grants = {
        "journal/log/": ["read", "replace"],
        "journal/log/tile/": ["create-locked"],
        "records/": ["list", "read"],
        "records/*/dossier": ["read"],
    }
    whole = list(store_statements("x", grants, Buckets(TABLE)))
    left = needed(whole)
    gone = [(one.operation, one.names, one.actions) for one in whole if one not in left]
    assert gone == [
        ("create-locked", ("journal/log/tile/*",), ("s3:PutObject",)),
        ("read", ("records/*/dossier",), ("s3:GetObject", "s3:GetObjectRetention")),
    ]
    assert needed(reversed(whole)) == tuple(one for one in reversed(whole) if one in left)


def test_a_statement_that_asks_for_less_or_of_another_role_is_not_what_another_says() -> None:
    locked = list(store_statements("x", {"journal/log/": ["create-locked"]}, Buckets(TABLE)))
    free = list(store_statements("x", {"journal/log/tile/": ["create"]}, Buckets(TABLE)))
    other = list(store_statements("y", {"journal/log/tile/": ["create-locked"]}, Buckets(TABLE)))
    assert needed([*locked, *free, *other]) == (*locked, *(one for one in free if one.operation), *other)


def test_every_role_may_ask_the_buckets_that_it_reaches_where_they_are() -> None:
    grants = {"journal/events/": ["create-locked"], "records/": ["read"]}
    asked = {one.bucket for one in store_statements("x", grants, Buckets(TABLE)) if one.operation is None}
    assert asked == {"events", "records"}


def test_a_write_says_what_it_must_carry() -> None:
    grants = {"records/*/dossier": ["read", "replace"], "journal/events/": ["create-locked"], "replay/": ["create"]}
    demands = {
        (one.names, one.demand, one.locked)
        for one in store_statements("x", grants, Buckets(TABLE))
        if "s3:PutObject" in one.actions
    }
    assert demands == {
        (("records/*/dossier",), Demand.ONCE, False),
        (("records/*/dossier",), Demand.SWAP, False),
        (("journal/events/*",), Demand.ONCE, True),
        (("replay/*",), Demand.ONCE, False),
    }


def test_the_journal_shares_its_bucket_with_nothing() -> None:
    spec = hosted.chalicefile().stages[hosted.AWS]
    with pytest.raises(DerivationError, match="needs a bucket with Object Lock"):
        derive(hosted.chalicefile(), "x", spec, {"": "all"})


def test_a_role_has_one_name() -> None:
    data = copy.deepcopy(hosted.data())
    data["tools"]["ingest"] = {"store": {"probe/": ["read"]}}
    with pytest.raises(DerivationError, match="'ingest' is a function and a tool"):
        hosted.deployment(hosted.AWS, parse_chalicefile(data))


def test_every_wrapping_key_has_the_purposes_of_its_contexts() -> None:
    assert set(PURPOSES) == set(KeyName) - SIGNING_KEYS
    assert all(is_signing(key) == (key not in PURPOSES) for key in KeyName)
    purposes = [purpose for found in PURPOSES.values() for purpose in found]
    assert len(purposes) == len(set(purposes)), "a purpose tells the key"


@pytest.mark.parametrize(
    ("rate", "cron"),
    [
        ("rate(1 minute)", "* * * * *"),
        ("rate(5 minutes)", "*/5 * * * *"),
        ("rate(1 hour)", "0 * * * *"),
        ("rate(6 hours)", "0 */6 * * *"),
        ("rate(1 day)", "0 0 * * *"),
    ],
)
def test_a_rate_is_a_cron_line(rate: str, cron: str) -> None:
    assert cron_of(rate) == cron


@pytest.mark.parametrize("rate", ["rate(7 minutes)", "rate(5 hours)", "rate(2 days)", "rate(90 minutes)"])
def test_a_rate_that_no_cron_line_keeps_evenly_is_refused(rate: str) -> None:
    with pytest.raises(DerivationError, match=re.escape(rate)):
        cron_of(rate)


def test_each_route_is_matched_by_its_own_rule_only() -> None:
    routes = [(m, p, one.name) for one in hosted.deployment(hosted.AWS).functions for m, p in one.routes]
    assert len(routes) > 30
    for method, path, function in routes:
        request = path.replace("{resource_id}", "abc.DEF-1_2")
        rules = {
            other_function
            for other_method, other, other_function in routes
            if other_method == method and re.search(path_regex(other), request)
        }
        assert rules == {function}, f"{method} {path}"


@pytest.mark.parametrize("path", ["/fhir/Patient/a/b", "/x/fhir/Patient/a", "/fhir/Patient/", "/fhirxPatient/a"])
def test_a_rule_matches_whole_paths(path: str) -> None:
    assert not re.search(path_regex("/fhir/Patient/{resource_id}"), path)


@pytest.mark.parametrize(
    "routes",
    [
        [("GET", "/fhir/List/{id}"), ("GET", "/fhir/List/recent")],
        [("GET", "/fhir/{kind}/x"), ("GET", "/fhir/List/{id}")],
    ],
)
def test_two_rules_for_one_request_are_refused(routes: list[tuple[str, str]]) -> None:
    with pytest.raises(DerivationError, match="a request could match"):
        check_disjoint(routes)


def test_a_stage_for_another_host_s_infrastructure_is_refused() -> None:
    data: dict[str, Any] = copy.deepcopy(hosted.data())
    data["stages"][hosted.AWS]["infrastructure"] = data["stages"][hosted.SCALEWAY]["infrastructure"]
    with pytest.raises(Exception, match="infrastructure: it is for scaleway, and the stage for aws"):
        parse_chalicefile(data)


@pytest.mark.parametrize("stage", [hosted.AWS, hosted.SCALEWAY])
def test_a_function_that_is_off_has_neither_role_nor_rights_until_its_stage_switches_it_on(stage: str) -> None:
    off = hosted.deployment(stage)
    assert "rewrap" not in {function.name for function in off.functions} | set(off.roles)
    assert not [right for right in off.key_rights() if right.role == "rewrap"]
    data = hosted.data()
    data["stages"][stage]["switched_on"] = {"rewrap": "2026-12-01T00:00:00Z"}
    on = hosted.deployment(stage, parse_chalicefile(data))
    assert "rewrap" in {function.name for function in on.functions}
    assert [right for right in on.key_rights() if right.role == "rewrap"]
    assert [one for one in on.store_statements() if one.role == "rewrap"]
