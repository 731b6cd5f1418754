"""PromQL as a tree whose nodes know where they stand.

``promql_parser`` checks and prints expressions but does not say where their parts stand, and
whoever changes one sign has to know. This reads what otelkit generates: no ``@``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
    |(?P<string>"(?:[^"\\]|\\.)*")
    |(?P<duration>(?:\d+(?:ms|[smhdwy]))+)
    |(?P<number>\d+(?:\.\d+)?)
    |(?P<word>[a-zA-Z_][\w:]*)
    |(?P<sign>[=!<>]=|=~|!~|[-+*/<>=(){}\[\],:])""",
    re.VERBOSE,
)
COMPARISONS: Final = ("==", "!=", "<", "<=", ">", ">=")
SETS: Final = ("and", "or", "unless")
ARITHMETIC: Final = ("+", "-", "*", "/")
AGGREGATIONS: Final = ("sum", "max", "min", "avg", "count")
_BINDS: Final = {
    **dict.fromkeys(("or",), 1),
    **dict.fromkeys(("and", "unless"), 2),
    **dict.fromkeys(COMPARISONS, 3),
    **dict.fromkeys("+-", 4),
    **dict.fromkeys("*/", 5),
}
_CLAUSES: Final = ("by", "without")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text, from ``start`` to before ``end``."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class Listed:
    """What stands in brackets, separated by commas: matchers, or the labels of a clause."""

    head: Token | None
    """``on``, ``ignoring``, ``by`` or ``without``."""
    start: int
    end: int
    items: tuple[tuple[Token, ...], ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression: what it is, its span, and what it is made of.

    ``signs`` are the tokens of its own that are no part of its children: the operator and ``bool``
    of a ``binary``, the name of a ``call`` or an ``aggregation``, a ``number``, the durations of a
    ``range`` or an ``offset``, the name of a ``selector``.
    """

    kind: str
    start: int
    end: int
    signs: tuple[Token, ...]
    children: tuple[Node, ...] = ()
    listed: tuple[Listed, ...] = field(default=())

    def walk(self) -> Iterator[tuple[Node, ...]]:
        """Each node below this one as the path that leads to it, this one included."""
        yield (self,)
        for child in self.children:
            yield from ((self, *path) for path in child.walk())


def parse(text: str) -> Node:
    """The tree of an expression. Raises ValueError where it is none that otelkit would write."""
    reader = _Reader(text)
    node = reader.binary(0)
    if reader.next is not None:
        raise ValueError(f"{reader.next.text!r} at {reader.next.start} ends no expression: {text}")
    return node


def _tokens(text: str) -> list[Token]:
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"{text[at]!r} at {at} is no PromQL: {text}")
        if match.lastgroup is not None and match.lastgroup != "space":
            found.append(Token(match.lastgroup, match.group(), at))
        at = match.end()
    return found


class _Reader:
    """Reads tokens from left to right; operators bind as PromQL's do."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0

    @property
    def next(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _is(self, *texts: str) -> bool:
        return self.next is not None and self.next.text in texts and self.next.kind != "string"

    def _take(self, *texts: str) -> Token:
        token = self.next
        if token is None or (texts and token.text not in texts):
            raise ValueError(f"{' or '.join(texts)} expected, not {token}")
        self._at += 1
        return token

    def binary(self, least: int) -> Node:
        left = self._postfixed()
        while self.next is not None and _BINDS.get(self.next.text, 0) > least:
            signs = [self._take()]
            if self._is("bool"):
                signs.append(self._take())
            listed = (self._clause(),) if self._is("on", "ignoring") else ()
            right = self.binary(_BINDS[signs[0].text])
            left = Node("binary", left.start, right.end, tuple(signs), (left, right), listed)
        return left

    def _postfixed(self) -> Node:
        node = self._primary()
        while self._is("[", "offset"):
            if self._take().text == "offset":
                length = self._take()
                node = Node("offset", node.start, length.end, (length,), (node,))
            else:
                lengths = [self._take()]
                if self._is(":"):
                    self._take()
                    lengths.append(self._take())
                end = self._take("]").end
                node = Node("range", node.start, end, tuple(lengths), (node,))
        return node

    def _primary(self) -> Node:
        if self._is("("):
            start = self._take().start
            inner = self.binary(0)
            return Node("paren", start, self._take(")").end, (), (inner,))
        token = self._take()
        if token.kind in ("number", "string"):
            return Node(token.kind, token.start, token.end, (token,))
        if token.kind != "word":
            raise ValueError(f"an operand expected, not {token}")
        if token.text in AGGREGATIONS and self._is("(", *_CLAUSES):
            return self._call("aggregation", token)
        return self._call("call", token) if self._is("(") else self._selector(token)

    def _call(self, kind: str, name: Token) -> Node:
        listed = (self._clause(),) if self._is(*_CLAUSES) else ()
        self._take("(")
        arguments = []
        while not self._is(")"):
            arguments.append(self.binary(0))
            if not self._is(")"):
                self._take(",")
        end = self._take(")").end
        return Node(kind, name.start, end, (name,), tuple(arguments), listed)

    def _selector(self, name: Token) -> Node:
        listed = (self._list("{", "}"),) if self._is("{") else ()
        end = listed[0].end if listed else name.end
        return Node("selector", name.start, end, (name,), (), listed)

    def _clause(self) -> Listed:
        head = self._take()
        found = self._list("(", ")")
        return Listed(head, head.start, found.end, found.items)

    def _list(self, opening: str, closing: str) -> Listed:
        start, items, item = self._take(opening).start, [], list[Token]()
        while not self._is(closing):
            if self._is(","):
                items.append(tuple(item))
                item = []
                self._take()
            else:
                item.append(self._take())
        if item:
            items.append(tuple(item))
        return Listed(None, start, self._take(closing).end, tuple(items))
