"""The policy language that AWS and Scaleway's Object Storage share: statements, wildcards, conditions.

Source: AWS IAM user guide, "Policy evaluation logic" and "Condition operators" (2026); Scaleway, "Bucket policies
overview" (2025-07-30) and "Using conditional writes" (2026-07-01).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

Context = Mapping[str, str | tuple[str, ...]]


class PolicyNotUnderstood(Exception):
    """A policy has an element that is not judged here. The message says which."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call: who, what, on which resource, under which circumstances (condition keys in lowercase)."""

    principal: str
    action: str
    resource: str
    context: Context = field(default_factory=dict)


@cache
def _pattern(text: str, *, ignore_case: bool) -> re.Pattern[str]:
    parts = ("." if part == "?" else ".*" if part == "*" else re.escape(part) for part in re.split(r"([*?])", text))
    return re.compile("".join(parts), re.DOTALL | (re.IGNORECASE if ignore_case else 0))


@lru_cache(maxsize=65536)
def like(pattern: str, value: str, *, ignore_case: bool = False) -> bool:
    """Whether a value matches a pattern with `*` and `?`."""
    return _pattern(pattern, ignore_case=ignore_case).fullmatch(value) is not None


def many(value: Any) -> tuple[str, ...]:
    """A policy's value as a tuple: one text, or a list of them."""
    return tuple(map(_text, value)) if isinstance(value, list) else (_text(value),)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    raise PolicyNotUnderstood(f"a value that is neither a text nor a list of texts: {value!r}")


_KNOWN = frozenset({"Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition"})


def applies(statement: Mapping[str, Any], request: Request, principals: Callable[[Any, str], bool] | None) -> bool:
    """Whether a statement is about this request. `principals` judges its Principal; None for a role's own policy."""
    unknown = set(statement) - _KNOWN
    if unknown:
        raise PolicyNotUnderstood(f"element {min(unknown)!r} of a statement")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise PolicyNotUnderstood(f"effect {statement.get('Effect')!r}")
    if principals is None and "Principal" in statement:
        raise PolicyNotUnderstood("a principal in a role's own policy")
    return (
        _named(statement, "Action", request.action, ignore_case=True)
        and _named(statement, "Resource", request.resource, ignore_case=False)
        and (principals is None or principals(statement.get("Principal"), request.principal))
        and all(
            _holds(operator, key, many(wanted), request.context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _named(statement: Mapping[str, Any], element: str, value: str, *, ignore_case: bool) -> bool:
    positive, negative = statement.get(element), statement.get(f"Not{element}")
    if (positive is None) == (negative is None):
        raise PolicyNotUnderstood(f"a statement needs {element} or Not{element}, and not both")
    found = any(like(one, value, ignore_case=ignore_case) for one in many(positive or negative))
    return found if positive is not None else not found


def about(statements: Iterable[Mapping[str, Any]], action: str) -> tuple[Mapping[str, Any], ...]:
    """The statements that name an action: the others say nothing of it, whatever else a request is."""
    return tuple(one for one in statements if _named(one, "Action", action, ignore_case=True))


def verdict(
    statements: Iterable[Mapping[str, Any]], request: Request, principals: Callable[[Any, str], bool] | None
) -> bool | None:
    """True: allowed; False: denied by a statement, whatever else says; None: nothing here is about it."""
    allowed = None
    for statement in statements:
        if applies(statement, request, principals):
            if statement["Effect"] == "Deny":
                return False
            allowed = True
    return allowed


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise PolicyNotUnderstood(f"{text!r} is no number") from None


_COMPARE: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda wanted, given: wanted == given,
    "StringLike": like,
    "ArnEquals": like,
    "ArnLike": like,
    "Bool": lambda wanted, given: wanted.lower() == given.lower(),
    "NumericLessThan": lambda wanted, given: _number(given) < _number(wanted),
    "NumericLessThanEquals": lambda wanted, given: _number(given) <= _number(wanted),
    "NumericGreaterThanEquals": lambda wanted, given: _number(given) >= _number(wanted),
}

_NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotLike": "StringLike",
    "ArnNotLike": "ArnLike",
    "ArnNotEquals": "ArnEquals",
}


def _holds(operator: str, key: str, wanted: tuple[str, ...], context: Context) -> bool:
    """Whether one condition holds. A key that the request has not: fails, but for negated operators and `…IfExists`."""
    given = context.get(key.lower())
    if operator == "Null":
        return all((given is None) == (one.lower() == "true") for one in wanted)
    quantifier, _, operator = operator.rpartition(":")
    if_exists = operator.endswith("IfExists")
    operator = operator.removesuffix("IfExists")
    negated = operator in _NEGATED
    compare = _COMPARE.get(_NEGATED.get(operator, operator))
    if compare is None or quantifier not in ("", "ForAllValues", "ForAnyValue"):
        raise PolicyNotUnderstood(f"condition operator {quantifier}:{operator}")
    if given is None:
        return negated or if_exists or quantifier == "ForAllValues"
    values = given if isinstance(given, tuple) else (given,)
    if not quantifier and len(values) != 1:
        raise PolicyNotUnderstood(f"{key} has several values, and {operator} says not how to compare them")
    matched = [any(compare(one, value) for one in wanted) != negated for value in values]
    return any(matched) if quantifier == "ForAnyValue" else all(matched)
