"""Least privilege on the store: what a grant covers, and that nothing else reaches the store."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from fakes.clock import ManualClock
from fakes.objects import MemoryStore, PolicingStore
from sceau.objects.errors import InvalidObjectName, ObjectAbsent, ObjectLocked, ObjectRightDenied
from sceau.objects.ports import ObjectStore, check_prefix
from sceau.objects.scoped import ScopedStore, StoreGrant, StoreOperation, covers, covers_all, parse_grants

CLOCK = ManualClock()
UNTIL = CLOCK() + timedelta(days=1)
ALL = frozenset(StoreOperation)

CALLS: list[tuple[StoreOperation, Callable[[ObjectStore, str], object]]] = [
    (StoreOperation.READ, lambda store, name: store.read(name)),
    (StoreOperation.LIST, lambda store, name: store.written_at(name)),
    (StoreOperation.CREATE, lambda store, name: store.create(name, b"")),
    (StoreOperation.CREATE, lambda store, name: store.create(name, b"", durable=False)),
    (StoreOperation.CREATE_LOCKED, lambda store, name: store.create(name, b"", locked_until=UNTIL)),
    (StoreOperation.REPLACE, lambda store, name: store.replace(name, b"", expected=None)),
    (StoreOperation.DELETE, lambda store, name: store.delete(name)),
    (StoreOperation.EXTEND_LOCK, lambda store, name: store.extend_lock(name, UNTIL)),
]


def watched() -> PolicingStore:
    return PolicingStore(MemoryStore(CLOCK))


# --- what a pattern covers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "covered", "not_covered"),
    [
        ("due/", ["due/a", "due/a/b"], ["due", "due2/a", "adue/a", "a/due/b"]),
        ("a/b", ["a/b"], ["a", "a/b/c", "a/bc", "a/b.c", "x/a/b"]),
        ("records/*/dossier", ["records/r/dossier"], ["records/dossier", "records/r/s/dossier", "records/r/dossier2"]),
        (
            "records/*/documents/",
            ["records/r/documents/e", "records/r/documents/e/f"],
            ["records/r/documents", "records/r/dossier", "records/documents/e", "records/r/s/documents/e"],
        ),
        ("*/x", ["a/x", "x/x"], ["x", "a/b/x", "a/y"]),
        ("*", ["a"], ["a/b"]),
        ("*/", ["a/b", "a/b/c"], ["a"]),
    ],
)
def test_a_pattern_covers_these_names_and_not_those(pattern: str, covered: list[str], not_covered: list[str]) -> None:
    assert [name for name in covered if not covers(pattern, name)] == []
    assert [name for name in not_covered if covers(pattern, name)] == []


@pytest.mark.parametrize(
    ("pattern", "covered", "not_covered"),
    [
        ("revoked/", ["revoked/", "revoked/12", "revoked/12/", "revoked/12/a"], ["", "revoked", "revoke", "r", "due/"]),
        (
            "records/*/documents/",
            ["records/r/documents/", "records/r/documents/e"],
            ["records/", "records/r", "records/r/", "records/r/documents", "records/r/do", ""],
        ),
        ("records/*/dossier", [], ["records/r/dossier", "records/r/", ""]),
        ("*/", ["a/", "a/b"], ["", "a"]),
        ("a", [], ["a", "", "a/"]),
    ],
)
def test_a_pattern_covers_all_names_with_these_prefixes_and_not_those(
    pattern: str, covered: list[str], not_covered: list[str]
) -> None:
    assert [prefix for prefix in covered if not covers_all(pattern, prefix)] == []
    assert [prefix for prefix in not_covered if covers_all(pattern, prefix)] == []


SEGMENTS = st.sampled_from(["a", "b", "ab", "a.b", "-", "..."])
NAMES = st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join)
PATTERNS = st.builds(
    lambda segments, end: "/".join(segments) + end,
    st.lists(SEGMENTS | st.just("*"), min_size=1, max_size=4),
    st.sampled_from(["", "/"]),
)


@given(pattern=PATTERNS, name=NAMES)
def test_covering_is_what_the_same_pattern_says_as_a_regular_expression(pattern: str, name: str) -> None:
    expression = re.escape(pattern).replace(r"\*", "[^/]+") + (".+" if pattern.endswith("/") else "")
    assert covers(pattern, name) == bool(re.fullmatch(expression, name))


@given(data=st.data(), pattern=PATTERNS, more=NAMES)
def test_a_prefix_is_covered_only_if_every_name_that_begins_with_it_is(
    data: st.DataObject, pattern: str, more: str
) -> None:
    spelt_out = pattern.replace("*", data.draw(SEGMENTS)) + data.draw(NAMES)
    prefix = data.draw(st.just(spelt_out) | NAMES)
    prefix = check_prefix(prefix[: data.draw(st.integers(0, len(prefix)))])
    if covers_all(pattern, prefix):
        assert covers(pattern, prefix + more)
    else:
        # A witness: a segment that no pattern here spells out, at one of these depths.
        assert not all(covers(pattern, prefix + "zz" + "/zz" * depth) for depth in range(5))


# --- reading grants ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern",
    ["", "/", "/a", "a//b", "a/../b", "..", "./a", "a/.", "a/..", "a*", "a/*b/", "**", "a b", "é/", "a\n", "a" * 256],
)
def test_a_bad_pattern_is_named(pattern: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(pattern))):
        StoreGrant.parse(pattern, ["read"])


@pytest.mark.parametrize("operations", [["read", "write"], ["READ"], [], ["*"], [""]])
def test_bad_operations_are_named_with_their_pattern(operations: list[str]) -> None:
    with pytest.raises(ValueError, match=r"'due/'") as raised:
        StoreGrant.parse("due/", operations)
    for wrong in set(operations) - {"read"}:
        assert repr(wrong) in str(raised.value)


@given(pattern=PATTERNS)
def test_all_patterns_of_the_grammar_are_read(pattern: str) -> None:
    grants = parse_grants({pattern: ["read", "create-locked"]})
    assert grants == (StoreGrant(pattern, frozenset({StoreOperation.READ, StoreOperation.CREATE_LOCKED})),)


# --- the store ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("granted", list(StoreOperation))
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0])
def test_each_operation_needs_its_own_grant(
    granted: StoreOperation, call: tuple[StoreOperation, Callable[[ObjectStore, str], object]]
) -> None:
    operation, act = call
    inner = watched()
    inner.inner.create("probe/there", b"")
    scoped = ScopedStore(inner, [StoreGrant("probe/", frozenset({granted})), StoreGrant("y/", ALL)])
    writes_new = {StoreOperation.CREATE, StoreOperation.CREATE_LOCKED, StoreOperation.REPLACE}
    name = "probe/new" if operation in writes_new else "probe/there"
    if operation is granted:
        act(scoped, name)
        assert [(seen.operation, seen.name) for seen in inner.calls] == [(operation, name)]
    else:
        with pytest.raises(ObjectRightDenied, match=name):
            act(scoped, name)
        assert inner.calls == []
        assert list(inner.inner.list("")) == ["probe/there"]


@pytest.mark.parametrize("granted", list(StoreOperation))
def test_who_reads_an_object_or_makes_its_lock_longer_may_ask_until_when_it_is_locked(granted: StoreOperation) -> None:
    inner = watched()
    inner.inner.create("probe/there", b"", locked_until=UNTIL)
    scoped = ScopedStore(inner, [StoreGrant("probe/", frozenset({granted})), StoreGrant("y/", ALL)])
    if granted in (StoreOperation.READ, StoreOperation.EXTEND_LOCK):
        assert scoped.locked_until("probe/there") == UNTIL
    else:
        with pytest.raises(ObjectRightDenied, match="probe/there"):
            scoped.locked_until("probe/there")
        assert inner.calls == []


def test_listing_needs_the_right_to_list_all_that_it_could_give() -> None:
    inner = watched()
    inner.inner.create("probe/1/a", b"")
    scoped = ScopedStore(
        inner,
        [
            StoreGrant("probe/", ALL - {StoreOperation.LIST}),
            StoreGrant("probe/*/", frozenset({StoreOperation.LIST})),
            StoreGrant("probe/1", frozenset({StoreOperation.LIST})),
        ],
    )
    for prefix in ("", "probe", "probe/", "probe/1"):
        with pytest.raises(ObjectRightDenied):
            scoped.list(prefix)
        with pytest.raises(ObjectRightDenied):
            scoped.versions(prefix)
    assert inner.calls == []
    assert list(scoped.list("probe/1/")) == ["probe/1/a"]
    assert [kept.name for kept in scoped.versions("probe/1/")] == ["probe/1/a"]
    assert list(scoped.list("probe/1/", after="probe/1/a")) == []


def test_two_grants_that_cover_a_listing_only_together_do_not_allow_it() -> None:
    """Each name is covered, but the next name to come may not be."""
    list_only = frozenset({StoreOperation.LIST})
    scoped = ScopedStore(watched(), [StoreGrant("probe/a", list_only), StoreGrant("probe/a/", list_only)])
    with pytest.raises(ObjectRightDenied):
        scoped.list("probe/a")


def test_names_that_climb_out_of_a_grant_are_no_names() -> None:
    inner = watched()
    scoped = ScopedStore(inner, [StoreGrant("records/*/documents/", ALL)])
    for name in ("records/r/documents/../dossier", "records/r/documents/", "records/r/documents//e", "records/../x/a"):
        for _, act in CALLS:
            with pytest.raises(InvalidObjectName):
                act(scoped, name)
    for prefix in ("records/r/documents/../", "records/../documents/"):
        with pytest.raises(InvalidObjectName):
            scoped.list(prefix)
    assert inner.calls == []


def test_without_grants_nothing_is_allowed() -> None:
    inner = watched()
    scoped = ScopedStore(inner, [])
    for _, act in CALLS:
        with pytest.raises(ObjectRightDenied):
            act(scoped, "probe/a")
    for listing in (scoped.list, scoped.versions):
        with pytest.raises(ObjectRightDenied):
            listing("probe/")
    assert inner.calls == []
    assert scoped.time() == CLOCK(), "the store's clock is told by every answer"


def test_what_is_allowed_is_passed_on_whole_and_answered_truly() -> None:
    inner = MemoryStore(CLOCK)
    scoped = ScopedStore(inner, parse_grants({"probe/": [*StoreOperation]}))
    scoped.create("probe/event", b"event", locked_until=UNTIL)
    assert inner.locked_until("probe/event") == UNTIL == scoped.locked_until("probe/event")
    assert inner.written_at("probe/event") == CLOCK() == scoped.written_at("probe/event")
    with pytest.raises(ObjectLocked):
        scoped.delete("probe/event")
    tag = scoped.replace("probe/dossier", b"1", expected=None)
    assert scoped.read("probe/dossier") == inner.read("probe/dossier")
    scoped.replace("probe/dossier", b"2", expected=tag)
    with pytest.raises(ObjectAbsent):
        scoped.read("probe/none")
