"""Calls that don't wait for one another, some ahead of where their answers are used: a store takes its time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

AHEAD = 32
"""Calls that are under way, or answered and not used yet."""

ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")


def called_ahead(
    pool: Executor, call: Callable[[ItemT], AnswerT], items: Iterable[ItemT], ahead: int = AHEAD
) -> Iterator[AnswerT]:
    """What `call` gives for each of `items`, in their order; at most `ahead` answers are held.

    What a call raises is raised in its place; those behind it are let go of.
    """
    waiting: deque[Future[AnswerT]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(call, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
