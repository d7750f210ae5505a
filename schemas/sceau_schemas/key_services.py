"""The key services that a stage may have, as the `chalicefile` declares them. Never a key or a PIN in here."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    field_validator,
    model_validator,
)

from sceau_schemas import soil

KeyNameText = Literal[
    "dossier", "content", "journal", "configuration", "pseudonym", "log", "probe", "tokens", "checkpoints"
]
"""The keys of a stage, one per purpose (`sceau.keys.ports.KeyName`)."""

_ARN = re.compile(
    r"arn:aws:kms:([a-z0-9-]+):[0-9]{12}:key/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
)
_ALL = frozenset(get_args(KeyNameText))
_SIGNING = frozenset({"tokens", "checkpoints"})


VersionsT = TypeVar("VersionsT", tuple[str, ...], tuple[uuid.UUID, ...])


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LocalKeysSpec(_Strict):
    """Keys in a file readable by its owner only; relative to the chalicefile."""

    adapter: Literal["local"]
    file: Path


class Pkcs11KeysSpec(_Strict):
    """Keys on a token of a PKCS #11 module: an HSM, or SoftHSM.

    `module`: the vendor's library; a bare name is looked for where systems keep SoftHSM's. `token`: the token's label.
    `prefix`: what the labels of this stage's keys begin with. The PIN is in a file, or comes by an inherited
    descriptor. `softhsm_configuration`: SoftHSM only, its configuration file. Paths are relative to the chalicefile.
    """

    adapter: Literal["pkcs11"]
    module: Path
    token: Annotated[str, Field(min_length=1, max_length=32)]  # CK_TOKEN_INFO.label has 32 bytes
    prefix: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]
    pin_file: Path | None = None
    pin_descriptor: Annotated[StrictInt, Field(ge=3)] | None = None
    softhsm_configuration: Path | None = None

    @model_validator(mode="after")
    def _one_pin(self) -> Self:
        if (self.pin_file is None) == (self.pin_descriptor is None):
            raise ValueError("the PIN is in pin_file, or comes by pin_descriptor: give one of the two")
        return self


def _arn(value: object) -> object:
    if not isinstance(value, str) or not _ARN.fullmatch(value):
        raise ValueError(
            "a KMS key reads like 'arn:aws:kms:eu-west-3:111122223333:key/<UUID>' (no alias, and no multi-Region key: "
            "its replicas may be anywhere)"
        )
    return value


KmsArn = Annotated[str, BeforeValidator(_arn)]


class AwsKmsKeysSpec(_Strict):
    """KMS keys, by ARN, in a region on French soil. Of each key its versions, oldest first: the last one is in use.

    `keys` is left out where the stage's infrastructure makes them: it tells each function by its environment.
    """

    adapter: Literal["aws_kms"]
    region: str
    keys: dict[KeyNameText, Annotated[tuple[KmsArn, ...], Field(min_length=1)]] | None = None

    @model_validator(mode="after")
    def _on_french_soil(self) -> Self:
        _require_french("aws", self.region)
        for name, arns in (self.keys or {}).items():
            for arn in arns:
                match = _ARN.fullmatch(arn)
                if match is None or match[1] != self.region:
                    raise ValueError(f"keys: a key of {name} is not in {self.region}")
        return self

    @field_validator("keys")
    @classmethod
    def _each_key_once(cls, value: dict[str, tuple[str, ...]] | None) -> dict[str, tuple[str, ...]] | None:
        return None if value is None else _all_and_once(value)


class ScalewayKeysSpec(_Strict):
    """Keys of Scaleway's Key Manager, by id. Of each key its versions, oldest first: the last one is in use.

    The secret key of the IAM API key is in a file, or else in the environment variable SCEAU_SCALEWAY_SECRET_KEY.
    `keys` is left out where the stage's infrastructure makes them: it tells each function by its environment.
    """

    adapter: Literal["scaleway"]
    region: str
    keys: dict[KeyNameText, Annotated[tuple[uuid.UUID, ...], Field(min_length=1)]] | None = None
    secret_key_file: Path | None = None

    @model_validator(mode="after")
    def _on_french_soil(self) -> Self:
        _require_french("scaleway", self.region)
        return self

    @field_validator("keys")
    @classmethod
    def _each_key_once(cls, value: dict[str, tuple[uuid.UUID, ...]] | None) -> dict[str, tuple[uuid.UUID, ...]] | None:
        return None if value is None else _all_and_once(value)


SingleKeysSpec = Annotated[
    LocalKeysSpec | Pkcs11KeysSpec | AwsKmsKeysSpec | ScalewayKeysSpec, Field(discriminator="adapter")
]


class CustodyKeysSpec(_Strict):
    """Two key services; the keys of `purposes` need both, all others are the first's.

    `single`: while a stage moves into custody, what the first alone wrapped opens too. Off once all was rewrapped.
    """

    adapter: Literal["custody"]
    first: SingleKeysSpec
    second: SingleKeysSpec
    purposes: tuple[KeyNameText, ...] = ("content", "dossier")
    single: StrictBool = False

    @model_validator(mode="after")
    def _two_services(self) -> Self:
        if self.first == self.second:
            raise ValueError("custody: the two services are the same one")
        if not self.purposes or _SIGNING & set(self.purposes):
            raise ValueError("purposes: some wrapping keys; a signing key is of one service")
        return self


KeyServiceSpec = Annotated[
    LocalKeysSpec | Pkcs11KeysSpec | AwsKmsKeysSpec | ScalewayKeysSpec | CustodyKeysSpec,
    Field(discriminator="adapter"),
]


def services_of(spec: KeyServiceSpec) -> tuple[tuple[str, Any], ...]:
    """The services of a stage, each with how it is called: one (""), or the two of custody (`first`, `second`)."""
    if isinstance(spec, CustodyKeysSpec):
        return ("first", spec.first), ("second", spec.second)
    return (("", spec),)


def unlisted(spec: KeyServiceSpec) -> tuple[str, ...]:
    """How those services are called whose keys stand nowhere: the stage's infrastructure makes them, and tells."""
    return tuple(
        called
        for called, one in services_of(spec)
        if isinstance(one, AwsKmsKeysSpec | ScalewayKeysSpec) and one.keys is None
    )


def _require_french(host: str, region: str) -> None:
    if soil.place_of(host, region) is None:
        accepted = ", ".join(soil.regions_of(host))
        raise ValueError(f"region: keys of {host} are accepted on French soil only: {accepted}")


def _all_and_once(value: dict[str, VersionsT]) -> dict[str, VersionsT]:
    """A key for each purpose, and none that serves two: a purpose's rights would reach the other's."""
    missing = sorted(_ALL - set(value))
    if missing:
        raise ValueError(f"a stage needs a key for each purpose; missing: {', '.join(missing)}")
    counted = Counter(str(one) for versions in value.values() for one in versions)
    twice = [name for name, versions in value.items() if any(counted[str(one)] > 1 for one in versions)]
    if twice:
        raise ValueError(f"a key stands twice: under {' and '.join(twice)}")
    return value
