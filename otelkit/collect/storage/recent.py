"""Orders that were written last: what moves now moved a while ago, more often than not."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from otelkit.collect.clocks.state import State

OrderKey = tuple[str, str]
"""Process and order id."""
Numbered = tuple[int, State]

MOST: Final = 2**15
"""Orders that are kept; some 25 MB."""


class Recent(dict[OrderKey, Numbered]):
    """Orders with their numbers, as a transaction has written them.

    To be thrown away where a transaction fails, and where anybody else may have written.
    """

    def split(self, keys: Iterable[OrderKey]) -> tuple[dict[OrderKey, Numbered], list[OrderKey]]:
        """Orders that are here, and the keys of those that have to be looked for."""
        found, unknown = {}, []
        for key in keys:
            order = self.get(key)
            if order is None:
                unknown.append(key)
            else:
                found[key] = order
        return found, unknown

    def shrink(self) -> None:
        """Let go of those that came in first."""
        for key in list(islice(self, max(len(self) - MOST, 0))):
            del self[key]
