"""Templates: the one way in which generated text comes about."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


_encode = json.JSONEncoder(ensure_ascii=False).encode
"""Made once: half a million strings go through it where there are hundreds of objectives."""


def render(template: str, **values: object) -> str:
    """The text of a template in ``templates/``; a value that is missing is an error."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("otelkit.generate"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - the output is YAML, where `quoted` below does the escaping
    )
    environment.filters["quoted"] = quoted
    return environment


def quoted(value: Any) -> str:
    """A double-quoted string of printable text, as JSON, YAML and PromQL all write it."""
    return _encode(str(value))


def indented(value: str, by: int = 2) -> str:
    """The text with all lines but the first moved to the right."""
    return value.replace("\n", "\n" + " " * by)


def printable(value: str) -> str:
    """The text as it may stand in a comment: on one line, without control characters."""
    return value if value.isprintable() else ascii(value)[1:-1]
