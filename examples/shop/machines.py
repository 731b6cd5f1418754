"""The machines of the MES, and who is next at one of them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import httpx

Choose = Callable[[Sequence[str]], str]
"""Which of the orders that wait, in the order of their arrival, is next."""

AWAY_SECONDS = 5.0
"""A collector that did not answer is not asked again for so long: machines do not wait for it."""

log = logging.getLogger(__name__)


class Machines:
    """So many, each of which works on one order at a time."""

    def __init__(self, count: int, choose: Choose) -> None:
        self._free = count
        self._choose = choose
        self._waiting: list[tuple[str, threading.Event]] = []
        self._lock = threading.Lock()

    @contextmanager
    def turn(self, order_id: str) -> Iterator[None]:
        """One of them, for as long as the block lasts, once it is the order's turn."""
        called = threading.Event()
        with self._lock:
            self._waiting.append((order_id, called))
        self._call()
        called.wait()
        try:
            yield
        finally:
            with self._lock:
                self._free += 1
            self._call()

    def _call(self) -> None:
        with self._lock:
            while self._free and self._waiting:
                chosen = self._next()
                self._waiting.remove(chosen)
                self._free -= 1
                chosen[1].set()

    def _next(self) -> tuple[str, threading.Event]:
        if len(self._waiting) == 1:
            return self._waiting[0]
        order_id = self._choose([order for order, _ in self._waiting])
        return next(one for one in self._waiting if one[0] == order_id)


def by_arrival(waiting: Sequence[str]) -> str:
    """First come, first served."""
    return waiting[0]


class ByDeadline:
    """Works off the collector's list: what can still be on time, by deadline, then what is late.

    What the list does not have yet comes last, and all come by arrival while the collector is away.
    """

    def __init__(self, collector: str) -> None:
        self._api = httpx.Client(base_url=collector, timeout=0.5)
        self._away_until = 0.0

    def __call__(self, waiting: Sequence[str]) -> str:
        places = self._places()
        return min(waiting, key=lambda order: places.get(order, len(places)))

    def _places(self) -> dict[str, int]:
        """Of each order on the list, its place."""
        if time.monotonic() < self._away_until:
            return {}
        asked = {"state": "open", "stage": "manufacturing", "limit": "500"}
        try:
            answer = self._api.get("/orders", params=asked).raise_for_status()
            listed = answer.json()["orders"]
        except (httpx.HTTPError, ValueError) as error:
            log.warning("the collector does not say what is due: %s; working by arrival", error)
            self._away_until = time.monotonic() + AWAY_SECONDS
            return {}
        # An order that is late stays late, whoever goes before it; its other clocks may not be.
        listed.sort(key=lambda order: order["overdue_seconds"] > 0)
        places: dict[str, int] = {}
        for order in listed:
            places.setdefault(order["id"], len(places))
        return places
