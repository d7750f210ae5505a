"""Who the log is: its origin, its Ed25519 seeds, and every public key it ever signed with; and what signs with them.

Kept sealed in `configuration/log-seed` under the log key, which only `journal` unwraps. The P-256 key stays in the key
service. Whoever shows somebody a log needs both; the seed alone, in this process's memory, is not enough (SECURITY.md).

A key is rotated by adding the new one: both sign for as long as the old one is not retired, so whoever still knows the
old one only goes on. Every public key stays on the list: it verifies what it once signed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from sceau.audit.log.checkpoints import check_origin
from sceau.audit.log.errors import LogDamaged, LogUnavailable, NoteRefused
from sceau.audit.log.notes import ECDSA_P256, ED25519, Note, Signature, VerifierKey, parse_vkey
from sceau.envelope import contexts
from sceau.envelope.errors import MessageRefused
from sceau.envelope.messages import Envelope
from sceau.keys.errors import KeyServiceError
from sceau.keys.ports import KeyName, KeyService
from sceau.objects.errors import ObjectAbsent, ObjectChanged, ObjectStoreError
from sceau.objects.ports import ReplaceableObjects

NAME: Final = "configuration/log-seed"
FORMAT: Final = "sceau-log-seed/1"
SEED_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Identity:
    """A log's origin, the seeds that sign (newest first), and the public keys that ever did (newest first)."""

    origin: str
    seeds: tuple[bytes, ...] = field(repr=False)
    keys: tuple[VerifierKey, ...]

    def encode(self) -> bytes:
        """What is sealed."""
        seeds = [base64.b64encode(seed).decode() for seed in self.seeds]
        keys = [key.text() for key in self.keys]
        return json.dumps({"format": FORMAT, "origin": self.origin, "seeds": seeds, "keys": keys}).encode()


def decode_identity(data: bytes) -> Identity:
    """Parse what was sealed. Raises ValueError."""
    found = json.loads(data)
    if found["format"] != FORMAT:
        raise ValueError("an identity of another format")
    seeds = tuple(base64.b64decode(seed, validate=True) for seed in found["seeds"])
    if not seeds or any(len(seed) != SEED_BYTES for seed in seeds):
        raise ValueError("a seed of another length")
    return Identity(check_origin(found["origin"]), seeds, tuple(parse_vkey(text) for text in found["keys"]))


class Identities:
    """Reads and changes the log's identity. `random_bytes` makes seeds."""

    def __init__(self, store: ReplaceableObjects, keys: KeyService, *, random_bytes: Callable[[int], bytes]) -> None:
        self._store = store
        self._keys = keys
        self._envelope = Envelope(keys)
        self._random_bytes = random_bytes

    def ensure(self, origin: str) -> Identity:
        """The identity, made with this origin if there is none, with the key service's keys of now on its list.

        Of racing first starts one wins, and all return the winner's. The list is kept before anything is signed with
        a key that it lacks. Raises LogUnavailable, LogDamaged.
        """
        return self._changed(lambda known: known or self._first(origin))

    def rotate(self) -> Identity:
        """Add a seed, which signs from now on beside the others."""
        return self._changed(lambda known: self._with_seed(_required(known)))

    def retire(self) -> Identity:
        """Let only the newest seed sign. Its public key must be known to all who verify: they refuse a note without."""
        return self._changed(lambda known: replace(_required(known), seeds=_required(known).seeds[:1]))

    def _first(self, origin: str) -> Identity:
        return self._with_seed(Identity(check_origin(origin), (), ()))

    def _with_seed(self, known: Identity) -> Identity:
        seed = self._random_bytes(SEED_BYTES)
        return replace(known, seeds=(seed, *known.seeds), keys=(ed25519_key(known.origin, seed), *known.keys))

    def _changed(self, change: Callable[[Identity | None], Identity]) -> Identity:
        while True:
            try:
                known, tag = self._read()
                wanted = self._with_service_keys(change(known))
                if wanted != known:
                    sealed = self._envelope.seal(KeyName.LOG, wanted.encode(), contexts.log_seed())
                    self._store.replace(NAME, sealed, expected=tag)
            except ObjectChanged:
                continue  # another process was first: its seeds count
            except (ObjectStoreError, KeyServiceError) as error:
                raise LogUnavailable("the log's keys can't be read or kept") from error
            return wanted

    def _read(self) -> tuple[Identity | None, str | None]:
        try:
            stored = self._store.read(NAME)
        except ObjectAbsent:
            return None, None
        try:
            return decode_identity(
                self._envelope.open(KeyName.LOG, stored.data, contexts.log_seed()).plaintext
            ), stored.tag
        except (MessageRefused, ValueError, KeyError, TypeError, NoteRefused):
            raise LogDamaged("the log's seed does not open") from None

    def _with_service_keys(self, known: Identity) -> Identity:
        of_service = [
            VerifierKey(known.origin, ECDSA_P256, public.spki) for public in self._keys.public_keys(KeyName.CHECKPOINTS)
        ]
        new = tuple(key for key in of_service if key not in known.keys)
        return replace(known, keys=(*new, *known.keys)) if new else known


class LogSigner:
    """Signs checkpoints as the log: with every usable version of the key service's key, and with every seed."""

    def __init__(self, identity: Identity, keys: KeyService) -> None:
        self.identity = identity
        self._keys = keys
        self._seeds = [
            (ed25519_key(identity.origin, seed), Ed25519PrivateKey.from_private_bytes(seed)) for seed in identity.seeds
        ]

    def sign(self, text: bytes) -> bytes:
        """The signed note of `text`. Raises LogUnavailable when the key service does not sign."""
        origin = self.identity.origin
        signatures = []
        try:
            for public in self._keys.public_keys(KeyName.CHECKPOINTS):
                key = VerifierKey(origin, ECDSA_P256, public.spki)
                raw = self._keys.sign(KeyName.CHECKPOINTS, sha256(text).digest(), version=public.version)
                der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
                signatures.append(Signature(origin, key.key_id, der))
        except KeyServiceError as error:
            raise LogUnavailable("the key service did not sign the checkpoint") from error
        signatures += [Signature(origin, key.key_id, private.sign(text)) for key, private in self._seeds]
        return Note(text, tuple(signatures)).encode()


def ed25519_key(origin: str, seed: bytes) -> VerifierKey:
    """The public key of a seed."""
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return VerifierKey(origin, ED25519, raw)


def _required(known: Identity | None) -> Identity:
    if known is None:
        raise LogDamaged("the log has no identity yet: its first checkpoint makes it")
    return known
