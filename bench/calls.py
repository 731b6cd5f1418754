"""What an observed call costs, beside the same call as a careful team or another library does it.

All of them run in one process, in the peers' environment, some hundred calls of each in turn. Spans
of otelkit and of OpenTelemetry's SDK go through their queues to an endpoint; what their threads
take for that is no cost of the call.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import statistics
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter, thread_time
from typing import Final

from bench import peers
from bench.endpoint import endpoint
from bench.figure import Figure

ROOT: Final = Path(__file__).parents[1]
ROUNDS: Final = 300
CALLS: Final = 200
"""In each round: short enough that what else the machine does falls on both."""
_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
Call = Callable[[int], int]

COUNTED = "call observed, metrics only"
TRACED = "call observed, with a span"
COMPARED: Final = (
    (COUNTED, "a hand-written decorator, cached counter + histogram", 1.3),
    (TRACED, "OpenTelemetry's start_as_current_span", 1.25),
    (TRACED, "@logfire.instrument", 0.4),
)


def measure() -> Iterator[Figure]:
    """Microseconds of one call, and medians of ratios, round by round."""
    command = [peers.program("python"), "-m", "bench.calls"]
    with endpoint() as address:
        environment = os.environ | {"PYTHONPATH": str(ROOT), _ENDPOINT: address}
        done = subprocess.run(
            command, env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
    measured: dict[str, list[float]] = json.loads(done.stdout)
    for ours, theirs, limit in COMPARED:
        pairs = list(zip(measured[ours], measured[theirs], strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        mine, other = (statistics.median(times) * 1e6 for times in zip(*pairs, strict=True))
        yield Figure(ours, theirs, ratio, limit, f"{mine:.1f} us against {other:.1f} us")


def _measured() -> dict[str, list[float]]:
    calls = _calls()
    found: dict[str, list[float]] = {name: [] for name in calls}
    gc.disable()
    for round_ in range(ROUNDS + 1):
        for name, call in calls.items():
            seconds = _seconds(call)
            if round_:  # the first one warms up
                found[name].append(seconds)
        gc.collect()
    return found


def _seconds(call: Call) -> float:
    start = thread_time()  # processor time: a wait for a processor is no cost of the call
    for n in range(CALLS):
        call(n)
    return (thread_time() - start) / CALLS


def _calls() -> dict[str, Call]:
    import logfire
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    import otelkit

    logfire.configure(send_to_logfire=False, console=False)
    local = otelkit.local(service="bench", endpoint=os.environ[_ENDPOINT])
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracer = provider.get_tracer("bench")

    def in_a_span(n: int) -> int:
        with tracer.start_as_current_span("work"):
            return work(n)

    counted, traced, by_logfire = (theirs for _, theirs, _ in COMPARED)
    return {
        COUNTED: otelkit.observe(name="counted", span=False, telemetry=local)(work),
        counted: _by_hand(work),
        TRACED: otelkit.observe(name="traced", telemetry=local)(work),
        traced: in_a_span,
        by_logfire: logfire.instrument()(work),
    }


def work(n: int) -> int:
    """As good as nothing, so that all of the time is the observer's."""
    return n


def _by_hand(function: Call) -> Call:
    from prometheus_client import CollectorRegistry, Counter, Histogram

    from otelkit.names import DURATION_BUCKETS

    registry = CollectorRegistry()
    calls = Counter("calls", "Calls.", ["operation", "outcome"], registry=registry)
    durations = Histogram(
        "duration", "Seconds.", ["operation"], registry=registry, buckets=DURATION_BUCKETS
    )
    good, bad = calls.labels("work", "good"), calls.labels("work", "bad")
    duration = durations.labels("work")

    @functools.wraps(function)
    def call(n: int) -> int:
        start = perf_counter()
        try:
            result = function(n)
        except Exception:
            bad.inc()
            raise
        else:
            good.inc()
            return result
        finally:
            duration.observe(perf_counter() - start)

    return call


if __name__ == "__main__":
    print(json.dumps(_measured()))
