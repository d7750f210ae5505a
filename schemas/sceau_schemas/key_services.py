"""The key services that a stage may have, as the `chalicefile` declares them. Never a key or a PIN in here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict


class LocalKeysSpec(BaseModel):
    """Keys in a file readable by its owner only; relative to the chalicefile."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    adapter: Literal["local"]
    file: Path


# A further one joins by `|`, and the whole becomes Annotated[… | …, Field(discriminator="adapter")].
KeyServiceSpec = LocalKeysSpec
