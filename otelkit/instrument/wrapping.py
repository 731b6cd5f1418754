"""Methods of other people's classes, wrapped in place: safe to do twice, and to take back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

_MARK: Final = "__otelkit__"
Method = Callable[..., Any]


def wrap(owner: Any, name: str, wrapper: Callable[[Method], Method]) -> None:
    """Put ``wrapper(method)`` in the place of a method, unless it stands there already."""
    original = getattr(owner, name)
    if not getattr(original, _MARK, False):
        wrapped = functools.wraps(original)(wrapper(original))
        setattr(wrapped, _MARK, True)
        setattr(owner, name, wrapped)


def unwrap(owner: Any, name: str) -> None:
    """Put the method back."""
    method = getattr(owner, name)
    if getattr(method, _MARK, False):
        setattr(owner, name, method.__wrapped__)
