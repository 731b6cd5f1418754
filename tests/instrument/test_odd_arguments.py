"""Whatever a service passes: nothing of otelkit raises into it, and its own errors stay its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import otelkit
from instrument.conftest import Init
from instrument.test_spool import unheard


class Textless:
    """As an object may be whose database session is closed."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def say(odd: Any) -> None:
    with otelkit.order(odd, process=odd, tier=odd, partner=odd) as order:
        order.also_known_as(mes=odd)
        order.moved_to(odd, at=odd, version=odd)


def log_structured(odd: Any) -> None:
    nested = {"who": [odd], "password": odd}
    event: dict[Any, Any] = {"event": odd, 5: odd, None: odd, "nested": nested}
    assert otelkit.structlog_processor(None, "info", event)["event"] is not None


def serve(odd: Any) -> None:
    def app(_environ: Any, start: Any) -> list[bytes]:
        otelkit.current_order()
        start(odd, [])
        return [b"whole"]

    served = otelkit.WSGIMiddleware(app, order_header=odd, order_parameter=odd)
    answer = served({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: None)  # type: ignore[arg-type]
    assert list(answer) == [b"whole"]


def carry(odd: Any) -> None:
    otelkit.pika.instrument(odd)
    otelkit.pika.uninstrument(odd)
    with otelkit.pika.processing(odd):
        otelkit.pika.carry(odd)


@pytest.mark.parametrize("use", [say, log_structured, serve, carry])
@pytest.mark.parametrize(
    "odd", [5, [], {"a": 1}, b"\xff", object(), Textless()], ids=lambda odd: type(odd).__name__
)
@pytest.mark.parametrize("begun", [True, False])
def test_nothing_raises_into_the_service(
    init: Init, monkeypatch: pytest.MonkeyPatch, use: Callable[[Any], None], odd: Any, begun: bool
) -> None:
    monkeypatch.setattr("logging.raiseExceptions", False)  # a record whose argument has no text
    if begun:
        init(events=unheard())
    use(odd)
