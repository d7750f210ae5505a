"""Properties of key services that Sceau relies on, as `sceau stage check` measures them.

Of the real keys only metadata is asked; what is wrapped is wrapped under the probe key. The judging is pure: what a
provider tells of a key goes in, whether it holds and what was seen comes out.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from datetime import datetime
from functools import partial
from typing import Any, Final

from sceau.keys.errors import KeyServiceError, UnwrapRefused
from sceau.keys.ports import DATA_KEY_BYTES, SIGNING_KEYS, KeyName, KeyService
from sceau.keys.scoped import KeyOperation
from sceau.objects.checks import CLOCKS_APART
from sceau.objects.findings import Finding

Grants = Mapping[KeyName, Set[KeyOperation]]
Judged = tuple[bool, str]
Metadata = Sequence[Mapping[str, Any]]
"""What a provider tells of a key's versions, oldest first."""

CONTEXT: Final = {"format": "1", "purpose": "probe", "check": "associated-data"}


def measured(name: str, measure: Callable[[], Judged]) -> Finding:
    """The finding of one measurement. A key service that fails meanwhile has not shown that it holds."""
    try:
        return Finding(name, *measure())
    except KeyServiceError as error:
        return Finding(name, held=False, seen=f"it could not be measured: {error}")


def check_service(
    adapter: str, make: Callable[[], Any], grants: Grants, clock: Callable[[], datetime], called: str = ""
) -> Iterator[Finding]:
    """All of one key service, not of custody, as far as `grants` reach; `make` builds it. `adapter`: as declared.

    A service that can't even be built is a finding: what was measured before it was told already.
    """
    try:
        service = make()
    except KeyServiceError as error:
        yield Finding(f"{called}key service", held=False, seen=str(error))
        return
    described = [key for key in KeyName if KeyOperation.DESCRIBE in grants.get(key, ())]
    yield from check_metadata(described, service.metadata, JUDGES[adapter], called)
    if described and adapter in _WITH_A_CLOCK:
        yield from check_clock(service.time, clock, called)
    yield from check_probe(lambda: service, grants, called)


def check_probe(
    make: Callable[[], KeyService],
    grants: Grants,
    called: str = "",
    *,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Iterator[Finding]:
    """What every key service must do, on the probe key: give back what it wrapped, in its context and in no other.

    Nothing for a role that may not wrap and unwrap with it.
    """
    if not {KeyOperation.WRAP, KeyOperation.UNWRAP} <= set(grants.get(KeyName.PROBE, ())):
        return
    name = f"{called}associated data binds"
    yield measured(name, lambda: binds_associated_data(make(), random_bytes(DATA_KEY_BYTES), random_bytes))


def check_clock(time: Callable[[], datetime], clock: Callable[[], datetime], called: str = "") -> Iterator[Finding]:
    """The service's clock and ours: it judges our signed requests, and its trail of who used a key, by its own."""

    def apart() -> Judged:
        seconds = (time() - clock()).total_seconds()
        direction = "ahead" if seconds > 0 else "behind"
        return abs(seconds) <= CLOCKS_APART.total_seconds(), f"its clock is {abs(seconds):.0f} s {direction}"

    yield measured(f"{called}clocks agree", apart)


def binds_associated_data(keys: KeyService, data_key: bytes, random_bytes: Callable[[int], bytes]) -> Judged:
    """Wrap under the probe key; unwrap in the same context, in others, and with a byte changed."""
    wrapped = keys.wrap(KeyName.PROBE, data_key, CONTEXT)
    if keys.unwrap(KeyName.PROBE, wrapped, CONTEXT) != data_key:
        return False, "what was wrapped does not come back"
    at = int.from_bytes(random_bytes(2), "big") % len(wrapped)
    altered = wrapped[:at] + bytes([wrapped[at] ^ 1]) + wrapped[at + 1 :]
    trials: dict[str, tuple[bytes, Mapping[str, str]]] = {
        "another value": (wrapped, {**CONTEXT, "check": "another"}),
        "one pair more": (wrapped, {**CONTEXT, "more": "1"}),
        "one pair less": (wrapped, {name: value for name, value in CONTEXT.items() if name != "check"}),
        "a byte changed": (altered, CONTEXT),
    }
    let_through = []
    for what, (bytes_given, context) in trials.items():
        try:
            keys.unwrap(KeyName.PROBE, bytes_given, context)
        except UnwrapRefused:
            continue
        let_through.append(what)
    return not let_through, f"{len(trials)} wrong ones: {', '.join(let_through) or 'all'} {_passed(let_through)}"


def _passed(let_through: Sequence[str]) -> str:
    return "opened all the same" if let_through else "refused"


def check_metadata(
    keys: Iterable[KeyName],
    of: Callable[[KeyName], Metadata],
    judge: Callable[[KeyName, Metadata], Judged],
    called: str = "",
) -> Iterator[Finding]:
    """A finding for each of `keys`: `of` asks the provider, `judge` decides."""

    def judged(key: KeyName) -> Judged:
        return judge(key, of(key))

    for key in keys:
        yield measured(f"{called}key {key}", partial(judged, key))


def judge_file(key: KeyName, versions: Metadata) -> Judged:
    """A key file: its own kinds of key, of which the newest works."""
    wanted = "p-256" if key in SIGNING_KEYS else "aes-256"
    faults = [] if versions[-1]["type"] == wanted else [f"it is of the kind {versions[-1]['type']}, not {wanted}"]
    if not versions[-1]["enabled"]:
        faults.append("its newest version is disabled")
    off = sum(not version["enabled"] for version in versions)
    return not faults, "; ".join(faults) or f"{wanted}; {_counted(versions)}, {off} disabled; in a file, not protected"


def judge_kms(key: KeyName, versions: Metadata) -> Judged:
    """KMS: DescribeKey's KeyMetadata, and `KeyRotationEnabled` of GetKeyRotationStatus where it has one."""
    newest, signing = versions[-1], key in SIGNING_KEYS
    wanted = ("SIGN_VERIFY", "ECC_NIST_P256") if signing else ("ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT")
    faults = []
    if (newest.get("KeyUsage"), newest.get("KeySpec")) != wanted:
        faults.append(f"it is {newest.get('KeyUsage')} by {newest.get('KeySpec')}, not {wanted[0]} by {wanted[1]}")
    if newest.get("KeyState") != "Enabled":
        faults.append(f"its state is {newest.get('KeyState')}")
    if newest.get("MultiRegion"):
        faults.append("it is a multi-Region key")
    if newest.get("Origin") not in {"AWS_KMS", "AWS_CLOUDHSM"}:
        faults.append(f"its material is from {newest.get('Origin')}")
    if not signing and not newest.get("KeyRotationEnabled"):
        faults.append("it is not rotated")
    doomed = sum(version.get("KeyState") == "PendingDeletion" for version in versions)
    if doomed:
        faults.append(f"{doomed} of its versions are about to be deleted")
    rotation = "" if signing else ", rotated by KMS"
    return not faults, "; ".join(faults) or f"{wanted[1]}{rotation}; {_counted(versions)}, none about to be deleted"


def judge_key_manager(key: KeyName, versions: Metadata) -> Judged:
    """Key Manager: what GET tells of each key."""
    newest, signing = versions[-1], key in SIGNING_KEYS
    wanted = {"asymmetric_signing": "ec_p256_sha256"} if signing else {"symmetric_encryption": "aes_256_gcm"}
    usage = newest.get("usage") or {}
    faults = []
    if {name: value for name, value in usage.items() if value and not str(value).startswith("unknown")} != wanted:
        faults.append(f"its usage is {', '.join(sorted(map(str, usage))) or 'unknown'}, not {next(iter(wanted))}")
    if newest.get("state") != "enabled":
        faults.append(f"its state is {newest.get('state')}")
    if newest.get("origin") not in {None, "scaleway_kms"}:
        faults.append(f"its material is from {newest.get('origin')}")
    if not signing and not newest.get("rotation_policy"):
        faults.append("it has no rotation policy")
    unprotected = sum(not version.get("protected") for version in versions)
    if unprotected:
        faults.append(f"{unprotected} of its versions are not protected from deletion")
    doomed = sum(version.get("state") == "scheduled_for_deletion" for version in versions)
    if doomed:
        faults.append(f"{doomed} of its versions are about to be deleted")
    algorithm = next(iter(wanted.values()))
    return not faults, "; ".join(faults) or f"{algorithm}; {_counted(versions)}, protected from deletion"


def judge_token(key: KeyName, versions: Metadata) -> Judged:
    """PKCS #11: attributes of each version's objects, by their names in lowercase, and `method`."""
    if not versions:
        return False, "the token has no such key"
    faults = []
    for version in versions:
        number = version["number"]
        if not version["sensitive"] or version["extractable"]:
            faults.append(f"version {number} can leave the token")
        if not version["local"]:
            faults.append(f"version {number} was not made in the token")
    algorithm = "ECDSA P-256" if key in SIGNING_KEYS else str(versions[-1]["method"])
    return not faults, "; ".join(
        faults
    ) or f"{algorithm}; {_counted(versions)}, made in the token, not extractable; who logs in can destroy it"


def _counted(versions: Metadata) -> str:
    return "1 version" if len(versions) == 1 else f"{len(versions)} versions"


JUDGES: Final[Mapping[str, Callable[[KeyName, Metadata], Judged]]] = {
    "local": judge_file,
    "pkcs11": judge_token,
    "aws_kms": judge_kms,
    "scaleway": judge_key_manager,
}
"""By the adapter of a stage's declaration."""

_WITH_A_CLOCK: Final = frozenset({"aws_kms", "scaleway"})
"""Their answers have a date; a file's and a token's keys are used by this machine's clock, if by any."""
