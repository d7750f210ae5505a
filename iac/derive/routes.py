"""Routes as a front's rules: a method, and a pattern that matches a whole path."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import combinations

from iac.derive.stores import DerivationError

_PARAMETER = re.compile(r"\{[a-z_]+\}")
_SEGMENT = "[^/]+"


def path_regex(path: str) -> str:
    """A route's path as an anchored regular expression (RE2 and Python's read it alike)."""
    parts = [
        _SEGMENT if _PARAMETER.fullmatch(part) else re.escape(part).replace("\\-", "-") for part in path.split("/")
    ]
    return f"^{'/'.join(parts)}$"


def check_disjoint(routes: Iterable[tuple[str, str]]) -> None:
    """Raise DerivationError when one request could match two routes: fronts and Chalice would choose differently."""
    for (method, path), (other_method, other) in combinations(routes, 2):
        if method == other_method and _overlap(path.split("/"), other.split("/")):
            raise DerivationError(f"routes: a request could match {method} {path} and {other}")


def _overlap(first: list[str], second: list[str]) -> bool:
    return len(first) == len(second) and all(
        one == other or _PARAMETER.fullmatch(one) or _PARAMETER.fullmatch(other)
        for one, other in zip(first, second, strict=True)
    )


def cron_of(rate: str) -> str:
    """A `rate(…)` as a cron line in UTC. DerivationError for a rate that no cron line keeps evenly."""
    number, unit = rate.removeprefix("rate(").removesuffix(")").split(" ")
    every, unit = int(number), unit.removesuffix("s")
    if unit == "minute" and 60 % every == 0:
        return f"*/{every} * * * *" if every > 1 else "* * * * *"
    if unit == "hour" and 24 % every == 0:
        return f"0 */{every} * * *" if every > 1 else "0 * * * *"
    if (unit, every) == ("day", 1):
        return "0 0 * * *"
    raise DerivationError(f"schedule: {rate} does not divide an hour or a day: this host's scheduler can't keep it")
