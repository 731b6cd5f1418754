"""Whether each source of the collector can be read, and what is wrong with one that cannot."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Condition:
    """``why`` is a sentence, empty while the source is up."""

    up: bool
    why: str


class Sources:
    """Conditions by source name; logged when they change, behind ``whose``. Safe for threads."""

    def __init__(self, whose: str = "") -> None:
        self._whose = whose
        self._conditions: dict[str, Condition] = {}
        self._lock = threading.Lock()

    def up(self, name: str) -> None:
        self._set(name, Condition(up=True, why=""))

    def down(self, name: str, why: str) -> None:
        self._set(name, Condition(up=False, why=why))

    def all(self) -> dict[str, Condition]:
        """A copy, by name."""
        with self._lock:
            return dict(self._conditions)

    def _set(self, name: str, condition: Condition) -> None:
        with self._lock:
            before = self._conditions.get(name)
            self._conditions[name] = condition
        if before == condition:
            return
        if condition.up:
            log.info("%ssource %s is up", self._whose, name)
        else:
            log.warning("%ssource %s is down: %s", self._whose, name, condition.why)
