"""The keys of a stage as objects on a token: found by their labels, made, destroyed.

Labels: `<prefix>:<key>:<number>` for an AES or P-256 key (private and public object alike), with `:mac` behind it for
the HMAC key of an AES key that wraps in CBC. Keys are made in the token, sensitive and not extractable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pkcs11 import Attribute, KeyType, MechanismFlag, ObjectClass
from pkcs11.exceptions import KeyHandleInvalid, ObjectHandleInvalid, PKCS11Error
from pkcs11.mechanisms import Mechanism

from sceau.keys.errors import KeyServiceNotUsable, KeyServiceUnavailable, UnknownKey
from sceau.keys.pkcs11_library import kind
from sceau.keys.pkcs11_token import Session, Token
from sceau.keys.ports import SIGNING_KEYS, KeyName
from sceau.keys.wrapped import Form

GCM_METHOD: Final = "aes-gcm"
CBC_METHOD: Final = "aes-cbc-hmac"
METHODS: Final = {GCM_METHOD: Form.PKCS11_GCM, CBC_METHOD: Form.PKCS11_CBC_HMAC}
"""How a version of a wrapping key wraps; fixed when it is made."""

_NEEDED: Final = {
    GCM_METHOD: {Mechanism.AES_GCM},
    CBC_METHOD: {Mechanism.AES_CBC, Mechanism.SHA256_HMAC},
    None: {Mechanism.ECDSA},
}
_READINGS: Final = 5
_P256: Final = bytes.fromhex("06082a8648ce3d030107")  # the OID prime256v1, in DER
_BITS: Final = 256
_LARGEST_NUMBER: Final = 0xFFFFFFFF
_POINT_IN_OCTET_STRING: Final = b"\x04\x41"
_POINT_BYTES: Final = 65
_LABEL = re.compile(r"([a-z]+):([1-9][0-9]{0,9})(:mac)?")

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class WrappingVersion:
    """One version of a wrapping key: its AES key, and its HMAC key if it wraps in CBC."""

    number: int
    cipher: Any
    mac: Any

    @property
    def form(self) -> Form:
        """The form of what it wraps."""
        return Form.PKCS11_GCM if self.mac is None else Form.PKCS11_CBC_HMAC


@dataclass(frozen=True, slots=True)
class SigningVersion:
    """One version of a signing key: its private key, and the DER SubjectPublicKeyInfo."""

    private: Any
    spki: bytes


@dataclass(frozen=True, slots=True)
class Ring:
    """The keys that a session found, by name and version. Its objects work in that session only.

    `faults`: the keys that can't be used, each with a sentence; what is wrong with one must not stop the others.
    """

    wrapping: Mapping[KeyName, Mapping[int, WrappingVersion]] = field(default_factory=dict)
    signing: Mapping[KeyName, Mapping[str, SigningVersion]] = field(default_factory=dict)
    faults: Mapping[KeyName, str] = field(default_factory=dict)

    def numbers(self, key: KeyName) -> list[int]:
        """The versions of a key, oldest first."""
        return sorted(int(number) for number in (*self.wrapping.get(key, ()), *self.signing.get(key, ())))


def read_ring(raw: Any, prefix: str) -> Ring:
    """Find the keys with a session of python-pkcs11's. Raises PKCS11Error.

    What is found may be destroyed, or still in the making, before it is looked at: then all is read again, since a ring
    without it might lack a version that is there.
    """
    for _ in range(_READINGS - 1):
        with suppress(ObjectHandleInvalid, KeyHandleInvalid):
            return _read_ring(raw, prefix)
    return _read_ring(raw, prefix)


def _read_ring(raw: Any, prefix: str) -> Ring:
    faults: dict[KeyName, str] = {}
    secrets, privates, publics = (
        _found(raw, prefix, of, faults)
        for of in (ObjectClass.SECRET_KEY, ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY)
    )
    wrapping: dict[KeyName, dict[int, WrappingVersion]] = {}
    signing: dict[KeyName, dict[str, SigningVersion]] = {}
    for (key, number, is_mac), found in secrets.items():
        if is_mac:
            continue
        if key in SIGNING_KEYS or not _is_aes_256(found):
            faults[key] = f"the object labelled {_label(prefix, key, number)} is of the wrong kind"
            continue
        wrapping.setdefault(key, {})[number] = WrappingVersion(number, found, secrets.get((key, number, True)))
    for (key, number, _), private in privates.items():
        spki = _spki(publics.get((key, number, False)))
        if key not in SIGNING_KEYS or private[Attribute.KEY_TYPE] is not KeyType.EC or spki is None:
            faults[key] = f"the objects labelled {_label(prefix, key, number)} are no P-256 key pair"
            continue
        signing.setdefault(key, {})[str(number)] = SigningVersion(private, spki)
    return Ring(wrapping, signing, faults)


def create_version(token: Token, prefix: str, key: KeyName, *, method: str = GCM_METHOD) -> int:
    """Make the next version of `key` in the token; return its number. `method` counts for wrapping keys only.

    Raises KeyServiceNotUsable when the token does not offer what that needs, KeyServiceUnavailable.
    """
    offered = token.connect()
    needed = _NEEDED[None if key in SIGNING_KEYS else method]
    if not needed <= offered:
        missing = ", ".join(sorted(one.name for one in needed - offered))
        raise KeyServiceNotUsable(f"the token does not offer {missing}")

    def work(session: Session) -> int:
        ring = read_ring(session.raw, prefix)
        number = max(ring.numbers(key), default=0) + 1
        if key in SIGNING_KEYS:
            _create_p256(session.raw, _label(prefix, key, number))
        else:
            if method == CBC_METHOD:  # first: an AES key without its MAC key would count as one for GCM
                _create_secret(session.raw, _label(prefix, key, number) + ":mac", KeyType.GENERIC_SECRET)
            _create_secret(session.raw, _label(prefix, key, number), KeyType.AES)
        fault = read_ring(session.raw, prefix).faults.get(key)
        if fault:  # two of one label: somebody else was making the same one
            raise KeyServiceNotUsable(fault)
        return number

    return _asked(token, work, writing=True)


def list_versions(token: Token, prefix: str) -> dict[KeyName, list[int]]:
    """The versions of each key that is on the token, oldest first. Raises KeyServiceUnavailable."""

    def work(session: Session) -> dict[KeyName, list[int]]:
        ring = read_ring(session.raw, prefix)
        return {key: ring.numbers(key) for key in KeyName if ring.numbers(key)}

    return _asked(token, work)


def describe(ring: Ring, key: KeyName) -> list[dict[str, Any]]:
    """What the token tells of each version's objects: those of a version together, the worse of each. PKCS11Error."""
    told = []
    for number in ring.numbers(key):
        if key in SIGNING_KEYS:
            objects, method = [ring.signing[key][str(number)].private], "ecdsa"
        else:
            version = ring.wrapping[key][number]
            objects = [one for one in (version.cipher, version.mac) if one is not None]
            method = next(name for name, form in METHODS.items() if form is version.form)
        told.append(
            {
                "number": number,
                "method": method,
                "sensitive": all(one[Attribute.SENSITIVE] for one in objects),
                "extractable": any(one[Attribute.EXTRACTABLE] for one in objects),
                "local": all(one[Attribute.LOCAL] for one in objects),
            }
        )
    return told


def destroy_version(token: Token, prefix: str, key: KeyName, number: int) -> None:
    """Destroy a version that is not the newest: what it wrapped is lost, unless the HSM's own backup has it.

    Raises UnknownKey when there is no such version, KeyServiceNotUsable when it is the newest, KeyServiceUnavailable.
    """

    def work(session: Session) -> None:
        versions = read_ring(session.raw, prefix).numbers(key)
        if number not in versions:
            raise UnknownKey(f"the token has no version {number} of {key}")
        if number == versions[-1]:
            raise KeyServiceNotUsable(f"version {number} of {key} is in use: make a new one first")
        for label in (_label(prefix, key, number), _label(prefix, key, number) + ":mac"):
            for found in list(session.raw.get_objects({Attribute.LABEL: label})):
                found.destroy()

    _asked(token, work, writing=True)


def _asked(token: Token, work: Callable[[Session], ResultT], *, writing: bool = False) -> ResultT:
    """In a session, once: what failed half-way is for a person to look at, not for a retry."""

    def once(session: Session) -> ResultT:
        session.require_login()
        try:
            return work(session)
        except PKCS11Error as error:
            raise KeyServiceUnavailable(f"the token did not do it: {kind(error)}") from None

    done = token.run(once, writing=writing)
    if writing:
        token.look_again()
    return done


def _label(prefix: str, key: KeyName, number: int) -> str:
    return f"{prefix}:{key}:{number}"


def _found(raw: Any, prefix: str, of: ObjectClass, faults: dict[KeyName, str]) -> dict[tuple[KeyName, int, bool], Any]:
    """Objects of a class by key, number, and whether they are MAC keys."""
    objects: dict[tuple[KeyName, int, bool], Any] = {}
    for found in list(raw.get_objects({Attribute.CLASS: of})):
        label = found[Attribute.LABEL]
        match = _LABEL.fullmatch(label.removeprefix(f"{prefix}:")) if label.startswith(f"{prefix}:") else None
        if not match or match[1] not in set(KeyName) or int(match[2]) > _LARGEST_NUMBER:
            continue
        place = KeyName(match[1]), int(match[2]), bool(match[3])
        if place in objects:
            faults[place[0]] = f"the token has two objects labelled {label}: nobody can say which is meant"
        objects[place] = found
    return dict(sorted(objects.items()))


def _is_aes_256(found: Any) -> bool:
    return bool(found[Attribute.KEY_TYPE] is KeyType.AES and found[Attribute.VALUE_LEN] * 8 == _BITS)


def _create_secret(raw: Any, label: str, of: KeyType) -> None:
    is_mac = of is KeyType.GENERIC_SECRET
    may = MechanismFlag.SIGN | MechanismFlag.VERIFY if is_mac else MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT
    raw.generate_key(of, _BITS, label=label, id=label.encode(), store=True, capabilities=may, template=_HELD)


def _create_p256(raw: Any, label: str) -> None:
    parameters = raw.create_domain_parameters(KeyType.EC, {Attribute.EC_PARAMS: _P256}, local=True)
    parameters.generate_keypair(
        label=label,
        id=label.encode(),
        store=True,
        capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
        private_template=_HELD,
    )


_HELD: Final = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True}


def _spki(public: Any | None) -> bytes | None:
    """The DER form of a P-256 public key, if it is one.

    CKA_EC_POINT is the point in a DER OCTET STRING (v2.40, 2.3.3); some tokens give it bare.
    """
    if public is None or bytes(public[Attribute.EC_PARAMS]) != _P256:
        return None
    point = bytes(public[Attribute.EC_POINT])
    bare = point[2:] if len(point) == _POINT_BYTES + 2 and point.startswith(_POINT_IN_OCTET_STRING) else point
    try:
        loaded = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), bare)
    except ValueError:
        return None
    return loaded.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
