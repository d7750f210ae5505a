"""Who outside vouches for a stage's log, as its settings say: witnesses, a time-stamp authority. Nothing waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Protocol

from sceau.audit.log.asking import Ask
from sceau.audit.log.errors import LogUnavailable
from sceau.audit.log.policies import Policy, parse_policy
from sceau.audit.log.witnessing import Witnesses
from sceau.http.log import LogEvent, log
from sceau.http.outbound import https_ask
from sceau.http.runtime import Runtime


class Vouched(Protocol):
    """What one of them did in a run, in numbers. `alarms`: the log may be damaged; `troubles`: mend something."""

    def figures(self) -> dict[str, int | float]: ...

    @property
    def alarms(self) -> dict[str, int]: ...

    @property
    def troubles(self) -> dict[str, int]: ...


Asker = Callable[[str | None], Ask]
"""Makes what asks, from the PEM certificates that vouch for servers."""


def policy_of(runtime: Runtime) -> Policy | None:
    """The stage's policy; None where it has none. Raises PolicyRefused."""
    text = runtime.spec.log.policy
    return None if text is None else parse_policy(text.encode())


class Vouching:
    """Asks all of them, in turn. Raises PolicyRefused, StampRefused when the settings can't be used, at its making."""

    def __init__(self, runtime: Runtime, *, asker: Asker = https_ask) -> None:
        self._function = runtime.function
        self._runs = list(_runs(runtime, asker))

    def run(self) -> dict[str, int | float]:
        """Ask, log what must be seen, and return the figures. A store that does not answer ends it: next time again."""
        figures: dict[str, int | float] = {}
        for run in self._runs:
            try:
                vouched = run()
            except LogUnavailable as error:
                log(LogEvent.UNAVAILABLE, function=self._function, error=type(error).__name__)
                continue
            if vouched is None:
                continue
            figures |= vouched.figures()
            if vouched.alarms:
                log(LogEvent.DAMAGED, function=self._function, **vouched.alarms)
            if vouched.troubles:
                log(LogEvent.UNAVAILABLE, function=self._function, **vouched.troubles)
        return figures


def _runs(runtime: Runtime, asker: Asker) -> Iterator[Callable[[], Vouched | None]]:
    spec = runtime.spec.log
    retention = timedelta(days=runtime.spec.retention_days)
    policy = policy_of(runtime)
    if policy is not None:
        yield Witnesses(runtime.store, policy, asker(spec.tls), clock=runtime.clock, retention=retention).run
    if spec.timestamps is not None:
        # Imported only where it is used: its library is large, and of no use to any other function.
        from sceau.audit.log.stamping import Stamper, authority_of

        stamps = spec.timestamps
        yield Stamper(
            runtime.store,
            authority_of(stamps.url, stamps.certificates, stamps.policy),
            asker(stamps.tls),
            every=stamps.period,
            clock=runtime.clock,
            retention=retention,
        ).run
