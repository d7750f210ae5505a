"""What ends a build. The message is one sentence for the person who runs it."""

from __future__ import annotations


class BuildError(Exception):
    """The package can't be made, or is not what it has to be."""
