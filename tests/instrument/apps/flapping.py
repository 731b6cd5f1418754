"""Under uvicorn: a service that keeps account of what it emits, and of which threads connect."""

from __future__ import annotations

import logging
import sys
import threading
from collections import Counter
from typing import Any

from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from prometheus_client import REGISTRY

import otelkit

log = logging.getLogger("service")
connecting: Counter[str] = Counter()
made: Counter[str] = Counter()


def _follow(event: str, _arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        connecting[threading.current_thread().name] += 1


class _Account(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:  # noqa: ARG002 - it is there
        made["spans"] += 1


sys.addaudithook(_follow)
telemetry = otelkit.init(service="flapping", logs=False)
trace.get_tracer_provider().add_span_processor(_Account())  # type: ignore[attr-defined]
app = FastAPI()
app.add_middleware(otelkit.ASGIMiddleware)


@otelkit.observe
def work(number: int) -> int:
    log.warning("at work on %d", number)
    made["logs"] += 1
    return number


@app.get("/work/{number}")
async def answer(number: int) -> int:
    return work(number)


@app.get("/account")
def account() -> dict[str, Any]:
    """After a flush: what was made, what was dropped of it, and which threads have connected."""
    flushed = telemetry.flush(10)
    until_now = dict(made)  # FastAPI's span of this function ends after it
    dropped = {
        signal: sum(
            sample.value
            for family in REGISTRY.collect()
            for sample in family.samples
            if sample.name == "otelkit_telemetry_dropped_total"
            and sample.labels["signal"] == signal
        )
        for signal in ("spans", "logs")
    }
    return {"flushed": flushed, "made": until_now, "dropped": dropped, "connecting": connecting}
