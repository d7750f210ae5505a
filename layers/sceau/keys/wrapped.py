"""Wrapped data keys, read without any key: which adapter's form they have, and which version of a key they need.

The first byte tells the form; no two adapters share one. Pages: `docs/formats/wrapped-data-key.md`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct, error as struct_error

NUMBERED_HEAD = Struct(">BI")
"""Form, and the number of the key's version: local, PKCS#11."""

IDENTIFIED_HEAD = Struct(">B16s")
"""Form, and the 16 bytes of the provider's key id (a UUID): AWS KMS, Scaleway."""

CUSTODY_HEAD = Struct(">BH")
"""Form, and the length of the first service's part, which follows; then the second's."""


class Form(IntEnum):
    """The first byte of a wrapped data key."""

    LOCAL = 1
    PKCS11_GCM = 2
    PKCS11_CBC_HMAC = 3
    AWS_KMS = 4
    SCALEWAY = 5
    CUSTODY = 6


@dataclass(frozen=True, slots=True)
class WrappedUnder:
    """What a wrapped data key says of itself: NOT AUTHENTICATED.

    `version`: the number of a version; the provider's key id; of custody, both parts'. `exact`: false where the
    provider turns the key's material over under one id, and which material was used can't be seen.
    """

    form: Form
    version: str
    exact: bool


def wrapped_under(wrapped: bytes) -> WrappedUnder:
    """Which version a wrapped data key needs. Raises ValueError for bytes of no form of ours."""
    try:
        form = Form(wrapped[0])
        if form is Form.CUSTODY:
            first, second = (wrapped_under(part) for part in custody_parts(wrapped))
            return WrappedUnder(form, f"{first.version} and {second.version}", first.exact and second.exact)
        if form in {Form.AWS_KMS, Form.SCALEWAY}:
            _, key_id = IDENTIFIED_HEAD.unpack_from(wrapped)
            return WrappedUnder(form, str(uuid.UUID(bytes=key_id)), exact=False)
        _, number = NUMBERED_HEAD.unpack_from(wrapped)
        return WrappedUnder(form, str(number), exact=True)
    except (IndexError, ValueError, struct_error):
        raise ValueError("not a wrapped data key of a form known here") from None


def custody_parts(wrapped: bytes) -> tuple[bytes, bytes]:
    """The two parts of a data key in custody. Raises ValueError for bytes that are not of that form."""
    if len(wrapped) < CUSTODY_HEAD.size or wrapped[0] != Form.CUSTODY:
        raise ValueError("not a data key in custody")
    _, length = CUSTODY_HEAD.unpack_from(wrapped)
    first, second = wrapped[CUSTODY_HEAD.size :][:length], wrapped[CUSTODY_HEAD.size + length :]
    if len(first) != length or not first or not second or Form.CUSTODY in {first[0], second[0]}:
        raise ValueError("a data key in custody is cut, or holds another")
    return first, second
