"""Other people's methods, wrapped in place: safe to do twice, and to take back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import MethodType
from typing import Any, Final

_MARK: Final = "__otelkit__"
"""On a method of ours: itself. A wrapper that others put around it inherits the attribute."""
Method = Callable[..., Any]


def wrap(owner: Any, name: str, wrapper: Callable[[Method], Method]) -> None:
    """Put ``wrapper(method)`` in the place of a method, unless it stands there already.

    ``owner`` is a class, or one object; the wrapper is given the plain function in either case.
    """
    method = getattr(owner, name)
    if is_wrapped(method):
        return
    original = getattr(method, "__func__", method)
    wrapped = functools.wraps(original)(wrapper(original))
    setattr(wrapped, _MARK, wrapped)
    setattr(owner, name, wrapped if isinstance(owner, type) else MethodType(wrapped, owner))


def unwrap(owner: Any, name: str) -> None:
    """Put the method back, where nobody else has wrapped it since."""
    method = vars(owner).get(name)
    function = getattr(method, "__func__", method)
    original = getattr(function, "__wrapped__", None)
    if original is None or getattr(function, _MARK, None) is not function:
        return
    if isinstance(owner, type):
        setattr(owner, name, original)
    else:
        delattr(owner, name)


def is_wrapped(method: Method) -> bool:
    return hasattr(method, _MARK)
