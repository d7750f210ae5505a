"""A stage's settings from the environment, in place of the chalicefile's: one image serves several stages of one kind.

`SCEAU_STAGE__<KEY>` is a key of the stage, `SCEAU_STAGE__STORE__<KEY>` a key of its store, and so on. A value is JSON
where it reads as JSON (`4000`, `true`, `["https://dmp.example.fr"]`), and text elsewhere. What comes out is checked as
the chalicefile is: the environment can say nothing that the file could not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from sceau_schemas.deployment import ChalicefileError, StageSpec

PREFIX = "SCEAU_STAGE__"
KEYS = f"{PREFIX}KEY_SERVICE__KEYS"
"""What infrastructure that makes a stage's keys tells each function: their ids by purpose, as JSON."""

_BETWEEN = "__"
_MOST_LEVELS = 3


def settings_in(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that are meant, by their names without the prefix."""
    return {name.removeprefix(PREFIX): value for name, value in environ.items() if name.startswith(PREFIX)}


def keys_variable(called: str) -> str:
    """The same for one of the two services of custody (`first`, `second`); "" where there is one."""
    return f"{PREFIX}KEY_SERVICE__{called.upper()}__KEYS" if called else KEYS


def overlaid(spec: StageSpec, settings: Mapping[str, str]) -> StageSpec:
    """The stage with these settings. Raises ChalicefileError with one sentence, which holds no value."""
    if not settings:
        return spec
    whole = spec.model_dump(exclude_none=True)
    for name, text in sorted(settings.items()):
        keys = name.lower().split(_BETWEEN)
        if not all(keys) or len(keys) > _MOST_LEVELS:
            raise ChalicefileError(f"{PREFIX}{name} names no key of a stage")
        place: Any = whole
        for key in keys[:-1]:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise ChalicefileError(f"{PREFIX}{name} names no key of a stage")
        place[keys[-1]] = _value(text)
    try:
        return StageSpec.model_validate(whole)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        unknown = first["type"] == "extra_forbidden"
        said = "no such key is known here" if unknown else first["msg"].removeprefix("Value error, ")
        where = ".".join(map(str, first["loc"]))
        raise ChalicefileError(f"{PREFIX}…: {where + ': ' if where else ''}{said}") from None


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
