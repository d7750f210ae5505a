"""Which cosignatures a checkpoint needs: the policy (C2SP tlog-policy). Pure.

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> <k|any|all> <name>…
    quorum <name|none>

One text says it to the sealer, which asks the witnesses, and to whoever verifies a proof, who needs no address.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from sceau.audit.log.cosignatures import WitnessKey, parse_witness_key
from sceau.audit.log.errors import NoteRefused, PolicyRefused, QuorumMissed
from sceau.audit.log.notes import Note, VerifierKey, parse_vkey

NONE: Final = "none"
MOST_LINES: Final = 1000

_BLANK = re.compile(r"[ \t]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_NUMBER = re.compile(r"[1-9][0-9]{0,3}")


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness: its name in the policy, its key, and where it takes checkpoints (None: it can only be verified)."""

    name: str
    key: WitnessKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """So many of these witnesses and groups stand for all of them."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy as parsed. `quorum`: the witness or group whose word is needed; NONE: no cosignature is."""

    logs: tuple[VerifierKey, ...]
    witnesses: tuple[Witness, ...]
    groups: Mapping[str, Group]
    quorum: str

    def met_by(self, names: Collection[str]) -> bool:
        """Whether the cosignatures of these witnesses are enough."""
        return self.quorum == NONE or self._stands(self.quorum, names)

    def cosigned(self, note: Note) -> dict[str, int]:
        """Which witnesses cosigned the note, and when (seconds since 1970). Other signatures are ignored.

        Raises NoteRefused when a signature that is said to be a witness's is not.
        """
        known = {(one.key.name, one.key.key_id): one for one in self.witnesses}
        found: dict[str, int] = {}
        for signature in note.signatures:
            witness = known.get((signature.name, signature.key_id))
            if witness is None:
                continue
            time = witness.key.cosigned_at(note.text, signature.value)
            if time is None:
                raise NoteRefused(f"the cosignature of {witness.name} is wrong")
            found[witness.name] = max(time, found.get(witness.name, 0))
        return found

    def require(self, note: Note) -> dict[str, int]:
        """As `cosigned`. Raises QuorumMissed when that is not enough, NoteRefused."""
        found = self.cosigned(note)
        if not self.met_by(found):
            said = ", ".join(sorted(found)) or "no witness"
            raise QuorumMissed(f"the checkpoint lacks cosignatures that the policy wants: {said} cosigned it")
        return found

    def _stands(self, name: str, names: Collection[str]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name in names
        return sum(self._stands(member, names) for member in group.members) >= group.threshold


@dataclass(slots=True)
class _Draft:
    logs: list[VerifierKey] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    groups: dict[str, Group] = field(default_factory=dict)
    quorum: str | None = None
    used: set[str] = field(default_factory=set)

    def defined(self, name: str) -> bool:
        return name in self.groups or any(one.name == name for one in self.witnesses)


def parse_policy(data: bytes) -> Policy:
    """Parse a policy. Raises PolicyRefused, which names the line and what is wrong with it."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise PolicyRefused("the policy is not UTF-8") from None
    lines = text.split("\n")
    if _CONTROL.search(text) or len(lines) > MOST_LINES:
        raise PolicyRefused("the policy has control characters, or too many lines")
    draft = _Draft()
    for number, line in enumerate(lines, 1):
        words = [word for word in _BLANK.split(line) if word]
        if not words or words[0].startswith("#"):
            continue
        try:
            _LINES.get(words[0], _unknown)(draft, words[1:])
        except (PolicyRefused, NoteRefused) as error:
            raise PolicyRefused(f"line {number}: {error}") from None
    if draft.quorum is None:
        raise PolicyRefused("the policy has no quorum line")
    return Policy(tuple(draft.logs), tuple(draft.witnesses), draft.groups, draft.quorum)


def _unknown(_: _Draft, __: list[str]) -> None:
    raise PolicyRefused("begins with something else than log, witness, group or quorum")


def _log(draft: _Draft, words: list[str]) -> None:
    if len(words) not in (1, 2):
        raise PolicyRefused("expected: log <vkey> [<url>]")
    key = parse_vkey(words[0])
    if any(key.public == other.public for other in draft.logs):
        raise PolicyRefused("a log's key stands twice")
    draft.logs.append(key)


def _witness(draft: _Draft, words: list[str]) -> None:
    if len(words) not in (2, 3):
        raise PolicyRefused("expected: witness <name> <vkey> [<url>]")
    name, key = words[0], parse_witness_key(words[1])
    _require_new(draft, name)
    if any(key.public == other.key.public for other in draft.witnesses):
        raise PolicyRefused("a witness's key stands twice")
    draft.witnesses.append(Witness(name, key, _address(words[2]) if len(words) > 2 else None))  # noqa: PLR2004 - the address is optional


def _group(draft: _Draft, words: list[str]) -> None:
    if len(words) < 3:  # noqa: PLR2004 - name, threshold, a member
        raise PolicyRefused("expected: group <name> <k|any|all> <name>…")
    name, threshold, members = words[0], words[1], words[2:]
    _require_new(draft, name)
    for member in members:
        if not draft.defined(member):
            raise PolicyRefused(f"{member} is not defined before this line")
        if member in draft.used:
            raise PolicyRefused(f"{member} is in a group already")
        draft.used.add(member)
    needed = {"any": 1, "all": len(members)}.get(threshold, int(threshold) if _NUMBER.fullmatch(threshold) else 0)
    if not 1 <= needed <= len(members):
        raise PolicyRefused("a group's threshold is any, all, or a number from 1 to that of its members")
    draft.groups[name] = Group(needed, tuple(members))


def _quorum(draft: _Draft, words: list[str]) -> None:
    if len(words) != 1:
        raise PolicyRefused("expected: quorum <name|none>")
    if draft.quorum is not None:
        raise PolicyRefused("the policy has a second quorum line")
    if words[0] != NONE and not draft.defined(words[0]):
        raise PolicyRefused(f"{words[0]} is not defined before this line")
    draft.quorum = words[0]


def _require_new(draft: _Draft, name: str) -> None:
    if name == NONE or draft.defined(name):
        raise PolicyRefused(f"the name {name} is taken")


def _address(url: str) -> str:
    """Only HTTPS: what is asked there leaves the organisation's network."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme == "https" and parts.hostname and "@" not in parts.netloc and url.isascii()
        valid = valid and not parts.query and not parts.fragment and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise PolicyRefused("a witness's address is an https URL, without user, query and fragment")
    return url.rstrip("/")


_LINES = {"log": _log, "witness": _witness, "group": _group, "quorum": _quorum}
