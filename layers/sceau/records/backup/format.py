"""The objects of a backup: names, manifests, and the chain that binds them. Frozen: see `docs/formats/backup.md`.

Each content rests once, under the name that it had and its SHA-256, byte for byte. What was there, and when, the runs'
manifests say: parts of a run, and an end that names them by digest, and the end of the run before. So nothing of a
backup can be altered, taken away or put in unseen by whoever knows the digest of its last end.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sceau.objects.errors import InvalidObjectName
from sceau.objects.ports import check_name

FORMAT: Final = "sceau-backup/2"
FORMATS: Final = ("sceau-backup/1", FORMAT)
"""What can be read. Format 2 has lines for contents that aged out; a backup that was begun under format 1 goes on."""

MARKER: Final = "sceau-backup"
RUNS: Final = "runs/"
OBJECTS: Final = "objects/"

_RUN_NAME = re.compile(r"runs/([0-9]{8})/(?:([0-9]{6})|end)")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_TAG = 256


class BackupRefused(Exception):
    """A backup that can't be used, or not for this. The message is one sentence."""


@dataclass(frozen=True, slots=True)
class Copy:
    """What a run found under a name: a content that it copied, or (`sha256` None) that the object was gone.

    `tag`: the source's tag of it, "" for a content that had been replaced already. `written`: when the source wrote
    it; for what was gone, when that was seen (aware, UTC, to a millisecond).
    """

    name: str
    sha256: str | None
    size: int
    tag: str
    written: datetime

    @property
    def object_name(self) -> str:
        """Where the content is in the backup. ValueError for a deletion."""
        if self.sha256 is None:
            raise ValueError("a deletion has no content")
        return content_name(self.name, self.sha256)


@dataclass(frozen=True, slots=True)
class Erasure:
    """A content that was taken out of the backup, at a time (`at`): it aged out, as its record was deleted."""

    name: str
    sha256: str
    at: datetime


Line = Copy | Erasure


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The end of a run. `parts`: the digests of its parts; `before`: that of the end of the run before, if any.

    `began`: everything acknowledged before then is in the backup. `problems`: how many objects could not be copied.
    `format`: that in which it was written.
    """

    run: int
    began: datetime
    ended: datetime
    parts: tuple[str, ...]
    before: str | None
    contents: int
    problems: int
    format: str = FORMAT


def content_name(name: str, sha256: str) -> str:
    """Where a content of an object is in the backup, by its digest."""
    return f"{OBJECTS}{name}.{sha256}"


def sha256_of(data: bytes) -> str:
    """SHA-256 in lowercase hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def part_name(run: int, part: int) -> str:
    """The name of a part of a run's manifest. Both are counted from 1."""
    return f"{RUNS}{run:08d}/{part:06d}"


def end_name(run: int) -> str:
    """The name of a run's end."""
    return f"{RUNS}{run:08d}/end"


def parse_run_name(name: str) -> tuple[int, int | None]:
    """The run, and the part (None for the end), that a name says. Raises ValueError."""
    match = _RUN_NAME.fullmatch(name)
    if match is None or int(match[1]) < 1 or (match[2] is not None and int(match[2]) < 1):
        raise ValueError("not the name of a part of a run")
    return int(match[1]), int(match[2]) if match[2] is not None else None


def encode_marker(stage: str) -> bytes:
    """The object that says that this is a backup, and of which stage."""
    return _line({"format": FORMAT, "stage": stage})


def decode_marker(data: bytes) -> str:
    """The stage that a backup is of. Raises ValueError."""
    found = _object(data)
    if found.get("format") not in FORMATS or not isinstance(found.get("stage"), str):
        raise ValueError("not the marker of a backup of this format")
    return str(found["stage"])


def encode_part(lines: Iterable[Line]) -> bytes:
    """A part of a manifest: a line of JSON for each copy and each erasure, in the order in which they were made."""
    return b"".join(_line(_of_line(one)) for one in lines)


def decode_part(data: bytes) -> tuple[Line, ...]:
    """Parse a part. Raises ValueError."""
    if data and not data.endswith(b"\n"):
        raise ValueError("a part of a manifest is cut")
    return tuple(_parsed(_object(line)) for line in data.splitlines())


def encode_end(end: RunEnd) -> bytes:
    """The end's bytes."""
    return _line(
        {
            "format": end.format,
            "run": end.run,
            "began": _text(end.began),
            "ended": _text(end.ended),
            "parts": list(end.parts),
            "before": end.before,
            "contents": end.contents,
            "problems": end.problems,
        }
    )


def decode_end(data: bytes) -> RunEnd:
    """Parse an end. Raises ValueError."""
    found = _object(data)
    try:
        if found["format"] not in FORMATS:
            raise ValueError("the end of a run of another format")
        numbers = [found["run"], found["contents"], found["problems"]]
        if any(type(one) is not int or one < 0 for one in numbers) or not isinstance(found["parts"], list):
            raise ValueError("an end whose numbers are none")
        before = None if found["before"] is None else _digest(found["before"])
        parts = tuple(_digest(one) for one in found["parts"])
        times = _time(found["began"]), _time(found["ended"])
        return RunEnd(numbers[0], *times, parts, before, numbers[1], numbers[2], found["format"])
    except (KeyError, TypeError) as error:
        raise ValueError("not the end of a run") from error


def _of_line(copy: Line) -> Mapping[str, object]:
    if isinstance(copy, Erasure):
        return {"name": copy.name, "sha256": copy.sha256, "erased": _text(copy.at)}
    if copy.sha256 is None:
        return {"name": copy.name, "gone": _text(copy.written)}
    return {
        "name": copy.name,
        "sha256": copy.sha256,
        "size": copy.size,
        "tag": copy.tag,
        "written": _text(copy.written),
    }


def _parsed(found: Mapping[str, Any]) -> Line:
    try:
        name = check_name(found["name"])
        if found.keys() == {"name", "gone"}:
            return Copy(name, None, 0, "", _time(found["gone"]))
        if found.keys() == {"name", "sha256", "erased"}:
            return Erasure(name, _digest(found["sha256"]), _time(found["erased"]))
        size, tag = found["size"], found["tag"]
        if type(size) is not int or size < 0 or not isinstance(tag, str) or len(tag) > _MOST_TAG or len(found) != 5:  # noqa: PLR2004 - the members of a line
            raise ValueError("a line of a manifest that is out of its form")
        return Copy(name, _digest(found["sha256"]), size, tag, _time(found["written"]))
    except (KeyError, TypeError, InvalidObjectName) as error:
        raise ValueError("not a line of a manifest") from error


def _digest(text: object) -> str:
    if not isinstance(text, str) or not _SHA256.fullmatch(text):
        raise ValueError("not a digest")
    return text


def _text(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _time(text: object) -> datetime:
    if not isinstance(text, str):
        raise TypeError("a time is text")
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def _line(members: Mapping[str, object]) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode("ascii") + b"\n"


def _object(data: bytes) -> dict[str, Any]:
    found = json.loads(data)
    if not isinstance(found, dict):
        raise ValueError("not an object of JSON")  # noqa: TRY004 - what is parsed is data, not a caller's mistake
    return found
