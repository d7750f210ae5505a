"""Rights on the store, as S3 knows them: actions on names of one bucket, under conditions.

Both hosts speak S3, so their policies are made from the same statements; only the wrapping differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from sceau.objects.scoped import StoreOperation, covers_all


class DerivationError(Exception):
    """The chalicefile asks for what no host can give. The message is one sentence."""


class Demand(StrEnum):
    """What a write must carry to be allowed."""

    NOTHING = "nothing"
    ONCE = "once"  # If-None-Match: nothing is overwritten
    SWAP = "swap"  # If-Match: what was read is still there


@dataclass(frozen=True, slots=True)
class StoreStatement:
    """One role may do `actions` on the objects `names` of `bucket` (or list names that begin like `prefixes`).

    `operation` is None for what every role may that reaches the bucket: ask it where it is.
    """

    role: str
    operation: StoreOperation | None
    bucket: str
    actions: tuple[str, ...]
    names: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    demand: Demand = Demand.NOTHING
    locked: bool = False
    """The object must be put under retention by the same request."""


_READ = ("s3:GetObject", "s3:GetObjectRetention")
_READ_VERSIONS = ("s3:GetObjectVersion",)
_WRITE = ("s3:PutObject",)
_LOCK = ("s3:PutObjectRetention",)
_DELETE_VERSIONS = ("s3:DeleteObjectVersion",)
_LIST = ("s3:ListBucket", "s3:ListBucketVersions")  # a deletion, too, looks at the versions first
_WHERE = ("s3:GetBucketLocation",)

RECOVERABLE = ("records/", "configuration/")
"""What is deleted here is only marked as deleted: its versions stay (architecture.md, "At rest"). All else goes for
good, with every version. The S3 adapter deletes by the same names."""


class Buckets:
    """The stage's table from name prefix to bucket: of the prefixes that begin a name, the longest wins."""

    def __init__(self, table: Mapping[str, str]) -> None:
        self.table = dict(sorted(table.items(), key=lambda row: (-len(row[0]), row[0])))

    def of_name(self, name: str) -> str:
        """The bucket of an object. DerivationError when no prefix covers it."""
        for prefix, bucket in self.table.items():
            if name.startswith(prefix):
                return bucket
        raise DerivationError(f"no bucket is named for {name!r}")

    def of_pattern(self, pattern: str) -> tuple[str, ...]:
        """Every bucket that holds a name which `pattern` covers."""
        literal = pattern.partition("*")[0]
        found = {bucket for prefix, bucket in self.table.items() if prefix.startswith(literal)}
        if not literal.endswith("/") and "*" not in pattern:
            found = set()  # one name: only the longest prefix of it counts
        if any(literal.startswith(prefix) for prefix in self.table):
            found.add(self.of_name(literal))
        if not found:
            raise DerivationError(f"no bucket is named for {pattern!r}")
        return tuple(sorted(found))

    @property
    def names(self) -> tuple[str, ...]:
        """Every bucket once."""
        return tuple(sorted(set(self.table.values())))

    def prefixes_of(self, bucket: str) -> tuple[str, ...]:
        """The name prefixes that rest in this bucket."""
        return tuple(sorted(prefix for prefix, held in self.table.items() if held == bucket))


def store_statements(role: str, grants: Mapping[str, Iterable[str]], buckets: Buckets) -> Iterator[StoreStatement]:
    """The statements of one role. DerivationError where a grant can't be kept by a host."""
    listed = [pattern for pattern, operations in grants.items() if StoreOperation.LIST in frozenset(operations)]
    for pattern, operations in sorted(grants.items()):
        granted = frozenset(map(StoreOperation, operations))
        if StoreOperation.REPLACE in granted and StoreOperation.READ not in granted:
            raise DerivationError(f"{role}: replace on {pattern!r} needs read: S3 compares tags for readers only")
        asked = granted & {StoreOperation.DELETE, StoreOperation.DELETE_VERSIONS, StoreOperation.READ_VERSIONS}
        if asked and not any(covers_all(one, pattern.split("*")[0]) for one in listed):
            raise DerivationError(
                f"{role}: {min(asked)} on {pattern!r} needs list: S3 is asked for an object's versions first"
            )
        for bucket in buckets.of_pattern(pattern):
            for operation in sorted(granted):
                yield from _of_operation(role, operation, pattern, bucket)
    for bucket in sorted({bucket for pattern in grants for bucket in buckets.of_pattern(pattern)}):
        yield StoreStatement(role, None, bucket, _WHERE)


def needed(statements: Iterable[StoreStatement]) -> tuple[StoreStatement, ...]:
    """The statements without those that another of the same role says already: each one left counts."""
    found: list[StoreStatement] = []
    for one in statements:
        if not any(_says(other, one) for other in found):
            found = [*(other for other in found if not _says(one, other)), one]
    return tuple(found)


def _says(wider: StoreStatement, one: StoreStatement) -> bool:
    """Whether `wider` allows whatever `one` does. A `*` in a name of `one` is matched by a `*` of `wider` only."""
    return (
        (wider.role, wider.bucket) == (one.role, one.bucket)
        and set(one.actions) <= set(wider.actions)
        and wider.demand in (Demand.NOTHING, one.demand)
        and (one.locked or not wider.locked)
        and bool(wider.names) == bool(one.names)
        and bool(wider.prefixes) == bool(one.prefixes)
        and all(any(fnmatchcase(name, held) for held in wider.names) for name in one.names)
        and all(any(fnmatchcase(name, held) for held in wider.prefixes) for name in one.prefixes)
    )


def conditional_names(statements: Iterable[StoreStatement]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names that may only be written once, and those that may also be swapped, of what `statements` write.

    A folder of which some role swaps objects is not one of objects that are written once, even if another right creates
    some there. A single name that is created stays: nobody swaps it, whatever a wider pattern says.
    """
    written = [one for one in statements if one.demand is not Demand.NOTHING]
    swap = {name for one in written if one.demand is Demand.SWAP for name in one.names}
    once = {name for one in written for name in one.names} - swap
    folders = tuple(name.removesuffix("*") for name in swap if name.endswith("*"))
    return tuple(sorted(name for name in once if not (name.endswith("*") and name.startswith(folders)))), tuple(
        sorted(swap)
    )


def s3_names(pattern: str) -> str:
    """A pattern of the chalicefile as S3 writes it: a prefix covers everything behind it.

    `*` of S3 also matches "/", ours one segment. So `records/*/dossier` covers `records/x/documents/dossier` too: no
    such object can be, since an entry's name has 26 characters.
    """
    return f"{pattern}*" if pattern.endswith("/") else pattern


def _of_operation(role: str, operation: StoreOperation, pattern: str, bucket: str) -> Iterator[StoreStatement]:
    names = (s3_names(pattern),)

    def one(actions: tuple[str, ...], demand: Demand = Demand.NOTHING, *, locked: bool = False) -> StoreStatement:
        return StoreStatement(role, operation, bucket, actions, names, demand=demand, locked=locked)

    match operation:
        case StoreOperation.READ:
            yield one(_READ)
        case StoreOperation.READ_VERSIONS:
            yield one(_READ_VERSIONS)
        case StoreOperation.LIST:
            yield StoreStatement(role, operation, bucket, _LIST, prefixes=names)
        case StoreOperation.CREATE:
            yield one(_WRITE, Demand.ONCE)
        case StoreOperation.CREATE_LOCKED:
            yield one(_WRITE, Demand.ONCE, locked=True)
            yield one(_LOCK, locked=True)
        case StoreOperation.REPLACE:
            yield one(_WRITE, Demand.ONCE)
            yield one(_WRITE, Demand.SWAP)
        case StoreOperation.DELETE:
            kept = pattern.startswith(RECOVERABLE)
            yield one(("s3:DeleteObject",) if kept else _DELETE_VERSIONS)
        case StoreOperation.DELETE_VERSIONS:
            yield one(_DELETE_VERSIONS)
        case StoreOperation.EXTEND_LOCK:
            yield one(_LOCK, locked=True)
