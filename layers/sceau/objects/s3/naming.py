"""Which bucket has which names: a table of prefixes, of which the longest decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sceau.objects.errors import InvalidObjectName
from sceau.objects.ports import check_name, check_prefix

TEMPORARY: Final = ".sgwtmp."
"""versitygw 1.x lists, for a moment, the file that it is about to put in an object's place: `.NAME.sgwtmp.NUMBER`."""


class Naming:
    """`buckets`: from a prefix of names to a bucket; "" has all that no longer prefix has."""

    def __init__(self, buckets: Mapping[str, str]) -> None:
        self._buckets = dict(sorted(buckets.items(), key=lambda one: len(one[0]), reverse=True))

    def bucket_of(self, name: str) -> str:
        """The bucket of a name, or of what begins with a prefix."""
        return self._buckets[self.owner(name)]

    def place(self, name: str) -> dict[str, str]:
        """Where an object is, as S3's calls name it. Raises InvalidObjectName."""
        return {"Bucket": self.bucket_of(check_name(name)), "Key": name}

    def owner(self, name: str) -> str:
        """The longest of the declared prefixes that a name, or a prefix, begins with."""
        return next(prefix for prefix in self._buckets if name.startswith(prefix))

    def parts(self, prefix: str) -> list[tuple[str, str]]:
        """What a listing is made of: (declared prefix that has the names, what they begin with)."""
        owner = self.owner(check_prefix(prefix))
        inner = [one for one in self._buckets if one.startswith(prefix) and one != owner]
        return [(owner, prefix), *((one, one) for one in inner)]

    def is_own(self, owner: str, key: str) -> bool:
        """Whether a key is a name of ours that belongs where it was found: others are passed over."""
        if TEMPORARY in key:
            return False
        try:
            return self.owner(check_name(key)) == owner
        except InvalidObjectName:
            return False

    def all(self) -> list[str]:
        """Every bucket, once."""
        return sorted(set(self._buckets.values()))


def asked(prefix: str) -> str:
    """What is asked for in place of a prefix: MinIO takes the beginning of ".x" for a path that climbs."""
    folder, slash, stem = prefix.rpartition("/")
    return folder + slash if stem in {".", ".."} else prefix
