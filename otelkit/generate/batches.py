"""Objectives whose series can stand in one proof: none counts what another counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from otelkit.generate.shapes import Shape


def batched(shapes: Iterable[Shape]) -> list[list[Shape]]:
    """Objectives that count the same series are told apart; the rest is together."""
    found: list[Batch] = []
    for shape in shapes:
        free = next((batch for batch in found if not batch.overlaps(shape)), None)
        if free is None:
            found.append(free := Batch())
        free.add(shape)
    return [batch.shapes for batch in found]


class Batch:
    """Objectives whose selectors take none of each other's series."""

    def __init__(self) -> None:
        self.shapes: list[Shape] = []
        self._taken: dict[tuple[str, tuple[str, ...]], set[tuple[str, ...]]] = {}

    def add(self, shape: Shape) -> None:
        self.shapes.append(shape)
        labels = tuple(sorted(shape.own))
        for name in shape.names():
            values = tuple(shape.own[label] for label in labels)
            self._taken.setdefault((name, labels), set()).add(values)

    def overlaps(self, shape: Shape) -> bool:
        """Whether one of them asks for the same metric, and for no other value of any label."""
        for (name, labels), taken in self._taken.items():
            if name in shape.names():
                own = tuple(shape.own.get(label) for label in labels)
                if own in taken:  # found at once, where hundreds ask for the same labels
                    return True
                if None in own and any(_agree(own, values) for values in taken):
                    return True
        return False


def _agree(some: Sequence[str | None], all_of: Sequence[str]) -> bool:
    return all(one in (None, other) for one, other in zip(some, all_of, strict=True))
