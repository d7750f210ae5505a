"""What a stage on Scaleway needs beside what Terraform can make: the audit trail's export, its alert rules, and the
functions' credentials. Each is made when it is missing, left when it is right, and read back by `sceau stage check`.

Credentials never pass through a plan or a state (docs/decisions/0013-no-credential-passes-through-terraform.md): a key
is made with an end date, and goes from the host's answer into the container's secret environment.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from sceau.cli.scaleway_api import HostRefused, ScalewayApi
from sceau.keys.scaleway_http import SECRET_KEY_VARIABLE
from sceau.objects.findings import Finding

EXPORT_LATE: Final = timedelta(hours=48)
"""The trail is exported once a day, the day before: later than two days is late."""

RENEWED_AT: Final = 1 / 3
"""A key is renewed when less than this part of its life is left."""

LONGEST_BY_HAND: Final = timedelta(days=90)
"""How far off the end of a key may be that a person made (docs/deploy/scaleway.md, step 3)."""

_TRAIL: Final = "/audit-trail/v1alpha1/regions"
_KEYS: Final = "/iam/v1alpha1/api-keys"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What there is to prepare: settings of the stage, and what Terraform made (its outputs)."""

    stage: str
    region: str
    organization: str
    project: str
    credential_days: int
    applications: Mapping[str, str]
    containers: Mapping[str, str]
    export: Mapping[str, str]

    @classmethod
    def read(cls, outputs: Path, *, stage: str, region: str, settings: Any) -> Wanted:
        """From `terraform output -json` in a file. Raises HostRefused with one sentence."""
        try:
            told = {name: one["value"] for name, one in json.loads(outputs.read_text("utf-8")).items()}
            applications, containers, export = told["applications"], told["containers"], told["trail_export"]
        except FileNotFoundError:
            raise HostRefused(f"{outputs} is missing: apply the plan, then `terraform output -json` into it") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise HostRefused(f"{outputs.name} is not what `terraform output -json` prints") from None
        return cls(
            stage=stage,
            region=region,
            organization=settings.organization,
            project=settings.project,
            credential_days=settings.credential_days,
            applications=applications,
            containers=containers,
            export=export,
        )


def prepare(api: ScalewayApi, wanted: Wanted, clock: Callable[[], datetime]) -> Iterator[str]:
    """Make what is missing; yield a sentence for each thing that was done. Raises HostRefused; safe to repeat."""
    yield from _prepare_export(api, wanted)
    yield from _prepare_alerts(api, wanted)
    for function in sorted(wanted.containers):
        yield from _prepare_credential(api, wanted, function, clock())


def read_back(api: ScalewayApi, wanted: Wanted, clock: Callable[[], datetime]) -> Iterator[Finding]:
    """What the host says now of everything that `prepare` makes, and of the keys that people made for tools.

    What the host does not tell is not shown to hold.
    """
    yield _told("the audit trail's export", lambda: _export_seen(_export(api, wanted), wanted, clock()))
    yield _told("the audit trail's alert rules", lambda: _rules_seen(_rules(api, wanted)))
    for function in sorted(wanted.containers):
        yield _told(f"API key of {function}", partial(_key_seen, api, wanted, function, clock()))
    for tool in sorted(set(wanted.applications) - set(wanted.containers)):
        yield _told(f"API keys of {tool}", partial(_keys_seen, api, wanted, tool, clock()))


def _told(name: str, look: Callable[[], tuple[bool, str]]) -> Finding:
    try:
        return Finding(name, *look())
    except HostRefused as error:
        return Finding(name, held=False, seen=f"it could not be read: {error}")
    except (KeyError, TypeError, ValueError):
        return Finding(name, held=False, seen="it could not be read: the host's answer is of another form")


def _prepare_export(api: ScalewayApi, wanted: Wanted) -> Iterator[str]:
    found = _export(api, wanted)
    if found is None:
        destination = {name: wanted.export[name] for name in ("bucket", "region", "prefix", "project_id")}
        body = {
            "name": wanted.export["name"],
            "organization_id": wanted.organization,
            "tags": ["sceau"],
            "s3": destination,
        }
        api.ask("POST", f"{_TRAIL}/{wanted.region}/export-jobs", body)
        yield f"the audit trail is now exported to {wanted.export['bucket']} every day"
    elif not _leads_to(found, wanted):
        # Taking an export away is for a person to decide: it is what records who would do so.
        raise HostRefused(f"export job {wanted.export['name']} leads elsewhere than to {wanted.export['bucket']}")


def _export(api: ScalewayApi, wanted: Wanted) -> dict[str, Any] | None:
    jobs = api.all(
        f"{_TRAIL}/{wanted.region}/export-jobs",
        "export_jobs",
        organization_id=wanted.organization,
        name=wanted.export["name"],
    )
    return next((job for job in jobs if job.get("name") == wanted.export["name"]), None)


def _leads_to(job: Mapping[str, Any], wanted: Wanted) -> bool:
    told = job.get("s3") or {}
    return all(told.get(name) == wanted.export[name] for name in ("bucket", "region", "prefix", "project_id"))


def _export_seen(job: Mapping[str, Any] | None, wanted: Wanted, now: datetime) -> tuple[bool, str]:
    if job is None:
        return False, "it leads nowhere: run `sceau stage prepare`"
    if not _leads_to(job, wanted):
        return False, f"it leads elsewhere than to {wanted.export['bucket']}"
    if not job.get("last_run_at"):
        young = now - datetime.fromisoformat(job["created_at"]) < EXPORT_LATE
        return young, f"to {wanted.export['bucket']}; it has not run yet"
    age = now - datetime.fromisoformat(job["last_run_at"])
    code = (job.get("last_status") or {}).get("code")
    seen = f"to {wanted.export['bucket']}; last {age.days * 24 + age.seconds // 3600} h ago, with {code or 'no status'}"
    return code == "success" and age < EXPORT_LATE, seen


def _rules_seen(rules: list[dict[str, Any]]) -> tuple[bool, str]:
    on = [rule for rule in rules if rule.get("status") in ("enabled", "enabling")]
    return bool(rules) and len(on) == len(rules), f"{len(on)} of {len(rules)} are on"


def _key_seen(api: ScalewayApi, wanted: Wanted, function: str, now: datetime) -> tuple[bool, str]:
    """The key that `prepare` made last: renewed in time."""
    keys = _own_keys(api, wanted, function)
    if not keys:
        return False, "there is none: run `sceau stage prepare`"
    if not keys[0].get("expires_at"):
        return False, "it has no end date"
    left = _expiry(keys[0]) - now
    seen = f"it ends on {_expiry(keys[0]).date().isoformat()}, in {left.days} days"
    return left > timedelta(days=wanted.credential_days) * RENEWED_AT / 2, seen


def _keys_seen(api: ScalewayApi, wanted: Wanted, tool: str, now: datetime) -> tuple[bool, str]:
    """Keys that a person made for a tool: each has an end, and not a far one."""
    keys = _keys_of(api, wanted, tool)
    ends = [_expiry(key) for key in keys if key.get("expires_at")]
    if len(ends) < len(keys):
        return False, f"{len(keys) - len(ends)} of {len(keys)} have no end date"
    if not ends:
        return True, "there are none"
    return max(ends) - now <= LONGEST_BY_HAND, f"{len(ends)}, the last ends on {max(ends).date().isoformat()}"


def _rules(api: ScalewayApi, wanted: Wanted) -> list[dict[str, Any]]:
    path = f"{_TRAIL}/{wanted.region}/alert-rules"
    return list(api.all(path, "alert_rules", organization_id=wanted.organization))


def _prepare_alerts(api: ScalewayApi, wanted: Wanted) -> Iterator[str]:
    off = [rule["id"] for rule in _rules(api, wanted) if rule.get("status") not in ("enabled", "enabling")]
    if off:
        body = {"organization_id": wanted.organization, "alert_rule_ids": off}
        api.ask("POST", f"{_TRAIL}/{wanted.region}/enable-alert-rules", body)
        yield f"{len(off)} alert rules of the audit trail were switched on"


def _prepare_credential(api: ScalewayApi, wanted: Wanted, function: str, now: datetime) -> Iterator[str]:
    keys = _own_keys(api, wanted, function)
    life = timedelta(days=wanted.credential_days)
    if keys and _expiry(keys[0]) - now > life * RENEWED_AT:
        # The one before stayed until the container had the present one: it had it since the last time at the latest.
        yield from _take_away(api, function, keys[1:])
        return
    yield from _take_away(api, function, keys[1:])
    made = api.ask(
        "POST",
        _KEYS,
        {
            "application_id": wanted.applications[function],
            "description": _description(wanted, function),
            "default_project_id": wanted.project,
            "expires_at": (now + life).isoformat(timespec="seconds"),
        },
    )
    region, _, identifier = wanted.containers[function].rpartition("/")
    secret = {
        "AWS_ACCESS_KEY_ID": made["access_key"],
        "AWS_SECRET_ACCESS_KEY": made["secret_key"],
        SECRET_KEY_VARIABLE: made["secret_key"],
    }
    path = f"/containers/v1/regions/{region or wanted.region}/containers/{identifier}"
    try:
        api.ask("PATCH", path, {"secret_environment_variables": secret})
    except HostRefused:
        api.ask("DELETE", f"{_KEYS}/{made['access_key']}")  # nobody has it: better none than one that lies about
        raise
    yield f"{function} has a new API key, until {(now + life).date().isoformat()}"


def _take_away(api: ScalewayApi, function: str, keys: list[dict[str, Any]]) -> Iterator[str]:
    for key in keys:
        api.ask("DELETE", f"{_KEYS}/{key['access_key']}")
        yield f"{function}: an API key that is no longer used was deleted"


def _own_keys(api: ScalewayApi, wanted: Wanted, function: str) -> list[dict[str, Any]]:
    """The keys of a function's application that we made, the newest first."""
    own = [key for key in _keys_of(api, wanted, function) if key.get("description") == _description(wanted, function)]
    return sorted(own, key=lambda key: datetime.fromisoformat(key["created_at"]), reverse=True)


def _keys_of(api: ScalewayApi, wanted: Wanted, role: str) -> list[dict[str, Any]]:
    return list(api.all(_KEYS, "api_keys", organization_id=wanted.organization, bearer_id=wanted.applications[role]))


def _description(wanted: Wanted, function: str) -> str:
    return f"sceau {wanted.stage} {function}"


def _expiry(key: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(key["expires_at"])
