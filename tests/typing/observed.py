"""What type checkers make of ``observe``; mypy's own check of the project is the test.

A line with ``type: ignore[...]`` is misuse that has to be refused with just that error: where mypy
finds nothing to ignore, its check fails.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Generator
from typing import TYPE_CHECKING, Any, assert_type

import otelkit

if TYPE_CHECKING:

    @otelkit.observe
    def price(model: str, *, amount: int = 1) -> float: ...

    @otelkit.observe(name="ship", ignore=(KeyError,), span=False)
    async def ship(order_id: str) -> bool: ...

    @otelkit.observe("talk")
    def talk() -> Generator[str, int, float]:
        yield "what?"
        return 1.0

    @otelkit.observe
    async def steps() -> AsyncIterator[int]:
        yield 1

    class Line:
        @otelkit.observe
        def move(self, to: str) -> None: ...

        @classmethod
        @otelkit.observe
        def named(cls, name: str) -> Line: ...

    def kept() -> None:
        assert_type(price("pump", amount=2), float)
        _ = assert_type(ship("A-1"), Coroutine[Any, Any, bool])
        assert_type(talk(), Generator[str, int, float])
        assert_type(steps(), AsyncIterator[int])
        assert_type(Line.named("x"), Line)
        Line().move("packing")
        with otelkit.observe("price"):
            pass

    async def kept_too() -> None:
        async with otelkit.observe("price", ignore=(KeyError,)):
            pass

    def refused() -> None:
        price(1)  # type: ignore[arg-type]
        price("pump", 2)  # type: ignore[call-arg]
        price("pump", colour="red")  # type: ignore[call-arg]
        _ = ship()  # type: ignore[call-arg]
        Line().move(1)  # type: ignore[arg-type]
        otelkit.observe(1)  # type: ignore[call-overload]
        otelkit.observe("price", ignore=("KeyError",))  # type: ignore[arg-type]
        otelkit.observe(price, name="price")  # type: ignore[call-overload]
        otelkit.init("crm")  # type: ignore[call-arg]
        otelkit.init(service="crm", metrics_port="9464")  # type: ignore[arg-type]
        otelkit.init(service="crm", colour="red")  # type: ignore[call-arg]
