"""The conftest of the mutants' project: the same examples each time, and few, since they run for each mutant."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "mutants",
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("mutants")
