"""The controls. Each gives its findings; none means that the plan holds.

Requirement numbers: HDS v2 (arrêté of 26 April 2024), as numbered in its machine-readable copy; PGSSI-S by name; GDPR
article 32 by paragraph.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from iac.controls.model import Finding, Plan
from iac.derive.deployment import EVENTS, LOCKED, Deployment
from iac.policies.cells import OBJECTS, Cell, expected
from iac.policies.language import PolicyNotUnderstood
from iac.policies.requests import Call
from sceau.keys.ports import KeyName
from sceau.keys.scoped import KeyOperation
from sceau_schemas import soil
from sceau_schemas.infrastructure import LOG_DAYS

Said = Iterator[tuple[str, str]]

_LONGEST_ROTATION_DAYS: Final = 365


@dataclass(frozen=True, slots=True)
class Control:
    """One control: its name, the requirements that it gives evidence for, what it says, and how it looks."""

    name: str
    hds: tuple[str, ...]
    others: tuple[str, ...]
    text: str
    look: Callable[[Plan, Deployment], Said]

    def findings(self, plan: Plan, deployment: Deployment) -> Iterator[Finding]:
        """What it does not accept, as it is found."""
        try:
            for address, text in self.look(plan, deployment):
                yield Finding(self.name, address, text)
        except PolicyNotUnderstood as error:  # what can't be judged is not accepted
            yield Finding(self.name, plan.host, f"a policy has {error}, which is not judged here")


def _french_soil(plan: Plan, deployment: Deployment) -> Said:
    accepted = set(soil.regions_of(plan.host)) & {deployment.region}
    for address, region in plan.regions:
        if region not in accepted:
            yield address, f"{region} is not the stage's region on French soil"
    if not plan.regions:
        yield plan.host, "nothing says where it is"


_UNDOES: Final = tuple(Call(action) for action in ("s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"))
"""An event written over without a condition, deleted, or deleted for good."""


def _write_once(plan: Plan, deployment: Deployment) -> Said:
    held = {bucket.name: bucket for bucket in plan.buckets}
    for prefix in LOCKED:
        bucket = held.get(deployment.buckets.of_name(prefix))
        if bucket is None:
            yield prefix, "no bucket holds it"
            continue
        days = deployment.retention_days if prefix == EVENTS else 1
        if bucket.lock_mode != "COMPLIANCE":
            yield bucket.address, f"{prefix} is not locked in COMPLIANCE mode"
        if bucket.lock_days < days:
            yield bucket.address, f"{prefix} is locked for {bucket.lock_days} days, not {days}"
    for bucket in plan.buckets:
        if not bucket.versioned:
            yield bucket.address, "earlier versions are not kept"
        if bucket.expires:
            yield bucket.address, "a rule of the host deletes or moves objects by itself"
    event = OBJECTS["event"]
    for role in deployment.roles:
        for call in _UNDOES:
            if plan.access.object(role, call, deployment.buckets.of_name(event), event):
                yield role, f"it may call {call.action} on an event"


def _no_public_access(plan: Plan, deployment: Deployment) -> Said:
    del deployment
    for bucket in plan.buckets:
        if not bucket.private:
            yield bucket.address, "it is not private"
    for door in plan.doors:
        if door.open and not door.wanted:
            yield door.address, "it can be reached past the front"
    for code in plan.code:
        if not code.private:
            yield code.address, "it answers anybody"


def _encryption(plan: Plan, deployment: Deployment) -> Said:
    for bucket in plan.buckets:
        if not bucket.encrypted:
            yield bucket.address, "the host does not encrypt what rests in it"
    for address, encrypted in plan.queues:
        if not encrypted:
            yield address, "the host does not encrypt what passes through it"
    for key in plan.keys:
        if not key.strong:
            yield key.address, "its usage or algorithm is not the one that its purpose needs"
    for missing in sorted({key.value for key in deployment.keys} - {key.purpose for key in plan.keys}):
        yield missing, "there is no key of this purpose"


CEILING: Final[dict[tuple[str, str], frozenset[str]]] = {
    ("key dossier", "wrap"): frozenset({"ingest", "consent", "upkeep", "rewrap"}),
    ("key dossier", "unwrap"): frozenset({"ingest", "retrieval", "consent", "traces", "upkeep", "rewrap"}),
    ("key content", "wrap"): frozenset({"ingest", "rewrap"}),
    ("key content", "unwrap"): frozenset({"retrieval", "rewrap"}),
    ("key journal", "unwrap"): frozenset({"traces"}),
    ("key pseudonym", "wrap"): frozenset({"authentication"}),
    ("key log", "wrap"): frozenset({"journal"}),
    ("key log", "unwrap"): frozenset({"journal"}),
    ("key tokens", "sign"): frozenset({"authentication"}),
    ("key checkpoints", "sign"): frozenset({"journal"}),
    ("document", "read"): frozenset({"retrieval", "rewrap", "backup", "restore", "inventory"}),
    ("document", "read-versions"): frozenset({"rewrap", "backup"}),
    ("dossier", "read-versions"): frozenset({"rewrap", "backup"}),
    ("document", "delete"): frozenset({"upkeep"}),
    ("document", "list"): frozenset({"upkeep", "expunge", "backup", "restore", "rewrap", "inventory"}),
    ("dossier", "list"): frozenset({"upkeep", "expunge", "backup", "restore", "rewrap", "inventory"}),
    ("dossier", "replace"): frozenset({"ingest", "consent", "upkeep", "rewrap"}),
    ("dossier", "delete"): frozenset({"upkeep"}),
    ("event", "read"): frozenset({"traces", "journal", "backup", "restore", "operations", "inventory"}),
    ("event", "list"): frozenset({"traces", "journal", "backup", "restore", "operations", "upkeep", "inventory"}),
    ("event", "replace"): frozenset(),
    ("event", "delete"): frozenset(),
    **{(kind, "delete-versions"): frozenset({"expunge"}) for kind in ("dossier", "document")},
    **{(kind, "delete-versions"): frozenset() for kind in ("event", "log", "log tile", "dated checkpoint")},
    **{(kind, "delete-versions"): frozenset() for kind in ("configuration", "issuers", "pseudonym", "log seed")},
    ("configuration", "delete"): frozenset(),
    ("pseudonym", "delete"): frozenset(),
    ("log seed", "delete"): frozenset(),
}
"""The most that architecture.md, "Who holds which right", lets anybody hold: whatever a chalicefile says beyond it is
a right too many. No tool holds a key that opens health data or maps an identity to a record."""


_KEYS_OF_TOOLS: Final = frozenset({f"key {KeyName.CONFIGURATION}", f"key {KeyName.PROBE}"})


def _least_privilege(plan: Plan, deployment: Deployment) -> Said:
    yield from plan.broad
    wanted, found = expected(deployment), plan.cells(deployment)
    for cell in sorted(found - wanted):
        yield cell.role, f"it could {_told(cell)}, which the chalicefile does not grant"
    for cell in sorted(wanted - found):
        yield cell.role, f"it could not {_told(cell)}, which the chalicefile grants"
    for cell in sorted(found | wanted):
        holders = CEILING.get((cell.what, cell.operation))
        if holders is not None and cell.role not in holders:
            yield (
                cell.role,
                f"it may {_told(cell)}: a right too many for all but {', '.join(sorted(holders)) or 'nobody'}",
            )
    tools = set(deployment.roles) - {function.name for function in deployment.functions}
    for cell in sorted(found):
        uses = cell.what.startswith("key ") and cell.operation not in {KeyOperation.DESCRIBE, KeyOperation.PUBLIC}
        if cell.role in tools and uses and cell.what not in _KEYS_OF_TOOLS:
            yield cell.role, f"it may {_told(cell)}: tools open nothing but configuration and probes"


def _told(cell: Cell) -> str:
    return f"{cell.operation} {cell.what}"


def _tls_floor(plan: Plan, deployment: Deployment) -> Said:
    del deployment
    for door in plan.doors:
        if not door.tls and (door.open or door.wanted):
            yield door.address, "it does not ask for TLS 1.2 or newer"
    if not any(door.wanted for door in plan.doors):
        yield plan.host, "the stage has no front"
    for bucket in plan.buckets:
        if not bucket.tls_only:
            yield bucket.address, "it would answer without TLS, or with an old one"


def _tls_of_containers(plan: Plan, deployment: Deployment) -> Said:
    yield from _tls_floor(plan, deployment)
    for door in plan.doors:
        if plan.host == "scaleway" and not door.tls and not door.wanted:
            yield door.address, "its own address speaks HTTP without TLS"


def _key_rotation(plan: Plan, deployment: Deployment) -> Said:
    del deployment
    for key in plan.keys:
        if key.signing:
            continue  # renewed by a new key, and both are published for as long as tokens live (docs)
        if key.rotation_days is None:
            yield key.address, "it is never rotated"
        elif not 0 < key.rotation_days <= _LONGEST_ROTATION_DAYS:
            yield key.address, f"it is rotated every {key.rotation_days:g} days, not within a year"


def _deletion_protection(plan: Plan, deployment: Deployment) -> Said:
    del deployment
    for bucket in plan.buckets:
        if bucket.destroyable:
            yield bucket.address, "it could be destroyed with what it holds"
    for key in plan.keys:
        if not key.protected:
            yield key.address, "it could be deleted, and with it what it seals"


def _log_retention(plan: Plan, deployment: Deployment) -> Said:
    for logs in plan.logs:
        if logs.days is not None and logs.days < LOG_DAYS:
            yield logs.address, f"technical logs are kept for {logs.days:g} days, not {LOG_DAYS}"
    if not plan.logs:
        yield plan.host, "nothing keeps technical logs"
    held = {bucket.name: bucket for bucket in plan.buckets}
    for trail in plan.trails:
        bucket = held.get(trail.bucket)
        if bucket is None or bucket.lock_mode != "COMPLIANCE" or bucket.lock_days < deployment.retention_days:
            yield trail.address, f"what it tells is not locked for {deployment.retention_days} days"


_SECRETS: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bSCW[A-Z0-9]{17}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.|://[^/\s:@]+:[^/\s@]+@"
)
_SECRET_NAMES: Final = re.compile(
    r"(?i)(?:secret_environment_variables|(?:^|[._])(?:secret_key|password|passwd|pin|private_key|token|data)$|"
    r"[A-Z_]*(?:SECRET|PASSWORD|TOKEN|PRIVATE|CREDENTIAL|PIN)[A-Z_]*$)"
)
_VARIABLES: Final = re.compile(r"(?:environment_variables|secret_environment_variables|Environment\.Variables)\.")


def _no_secret(plan: Plan, deployment: Deployment) -> Said:
    del deployment
    for place, text in plan.texts:
        if _SECRETS.search(text):
            yield place, "a secret stands in it"
        elif text and _names_a_secret(place):
            yield place, "its name says that a secret stands in it"


def _names_a_secret(place: str) -> bool:
    variable = _VARIABLES.search(place)
    if variable:
        return "secret_environment_variables." in place or _SECRET_NAMES.search(place[variable.end() :]) is not None
    return _SECRET_NAMES.search(place) is not None and not place.endswith(("tags.token", "_url"))


def _by_digest(plan: Plan, deployment: Deployment) -> Said:
    for code in plan.code:
        if not code.pinned:
            yield code.address, "what runs is not named by its digest"
    if plan.host == "scaleway" and len({code.artefact for code in plan.code}) > 1:
        yield plan.host, "functions run different images"
    for missing in sorted({function.name for function in deployment.functions} - {code.function for code in plan.code}):
        yield missing, "this function of the chalicefile does not run"


def _separate_administrator(plan: Plan, deployment: Deployment) -> Said:
    journal = {deployment.buckets.of_name(prefix) for prefix in LOCKED} | {trail.bucket for trail in plan.trails}
    for bucket in plan.buckets:
        if bucket.name not in journal:
            continue
        if plan.host == "scaleway" and bucket.owner == plan.owner:
            yield bucket.address, "it belongs to the project of the functions"
        if plan.deployer in bucket.administrators:
            yield bucket.address, "whoever deploys the functions may change what guards it"
        if bucket.name in {deployment.buckets.of_name(prefix) for prefix in LOCKED} and not bucket.administrators:
            yield bucket.address, "nothing says who may change what guards it"
    if not plan.trails:
        yield plan.host, "what is done to the host's resources is told nowhere"
    trail_owners = {bucket.owner for bucket in plan.buckets if bucket.name in {trail.bucket for trail in plan.trails}}
    for trail in plan.trails:
        if not trail.complete:
            yield trail.address, "it does not tell everything, or could be altered unseen"
    for role, owners in sorted(plan.owners.items()):
        if "trail" in owners or (plan.host == "scaleway" and owners & trail_owners):
            yield role, "it holds a right where the trail is kept"


CONTROLS: Final = (
    Control("french-soil", ("28", "29", "31"), (), "Everything is in a region on French soil.", _french_soil),
    Control(
        "write-once-audit",
        ("05", "15", "16"),
        ("PGSSI-S imputabilité", "GDPR 32(1)(b)"),
        "What is written to the journal stays, for ten years at least.",
        _write_once,
    ),
    Control(
        "no-public-access", ("05", "23"), ("GDPR 32(1)(b)",), "Nothing but the front can be reached.", _no_public_access
    ),
    Control(
        "encryption",
        ("05",),
        ("GDPR 32(1)(a)",),
        "What rests is encrypted, each purpose under its own key.",
        _encryption,
    ),
    Control(
        "least-privilege",
        ("05", "23"),
        ("PGSSI-S habilitations", "GDPR 32(4)"),
        "Each role may do what the chalicefile grants it, and nothing else.",
        _least_privilege,
    ),
    Control("tls-floor", ("05",), ("GDPR 32(1)(a)",), "Every way in asks for TLS 1.2 or newer.", _tls_of_containers),
    Control("key-rotation", ("05",), ("GDPR 32(1)(a)",), "Keys that wrap are rotated within a year.", _key_rotation),
    Control(
        "deletion-protection",
        ("18", "27"),
        ("GDPR 32(1)(b)", "GDPR 32(1)(c)"),
        "Data and keys outlive mistakes.",
        _deletion_protection,
    ),
    Control(
        "log-retention", ("15", "16"), ("PGSSI-S imputabilité",), "Logs and trail are kept long enough.", _log_retention
    ),
    Control(
        "no-secret-in-plan", ("05",), ("GDPR 32(1)(b)",), "No secret passes through a plan or a state.", _no_secret
    ),
    Control("image-by-digest", ("05", "24"), (), "What runs is what was packaged, byte for byte.", _by_digest),
    Control(
        "separate-trail-admin",
        ("15", "16"),
        ("PGSSI-S imputabilité",),
        "Who deploys the functions can't touch what records them.",
        _separate_administrator,
    ),
)


def judge(plan: Plan, deployment: Deployment) -> list[Finding]:
    """Every control on a plan: what is not accepted, in the order of the controls."""
    return [finding for control in CONTROLS for finding in control.findings(plan, deployment)]
