"""The `chalicefile`: what is deployed. An error names the key and says what was expected."""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from sceau_schemas import soil
from sceau_schemas.infrastructure import Infrastructure
from sceau_schemas.key_services import (
    AwsKmsKeysSpec,
    KeyNameText,
    KeyServiceSpec,
    ScalewayKeysSpec,
    services_of,
    unlisted,
)
from sceau_schemas.log import LogSpec
from sceau_schemas.rules import RuleSettings
from sceau_schemas.stores import BackupSpec, FilesystemStoreSpec, S3BackupSpec, S3Place, StoreSpec

_ROUTE = re.compile(r"(GET|POST|PUT|PATCH|DELETE|HEAD) ((?:/(?:[A-Za-z0-9._$-]+|\{[a-z_]+\}))+)")
_PARAMETER = re.compile(r"\{[a-z_]+\}")
_RATE = re.compile(r"rate\(([1-9][0-9]{0,2}) (minute|hour|day)(s?)\)")
_HOST_NAME = r"^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$"
_FRENCH_ADDRESS = re.compile(r"\S.*\b(?:0[1-9]|[1-8][0-9]|9[0-8])[0-9]{3} +\S", re.DOTALL)
_UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
_FRONT_WAITS_SECONDS = 29
_OWN_KEYS = {"aws": AwsKmsKeysSpec, "scaleway": ScalewayKeysSpec}
"""The key service of a public host, whose keys the stage's own infrastructure can make."""
_PATTERN = r"^(?:(?:\*|[a-z0-9-]+)/)*(?:\*|[a-z0-9-]+)?$"  # anchored: pydantic searches, it does not match
# As a client's proof names it (identity.dpop): lowercase, and 443 is not said. Anything else would never be equal.
_ORIGIN = re.compile(r"https://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(?!443$)[1-9][0-9]{0,4})?")

TEN_YEARS_DAYS = 3653
"""Traces live 10 years after the record's closure (CNAM EX_AIR-100): no stage may lock them for less than 10 years."""

_INS_TEST = frozenset({"urn:oid:1.2.250.1.213.1.4.10", "urn:oid:1.2.250.1.213.1.4.11"})
_INS_REAL = frozenset({"urn:oid:1.2.250.1.213.1.4.8", "urn:oid:1.2.250.1.213.1.4.9"})


class ChalicefileError(Exception):
    """The chalicefile can't be used. The message is one sentence for the person who edits it."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _route(value: object) -> object:
    match = _ROUTE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a route reads like 'GET /fhir/Patient'")
    return {"method": match[1], "path": match[2]}


class Route(_Strict):
    """One HTTP method and path; `{name}` stands for one path segment."""

    method: str
    path: str


StoreOperationName = Literal[
    "read", "read-versions", "list", "create", "create-locked", "replace", "delete", "delete-versions", "extend-lock"
]
KeyOperationName = Literal["wrap", "unwrap", "sign", "public", "describe"]
NamePattern = Annotated[str, Field(pattern=_PATTERN, min_length=1)]


class Rights(_Strict):
    """What one role may do. Nothing else."""

    store: dict[NamePattern, Annotated[tuple[StoreOperationName, ...], Field(min_length=1)]] = {}
    keys: dict[KeyNameText, Annotated[tuple[KeyOperationName, ...], Field(min_length=1)]] = {}


class ToolSpec(Rights):
    """What one of operations' own commands may do. `on_demand`: it is off, as a function may be, until switched on."""

    on_demand: StrictBool = False


def _schedule(value: object) -> object:
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None or (match[1] == "1") != (match[3] == ""):
        raise ValueError("a schedule reads like 'rate(1 hour)' or 'rate(5 minutes)'")
    return {"text": value, "every": int(match[1]) * _UNITS[match[2]]}


class Schedule(_Strict):
    """How often a function runs by itself: EventBridge's `rate(…)` of minutes, hours or days.

    No `cron(…)`: nothing of ours must run at an hour of the day, and every host keeps a rate in the same way.
    """

    text: str
    every: timedelta


class FunctionSpec(Rights):
    """One function: what starts it (routes, a schedule, or somebody who calls it), its size, its rights.

    `on_demand`: it is off, and is built and given its rights on a stage only while that has it `switched_on`.
    """

    routes: tuple[Annotated[Route, BeforeValidator(_route)], ...] = ()
    schedule: Annotated[Schedule | None, BeforeValidator(_schedule)] = None
    on_demand: StrictBool = False
    memory_mb: Annotated[int, Field(strict=True, ge=128, le=10240)]
    timeout_seconds: Annotated[int, Field(strict=True, ge=1, le=900)]  # Lambda's longest

    @field_validator("timeout_seconds")
    @classmethod
    def _no_longer_than_the_front_waits(cls, value: int, info: ValidationInfo) -> int:
        serves = info.data.get("routes") and info.data.get("schedule") is None
        if serves and value > _FRONT_WAITS_SECONDS:
            raise ValueError(f"a function with routes answers within {_FRONT_WAITS_SECONDS} s: API Gateway cuts there")
        return value

    @model_validator(mode="after")
    def _started_in_one_way(self) -> Self:
        if [bool(self.routes), self.schedule is not None, self.on_demand].count(True) != 1:
            raise ValueError("a function has either routes or a schedule, or is called on demand")
        return self


def _origin(value: object) -> str:
    if not isinstance(value, str) or not _ORIGIN.fullmatch(value):
        raise ValueError("an origin reads like 'https://dmp.example.fr'")
    return value


Origin = Annotated[str, BeforeValidator(_origin)]


class Premises(_Strict):
    """An organisation's own servers on French soil: its declaration, since no public list has them."""

    owner: Annotated[str, Field(min_length=1)]
    address: str
    servers: Annotated[tuple[Annotated[str, Field(pattern=_HOST_NAME)], ...], Field(min_length=1)]
    """Host names by which stage settings may address them."""

    @model_validator(mode="after")
    def _declared_in_earnest(self) -> Self:
        if not _FRENCH_ADDRESS.search(self.address):
            raise ValueError("address: a French postal address with its five-digit code, e.g. '1 rue X, 35000 Rennes'")
        public = [name for name in self.servers if soil.is_public_host(name) or soil.is_loopback(name)]
        if public:
            raise ValueError(f"servers: {public[0]} is no server of an organisation's own")
        return self


Responsibility = Literal["management", "security", "data-protection", "legal", "operations", "support"]


class StageSpec(_Strict):
    """One deployment. Nothing that matters has a default."""

    host: Literal["local", "aws", "scaleway", "ovhcloud", "outscale", "container"]
    region: str
    owner: Annotated[str, Field(min_length=1)]
    premises: Premises | None = None
    """Needed on host `container`, and wherever a store is not a public host's."""
    folder: Path | None = None
    """Local stages only: where the `sceau` command keeps what it makes for them; relative to the chalicefile."""
    origins: Annotated[tuple[Origin, ...], Field(min_length=1)]
    identifiers: Annotated[tuple[str, ...], Field(min_length=1)]
    largest_body_bytes: Annotated[int, Field(strict=True, ge=65536, le=64 * 1024 * 1024)]
    retention_days: Annotated[int, Field(strict=True, ge=TEN_YEARS_DAYS)]
    token_seconds: Annotated[int, Field(strict=True, ge=1, le=300)]
    nonce_required: StrictBool
    replay_marks_for_reads: StrictBool
    development_issuer: Origin | None = None
    rules: RuleSettings = RuleSettings()
    """What the law leaves open (`docs/rules.md`): what is not set gives the least."""
    sealing_seconds: Annotated[int | None, Field(strict=True, ge=1, le=60)] = None
    """Local stages only: how often `journal` seals there, in place of its schedule: nobody waits a minute at a desk."""
    log: LogSpec = LogSpec()
    """Who outside vouches for the log (`docs/witnesses.md`)."""
    store: StoreSpec
    backup: BackupSpec | None = None
    """The second store, of `sceau backup`; on French soil as the first one is."""
    key_service: KeyServiceSpec
    infrastructure: Infrastructure | None = None
    """What `make plan` makes the host's infrastructure from; only hosts that we have modules for."""
    responsible: dict[Responsibility, Annotated[str, Field(min_length=1, max_length=200)]] = {}
    """Who owns what software can't show an auditor (`sceau evidence`): a person or an office."""
    switched_on: dict[str, AwareDatetime] = {}
    """Functions and tools called on demand that may run now, each until a time: nobody forgets to switch one off."""

    @model_validator(mode="after")
    def _on_french_soil(self) -> Self:
        if self.host == "container":
            if self.premises is None:
                raise ValueError("premises: own servers are accepted by declaration of their owner and address only")
            if not self.region.startswith(soil.OWN_REGION_PREFIX):
                raise ValueError(f"region: that of own servers begins with '{soil.OWN_REGION_PREFIX}'")
            return self
        allowed = (soil.LOOPBACK,) if self.host == "local" else soil.regions_of(self.host)
        if self.region not in allowed:
            raise ValueError(
                f"region: {self.host} is accepted on French soil only: {', '.join(allowed)}; "
                f"the whole list: {soil.the_list()}"
            )
        return self

    @model_validator(mode="after")
    def _stores_on_french_soil(self) -> Self:
        for called, place in (("store", self.store), ("backup", self.backup)):
            if isinstance(place, S3Place) and not self._is_on_french_soil(place):
                raise ValueError(
                    f"{called}: endpoint {place.host_name} with region {place.region} is not known to be on French "
                    f"soil; the list: {soil.the_list()}"
                )
        return self

    def _is_on_french_soil(self, place: S3Place) -> bool:
        name, region = place.host_name, place.region
        if soil.is_loopback(name):
            return self.host == "local" and region == soil.LOOPBACK
        if self.premises is not None and name in self.premises.servers:
            return region.startswith(soil.OWN_REGION_PREFIX)
        return soil.place_of_store(name, region) is not None

    @model_validator(mode="after")
    def _backup_apart(self) -> Self:
        store, backup = self.store, self.backup
        if isinstance(store, FilesystemStoreSpec) and isinstance(backup, FilesystemStoreSpec):
            if store.folder in {backup.folder, *backup.folder.parents}:
                raise ValueError("backup: its folder is the store's own")
        elif isinstance(store, S3Place) and isinstance(backup, S3Place):
            both = set(store.buckets.values()) & set(backup.buckets.values())
            if both and store.origin == backup.origin:
                raise ValueError(f"backup: bucket {min(both)} is one of the store's own")
        return self

    @model_validator(mode="after")
    def _backup_lets_go(self) -> Self:
        days = self.backup.lock_days if isinstance(self.backup, S3BackupSpec) else None
        if days is not None and days > self.rules.deleted_backup_days:
            raise ValueError(
                f"backup: lock_days is {days}, and rules.deleted_backup_days is {self.rules.deleted_backup_days}: what "
                "was deleted on the stage could not leave the backup in time"
            )
        return self

    @model_validator(mode="after")
    def _infrastructure_of_its_host(self) -> Self:
        if self.infrastructure is not None and self.infrastructure.host != self.host:
            raise ValueError(f"infrastructure: it is for {self.infrastructure.host}, and the stage for {self.host}")
        return self

    @model_validator(mode="after")
    def _keys_where_the_stage_is(self) -> Self:
        for _, one in services_of(self.key_service):
            own = _OWN_KEYS.get(self.host)
            if own is not None and isinstance(one, own) and one.region != self.region:
                raise ValueError(f"key_service: its region {one.region} is not the stage's, {self.region}")
        return self

    @model_validator(mode="after")
    def _keys_are_known(self) -> Self:
        own = _OWN_KEYS.get(self.host)
        services = dict(services_of(self.key_service))
        for called in unlisted(self.key_service):
            made_here = self.infrastructure is not None and own is not None and isinstance(services[called], own)
            if not made_here or len(unlisted(self.key_service)) > 1:
                where = f"key_service.{called}" if called else "key_service"
                raise ValueError(f"{where}: keys: they are listed, unless the stage's own infrastructure makes them")
        return self

    @model_validator(mode="after")
    def _folder_of_a_local_stage(self) -> Self:
        if (self.folder is not None) != (self.host == "local"):
            raise ValueError("folder: local stages have one, and no others")
        return self

    @model_validator(mode="after")
    def _one_world(self) -> Self:
        given = frozenset(self.identifiers)
        if not given <= _INS_TEST | _INS_REAL:
            raise ValueError("identifiers: INS systems are urn:oid:1.2.250.1.213.1.4.8 to .11")
        if given & _INS_TEST and given & _INS_REAL:
            raise ValueError("identifiers: a stage takes test identities or real ones, never both")
        if self.sealing_seconds is not None and self.host != "local":
            raise ValueError("sealing_seconds: only a local stage may have it; elsewhere the schedule counts")
        if self.development_issuer and (self.host != "local" or given & _INS_REAL):
            raise ValueError("development_issuer: only a local stage with test identities may have one")
        return self


class Chalicefile(_Strict):
    """The whole file."""

    format: Literal[1]
    functions: dict[str, FunctionSpec]
    tools: dict[str, ToolSpec]
    stages: dict[str, StageSpec]

    def deployed(self, stage: StageSpec) -> dict[str, FunctionSpec]:
        """The functions that a stage has: all but those that are called on demand and not switched on there."""
        return {
            name: function
            for name, function in self.functions.items()
            if not function.on_demand or name in stage.switched_on
        }

    def tools_of(self, stage: StageSpec) -> dict[str, ToolSpec]:
        """The tools that a stage has, likewise."""
        return {name: tool for name, tool in self.tools.items() if not tool.on_demand or name in stage.switched_on}

    @model_validator(mode="after")
    def _what_is_switched_on_can_be(self) -> Self:
        roles: dict[str, FunctionSpec | ToolSpec] = {**self.tools, **self.functions}
        for name, stage in self.stages.items():
            for role in stage.switched_on:
                if role not in roles or not roles[role].on_demand:
                    raise ValueError(f"stages.{name}.switched_on: {role} is nothing that is called on demand")
        return self

    @model_validator(mode="after")
    def _routes_are_unique(self) -> Self:
        seen: dict[tuple[str, str], str] = {}
        for name, function in self.functions.items():
            for route in function.routes:
                shape = (route.method, _PARAMETER.sub("{}", route.path))  # a parameter's name tells no routes apart
                if shape in seen:
                    raise ValueError(f"functions: {route.method} {route.path} belongs to {seen[shape]} and to {name}")
                seen[shape] = name
        return self


def read_chalicefile(path: Path) -> Chalicefile:
    """Read and check the file. Raises ChalicefileError with one sentence that names the key and what was expected."""
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ChalicefileError(f"{path.name} is missing") from None
    except OSError as error:
        raise ChalicefileError(f"{path.name} can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ChalicefileError(f"{path.name} is not TOML: {error}") from None
    return parse_chalicefile(data)


def parse_chalicefile(data: dict[str, Any]) -> Chalicefile:
    """The same, from parsed TOML."""
    try:
        return Chalicefile.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in _without_tags(first["loc"]))
        unknown = first["type"] == "extra_forbidden"
        message = "no such key is known here" if unknown else first["msg"].removeprefix("Value error, ")
        raise ChalicefileError(f"chalicefile: {where or 'file'}: {message}") from None


def _without_tags(place: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Where an error is, as the file's keys say it: pydantic puts the kind's name between (of the adapter, say)."""
    in_adapter = place[:1] == ("stages",) and place[2:3] in _UNIONS and len(place) > _TAG
    return place[:_TAG] + place[_TAG + 1 :] if in_adapter and place[_TAG] in _ADAPTERS else place


_TAG = 3  # stages, the stage's name, what is one of several kinds, the kind
_UNIONS = (("store",), ("key_service",), ("infrastructure",))
_ADAPTERS = frozenset({"filesystem", "s3", "local", "scaleway", "aws"})
