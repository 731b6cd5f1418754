"""PromQL that people wrote, narrowed to the series of one environment.

The text is kept as it is but for the matchers that every selector gains, since it is meant to be
found again in the generated file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

from otelkit.spec.matchers import selectors_in

_TOKEN: Final = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)
      | (?P<comment>\#[^\n]*)
      | (?P<range>\[[^\]]*\])
      | (?P<number>[0-9.][0-9A-Za-z_.]*)
      | (?P<name>[A-Za-z_:][A-Za-z0-9_:]*)
      | (?P<space>\s+)
      | (?P<sign>.)""",
    re.VERBOSE,
)
_LABELS_FOLLOW: Final = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_WORDS: Final = _LABELS_FOLLOW | {
    "and", "or", "unless", "atan2", "offset", "bool", "inf", "nan",
}  # fmt: skip

Token = tuple[str, str]
"""Kind and text."""


def narrow(promql: str, match: Mapping[str, str]) -> str:
    """The expression with the matchers in each of its selectors.

    Raises ``ValueError`` where that cannot be done for certain.
    """
    if not match:
        return promql
    pairs = (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in match.items())
    added = ",".join(pairs)
    found = "".join(_narrowed(list(_tokens(promql)), added))
    if not _holds(promql, found, match):
        raise ValueError(
            f"cannot put {{{added}}} into every selector of `{promql}`; "
            "write braces behind each metric, such as rate(errors_total{}[5m])"
        )
    return found


def _tokens(promql: str) -> Iterator[Token]:
    for found in _TOKEN.finditer(promql):
        yield str(found.lastgroup), found.group()


def _narrowed(tokens: list[Token], added: str) -> Iterator[str]:
    at = 0
    while at < len(tokens):
        kind, text = tokens[at]
        following = _next(tokens, at)
        if text == "{":
            end = _end(tokens, at, "}")
            yield _with(tokens[at:end], added)
            at = end
        elif kind == "name" and text.lower() in _LABELS_FOLLOW and following == "(":
            end = _end(tokens, at, ")")
            yield "".join(text for _, text in tokens[at:end])
            at = end
        else:
            yield text
            if _is_metric(kind, text, following):
                yield f"{{{added}}}"
            at += 1


def _is_metric(kind: str, text: str, following: str) -> bool:
    """Whether this is a metric's name that no braces follow."""
    if kind != "name" or text.lower() in _WORDS:
        return False
    return following not in ("(", "{") and following.lower() not in ("by", "without")


def _next(tokens: list[Token], at: int) -> str:
    rest = (text for kind, text in tokens[at + 1 :] if kind not in ("space", "comment"))
    return next(rest, "")


def _end(tokens: list[Token], at: int, sign: str) -> int:
    """The place after the first ``sign`` from here on."""
    while at < len(tokens) and tokens[at] != ("sign", sign):
        at += 1
    return at + 1


def _with(braces: list[Token], added: str) -> str:
    inside = "".join(text for _, text in braces[1:-1]).rstrip().removesuffix(",")
    return f"{{{inside},{added}}}" if inside.strip() else f"{{{added}}}"


def _holds(before: str, after: str, match: Mapping[str, str]) -> bool:
    import promql_parser

    try:
        selectors = selectors_in(promql_parser.parse(after))
    except ValueError:
        return False
    same = len(selectors) == len(selectors_in(promql_parser.parse(before)))
    wanted = set(match.items())
    return same and all(
        wanted <= {(m.name, m.value) for m in selector.matchers.matchers} for selector in selectors
    )
