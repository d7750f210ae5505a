"""Values that Scaleway's provider lets pass, or takes without a word, and that its API refuses or reads otherwise.

Found by reading the provider (2.81) and its SDK (2.12): an unknown key algorithm only warns, a usage that does not fit
passes the plan, so do `rot13` and a negative retention; enumerations of Edge Services and IAM are checked late or not
at all. Each rule names the attribute, and what may stand there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

Values = Mapping[str, Any]
Said = Iterator[str]

_UUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_LOCAL_ID: Final = re.compile(r"fr-par/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_DURATION: Final = re.compile(r"(?:\d+h)?(?:\d+m)?(?:\d+s)?")
_CRON: Final = re.compile(r"(?:(?:\*|\d+)(?:/\d+)?(?:-\d+)?(?:,\d+)*\s?){5}")
_IAM_TAG: Final = re.compile(r"[^:]+")
_ALGORITHMS: Final = {
    "symmetric_encryption": {"aes_256_gcm"},
    "asymmetric_encryption": {"rsa_oaep_2048_sha256", "rsa_oaep_3072_sha256", "rsa_oaep_4096_sha256"},
    "asymmetric_signing": {"ec_p256_sha256", "ec_p384_sha384"},
}
_METHODS: Final = {"get", "post", "put", "patch", "delete", "head", "options"}
_MOST_VARIABLES, _LONGEST_VALUE, _LONGEST_NAME = 100, 1000, 100
_MEMORY_BYTES: Final = range(128_000_000, 12_228_000_001)
_CPU: Final = range(70, 6001)
_TIMEOUT: Final = range(10, 3601)
_SCALE: Final = range(51)
_DAYS: Final = range(1, 36501)
_ROTATION_HOURS: Final = range(24, 8761)


def value_findings(resources: Mapping[str, Values]) -> Iterator[tuple[str, str]]:
    """Every value that the API would not take, with its place."""
    for address, values in resources.items():
        kind = next(part for part in address.split("[")[0].split(".") if part.startswith("scaleway_"))
        for text in _RULES.get(kind, _unknown)(values):
            yield address, text
        # What the host makes up is of its own form; these are ours (an organisation is named in IAM only).
        for name in ("project_id", "application_id", *(("organization_id",) if "_iam_" in kind else ())):
            if values.get(name) is not None and not _UUID.fullmatch(values[name]):
                yield address, f"{name} is no UUID"


def _unknown(values: Values) -> Said:
    del values
    yield "no rule on values is known for this kind of resource: add them to iac/scaleway/values.py"


def _nothing(values: Values) -> Said:
    del values
    yield from ()


def _bucket(values: Values) -> Said:
    if not _BUCKET.fullmatch(values["name"]):
        yield "a bucket's name has 3 to 63 lowercase letters, digits and hyphens"


def _acl(values: Values) -> Said:
    if values["acl"] not in ("private", "public-read", "public-read-write", "authenticated-read"):
        yield f"acl {values['acl']!r} is none that the store knows"


def _encryption(values: Values) -> Said:
    for rule in values["rule"]:
        for one in rule["apply_server_side_encryption_by_default"]:
            if one["sse_algorithm"] not in ("AES256", "aws:kms"):
                yield f"sse_algorithm {one['sse_algorithm']!r} is none that the store knows"


def _lock(values: Values) -> Said:
    for rule in values["rule"]:
        for one in rule["default_retention"]:
            if one["mode"] not in ("COMPLIANCE", "GOVERNANCE"):
                yield f"mode {one['mode']!r} is none that the store knows"
            given = [one.get(unit) for unit in ("days", "years") if one.get(unit) is not None]
            if len(given) != 1 or given[0] not in _DAYS:
                yield "a retention is a number of days or of years, above 0"


def _policy(values: Values) -> Said:
    policy = json.loads(values["policy"])
    if policy.get("Version") != "2023-04-17":
        yield "the policy's version is not the current one"
    for statement in policy["Statement"]:
        resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        if any(one.startswith("arn:") or one.partition("/")[0] != values["bucket"] for one in resources):
            yield "a resource is the bucket's name, or begins with it and a slash"
        for operator in statement.get("Condition", {}):
            if operator not in ("StringLike", "StringEquals", "Null"):
                yield f"condition operator {operator} is none that the store documents"


def _key(values: Values) -> Said:
    if values["algorithm"] not in _ALGORITHMS.get(values["usage"], set()):
        yield f"algorithm {values['algorithm']!r} does not fit usage {values['usage']!r}"
    for one in values.get("rotation_policy") or ():
        hours = re.match(r"(\d+)h", one["rotation_period"])
        if not _DURATION.fullmatch(one["rotation_period"]) or hours is None or int(hours[1]) not in _ROTATION_HOURS:
            yield "rotation_period is from 24 hours to a year"
    if values.get("rotation_policy") and values["usage"] != "symmetric_encryption":
        yield "only symmetric keys are rotated by the host"


def _application(values: Values) -> Said:
    if any(not _IAM_TAG.fullmatch(tag) for tag in values.get("tags") or ()):
        yield "a tag of IAM has no colon"


def _iam_policy(values: Values) -> Said:
    yield from _application(values)
    for rule in values["rule"]:
        scopes = [bool(rule.get("project_ids")), bool(rule.get("organization_id"))]
        if sum(scopes) != 1:
            yield "a rule is for projects or for an organisation"
        if not rule["permission_set_names"]:
            yield "a rule has a permission set"
        if any(not _UUID.fullmatch(project) for project in rule.get("project_ids") or ()):
            yield "project_ids are UUIDs"


def _container(values: Values) -> Said:
    for name, accepted in (
        ("memory_limit_bytes", _MEMORY_BYTES),
        ("cpu_limit", _CPU),
        ("timeout", _TIMEOUT),
        ("min_scale", _SCALE),
        ("max_scale", range(1, 51)),
    ):
        if values[name] not in accepted:
            yield f"{name} is from {accepted.start} to {accepted.stop - 1}"
    for name, known in (("privacy", ("public", "private")), ("protocol", ("http1", "h2c")), ("sandbox", ("v1", "v2"))):
        if values[name] not in known:
            yield f"{name} {values[name]!r} is none that the host knows"
    variables = values.get("environment_variables") or {}
    if len(variables) > _MOST_VARIABLES:
        yield f"a container has at most {_MOST_VARIABLES} variables"
    for name, text in variables.items():
        if name == "PORT" or name.startswith("SCW_"):
            yield f"variable {name} is reserved by the host"
        if len(text) > _LONGEST_VALUE or len(name) > _LONGEST_NAME:
            yield f"variable {name} is longer than {_LONGEST_VALUE} characters"
    for probe in ("liveness_probe", "startup_probe"):
        for one in values.get(probe) or ():
            if not all(one[part] and _DURATION.fullmatch(one[part]) for part in ("interval", "timeout")):
                yield f"{probe}: interval and timeout are durations"
            if bool(one.get("tcp")) == bool(one.get("http")):
                yield f"{probe}: it asks by TCP or by HTTP"


def _trigger(values: Values) -> Said:
    kinds = [kind for kind in ("cron", "sqs", "nats") if values.get(kind)]
    if len(kinds) != 1:
        yield "a trigger has one source"
    if not _LOCAL_ID.fullmatch(values["container_id"]):
        yield "container_id reads region/UUID"
    for one in values.get("cron") or ():
        if not _CRON.fullmatch(one["schedule"].strip()):
            yield f"schedule {one['schedule']!r} is no cron line"
    for one in values["destination_config"]:
        if one["http_method"] not in _METHODS or not one["http_path"].startswith("/"):
            yield "a destination has a method in lowercase and a path"


def _route(values: Values) -> Said:
    if bool(values.get("backend_stage_id")) == bool(values.get("waf_stage_id")):
        yield "what no rule matches goes to a backend or to a firewall"
    for rule in values["rule"]:
        for match in rule["rule_http_match"]:
            if not set(match["method_filters"]) <= _METHODS:
                yield "method_filters are methods in lowercase"
            for path in match["path_filter"]:
                if path["path_filter_type"] != "regex" or not _is_regex(path["value"]):
                    yield f"path filter {path['value']!r} is no regular expression"


def _is_regex(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def _tls(values: Values) -> Said:
    leads = [
        name for name in ("backend_stage_id", "cache_stage_id", "route_stage_id", "waf_stage_id") if values.get(name)
    ]
    if "route_stage_id" not in leads:
        yield "TLS leads to the routes"
    if not values.get("managed_certificate") and not values.get("secrets"):
        yield "TLS needs a certificate"


def _plan(values: Values) -> Said:
    if values["name"] not in ("starter", "professional", "advanced"):
        yield f"plan {values['name']!r} is none that the host sells"


def _backend(values: Values) -> Said:
    if len(values["container_backend_config"]) != 1:
        yield "a backend is one container"


def _source(values: Values) -> Said:
    if values["type"] not in ("logs", "metrics", "traces"):
        yield f"type {values['type']!r} is none that Cockpit knows"
    if values["retention_days"] not in range(1, 366):
        yield "retention_days is from 1 to 365"


_RULES: Final[Mapping[str, Callable[[Values], Said]]] = {
    "scaleway_object_bucket": _bucket,
    "scaleway_object_bucket_acl": _acl,
    "scaleway_object_bucket_lock_configuration": _lock,
    "scaleway_object_bucket_policy": _policy,
    "scaleway_object_bucket_server_side_encryption_configuration": _encryption,
    "scaleway_key_manager_key": _key,
    "scaleway_iam_application": _application,
    "scaleway_iam_policy": _iam_policy,
    "scaleway_container_namespace": _nothing,
    "scaleway_container": _container,
    "scaleway_container_trigger": _trigger,
    "scaleway_edge_services_plan": _plan,
    "scaleway_edge_services_pipeline": _nothing,
    "scaleway_edge_services_backend_stage": _backend,
    "scaleway_edge_services_route_stage": _route,
    "scaleway_edge_services_tls_stage": _tls,
    "scaleway_edge_services_dns_stage": _nothing,
    "scaleway_edge_services_head_stage": _nothing,
    "scaleway_cockpit_source": _source,
    "scaleway_cockpit_alert_manager": _nothing,
}
