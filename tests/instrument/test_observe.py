"""``observe``: what a call of each kind of function leaves behind, and what it leaves alone."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from time import perf_counter, sleep
from typing import Any
from urllib.request import Request, urlopen

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry

import otelkit
from instrument.conftest import Init, Spans
from otelkit.testing import Recording

FAMILY = "otelkit_operation_duration_seconds"


class Missing(Exception):  # noqa: N818 - a name to be ignored by
    """Nothing was found."""


def counted(registry: CollectorRegistry, operation: str, error_type: str = "") -> float | None:
    labels = {"operation": operation, "error_type": error_type}
    return registry.get_sample_value(f"{FAMILY}_count", labels)


def seconds(registry: CollectorRegistry, operation: str) -> float:
    labels = {"operation": operation, "error_type": ""}
    return registry.get_sample_value(f"{FAMILY}_sum", labels) or 0.0


@otelkit.observe(name="known before init")
def known() -> None:
    """Decorated at import, as most functions are."""


def test_the_series_of_a_known_operation_starts_at_zero(
    init: Init, registry: CollectorRegistry
) -> None:
    init()

    @otelkit.observe(name="known after init")
    def later() -> None: ...

    assert counted(registry, "known before init") == 0
    assert counted(registry, "known after init") == 0


@otelkit.observe(name="function")
def function(error: BaseException | None = None) -> str:
    sleep(0.02)
    if error is not None:
        raise error
    return inner_trace()


@otelkit.observe(name="coroutine")
async def coroutine(error: BaseException | None = None) -> str:
    await asyncio.sleep(0.02)
    if error is not None:
        raise error
    return inner_trace()


@otelkit.observe(name="generator")
def generator(error: BaseException | None = None) -> Iterator[str]:
    yield inner_trace()
    sleep(0.02)
    if error is not None:
        raise error


@otelkit.observe(name="async generator")
async def async_generator(error: BaseException | None = None) -> AsyncIterator[str]:
    yield inner_trace()
    await asyncio.sleep(0.02)
    if error is not None:
        raise error


def inner_trace() -> str:
    return f"{trace.get_current_span().get_span_context().span_id:x}"


async def last_of(steps: AsyncIterator[str]) -> str:
    outer = inner_trace()
    async for step in steps:
        assert inner_trace() == outer, "the generator's span is not its consumer's"
        last = step
    return last


def last(steps: Iterator[str]) -> str:
    outer = inner_trace()
    for step in steps:
        assert inner_trace() == outer, "the generator's span is not its consumer's"
        found = step
    return found


CALLS: dict[str, Any] = {
    "function": function,
    "coroutine": lambda *error: asyncio.run(coroutine(*error)),
    "generator": lambda *error: last(generator(*error)),
    "async generator": lambda *error: asyncio.run(last_of(async_generator(*error))),
}


@pytest.mark.parametrize("kind", CALLS)
def test_a_call_is_a_span_around_its_body_and_one_observation_of_its_whole_duration(
    init: Init, spans: Spans, registry: CollectorRegistry, kind: str
) -> None:
    init()
    start = perf_counter()
    inside = CALLS[kind]()
    assert 0.02 <= seconds(registry, kind) <= perf_counter() - start
    assert counted(registry, kind) == 1
    span = spans()[kind]
    assert inside == f"{span.context.span_id:x}"
    assert (span.end_time or 0) - (span.start_time or 0) >= 20_000_000
    assert not span.attributes


@pytest.mark.parametrize("kind", CALLS)
def test_an_error_is_recorded_by_type_and_raised_again_as_it_was(
    telemetry: Recording, kind: str
) -> None:
    error = ValueError("too dear")
    with pytest.raises(ValueError, match="too dear") as caught:
        CALLS[kind](error)
    assert caught.value is error
    assert counted(telemetry.registry, kind, "ValueError") == 1
    assert counted(telemetry.registry, kind) == 0
    span = telemetry.span(kind)
    assert span.attributes["error.type"] == "ValueError"
    assert (span.failed, span.events) == (True, ("exception",))


def test_an_ignored_error_counts_as_success(telemetry: Recording) -> None:
    @otelkit.observe(name="find", ignore=(Missing,))
    def find() -> None:
        raise Missing

    with pytest.raises(Missing):
        find()
    assert counted(telemetry.registry, "find") == 1
    assert not telemetry.span("find").failed


@pytest.mark.parametrize("ignore", [Missing, [Missing], (("KeyError",), Missing), None, 5])
def test_whatever_is_to_be_ignored_the_error_reaches_the_caller_as_it_was(
    telemetry: Recording, ignore: Any
) -> None:
    @otelkit.observe(name="find", ignore=ignore)
    def find() -> None:
        raise Missing

    with pytest.raises(Missing):
        find()
    assert telemetry.span("find").failed == (ignore in (None, 5))


class Unprintable(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_error_that_cannot_be_printed_reaches_the_caller_all_the_same(
    telemetry: Recording,
) -> None:
    with pytest.raises(Unprintable):
        function(Unprintable())
    assert counted(telemetry.registry, "function", "Unprintable") == 1


@pytest.mark.parametrize("name", [{"a": 1}, 7, Unprintable()], ids=["mapping", "number", "none"])
def test_a_name_that_is_no_text_stops_neither_its_block_nor_init(init: Init, name: Any) -> None:
    @otelkit.observe(name=name)
    def named() -> int:
        return 42

    telemetry = init(metrics_port=0)
    assert telemetry.metrics_port
    with otelkit.observe(name):
        assert named() == 42


def test_signature_name_and_kind_are_those_of_the_function() -> None:
    assert str(inspect.signature(function)) == "(error: 'BaseException | None' = None) -> 'str'"
    assert function.__name__ == "function"
    assert inspect.iscoroutinefunction(coroutine)
    assert inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(async_generator)
    assert not inspect.iscoroutinefunction(function)


class Priced:
    @otelkit.observe
    def price(self) -> str:
        return "of the object"

    @staticmethod
    @otelkit.observe
    def tax() -> str:
        return "static"

    @classmethod
    @otelkit.observe
    def model(cls) -> str:
        return cls.__name__


def test_methods_are_named_after_their_class(init: Init, registry: CollectorRegistry) -> None:
    init()
    assert (Priced().price(), Priced.tax(), Priced.model()) == ("of the object", "static", "Priced")
    for name in ("price", "tax", "model"):
        assert counted(registry, f"Priced.{name}") == 1


def test_a_callable_without_a_name_can_be_observed(init: Init, registry: CollectorRegistry) -> None:
    init()
    assert otelkit.observe(functools.partial(int, "7"))() == 7
    assert counted(registry, "partial") == 1


@otelkit.observe(name="dialogue")
def dialogue(log: list[str]) -> Generator[str, str, str]:
    try:
        heard = yield "what?"
        try:
            yield f"heard {heard}"
        except KeyError:
            heard = yield "caught"
        return f"end {heard}"
    finally:
        log.append(inner_trace())


def test_a_generator_can_be_sent_to_thrown_into_and_asked_for_its_value(
    init: Init, spans: Spans
) -> None:
    init()
    steps = dialogue([])
    assert [next(steps), steps.send("this"), steps.throw(KeyError())] == [
        "what?",
        "heard this",
        "caught",
    ]
    with pytest.raises(StopIteration) as stop:
        steps.send("that")
    assert stop.value.value == "end that"
    assert spans()["dialogue"].status.status_code is StatusCode.UNSET


@otelkit.observe(name="slowly consumed")
def slow_steps() -> Iterator[int]:
    for n in range(2):
        sleep(0.01)
        yield n


@otelkit.observe(name="slowly consumed")
async def slow_async_steps() -> AsyncIterator[int]:
    for n in range(2):
        await asyncio.sleep(0.01)
        yield n


async def consume_slowly() -> None:
    async for _ in slow_async_steps():
        await asyncio.sleep(0.4)


@pytest.mark.parametrize("kind", ["generator", "async generator"])
def test_a_generator_that_works_20_ms_records_20_ms_however_long_its_consumer_takes(
    init: Init, registry: CollectorRegistry, kind: str
) -> None:
    init()
    if kind == "generator":
        for _ in slow_steps():
            sleep(0.4)
    else:
        asyncio.run(consume_slowly())
    assert counted(registry, "slowly consumed") == 1
    assert 0.02 <= seconds(registry, "slowly consumed") < 0.4


@otelkit.observe(name="async dialogue")
async def async_dialogue() -> AsyncGenerator[str, str]:
    heard = yield "what?"
    try:
        yield f"heard {heard}"
    except KeyError:
        yield "caught"


def test_an_async_generator_can_be_sent_to_thrown_into_and_closed(
    init: Init, spans: Spans, registry: CollectorRegistry
) -> None:
    init()

    async def talk() -> list[str]:
        steps = async_dialogue()
        said = [await anext(steps), await steps.asend("this"), await steps.athrow(KeyError())]
        await steps.aclose()
        return said

    assert asyncio.run(talk()) == ["what?", "heard this", "caught"]
    assert counted(registry, "async dialogue") == 1
    assert spans()["async dialogue"].status.status_code is StatusCode.UNSET


def test_an_abandoned_async_generator_ends_its_span_too(
    init: Init, spans: Spans, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    init()

    async def leave() -> None:
        async for _ in async_dialogue():
            break
        assert inner_trace() == "0", "the generator's span is current no more"
        for _ in range(10):  # the loop closes it in a task of its own
            await asyncio.sleep(0)

    asyncio.run(leave())
    assert counted(registry, "async dialogue") == 1
    assert "async dialogue" in spans()
    assert caplog.records == []


def test_an_abandoned_generator_ends_its_span_as_a_success(
    init: Init, spans: Spans, registry: CollectorRegistry
) -> None:
    init()
    cleaned: list[str] = []
    steps = dialogue(cleaned)
    next(steps)
    del steps
    assert counted(registry, "dialogue") == 1
    assert cleaned == [f"{spans()['dialogue'].context.span_id:x}"], "cleaning up is part of it"


@pytest.mark.usefixtures("spans")
def test_tasks_side_by_side_keep_their_spans_apart(init: Init) -> None:
    init()

    async def three() -> list[str]:
        return list(await asyncio.gather(*(coroutine() for _ in range(3))))

    assert len(set(asyncio.run(three()))) == 3


async def block(error: BaseException | None) -> None:
    async with otelkit.observe("block", ignore=(Missing,)):
        await asyncio.sleep(0.02)
        if error is not None:
            raise error


def test_a_block_is_observed_like_a_call(
    init: Init, spans: Spans, registry: CollectorRegistry
) -> None:
    init()
    with otelkit.observe("block"):
        inside = inner_trace()
    assert inside == f"{spans()['block'].context.span_id:x}"
    for error in (None, Missing(), ValueError("too dear")):
        with contextlib.suppress(Missing, ValueError):
            asyncio.run(block(error))
    assert counted(registry, "block") == 3
    assert counted(registry, "block", "ValueError") == 1
    assert seconds(registry, "block") >= 0.04


def test_one_block_may_be_entered_within_itself_and_by_tasks_side_by_side(
    init: Init, exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    init()
    pricing = otelkit.observe("pricing")

    async def price(pause: float) -> None:
        async with pricing:
            with pricing:
                await asyncio.sleep(pause)

    async def both() -> None:
        await asyncio.gather(price(0.05), price(0.2))

    asyncio.run(both())
    finished = exporter.get_finished_spans()
    within = sorted(span.parent.span_id for span in finished if span.parent is not None)
    around = sorted(span.context.span_id for span in finished if span.parent is None)
    assert within == around, "each task's inner block is within its own outer one"
    assert len(around) == 2
    assert caplog.records == []


def test_a_block_that_ends_in_another_context_is_observed_and_leaves_nothing_behind(
    init: Init, spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    """As in a dependency of FastAPI's that is a generator and runs in a pool of threads."""
    init()
    with otelkit.observe("around"):
        around = inner_trace()
        pricing = otelkit.observe("pricing")
        contextvars.copy_context().run(pricing.__enter__)
        contextvars.copy_context().run(pricing.__exit__, None, None, None)
        assert inner_trace() == around
    assert set(spans()) == {"around", "pricing"}
    assert caplog.records == []


def test_without_a_span_a_call_is_counted_and_timed_alone(
    init: Init, spans: Spans, registry: CollectorRegistry
) -> None:
    init()

    @otelkit.observe(name="often", span=False)
    def often(error: bool) -> str:
        if error:
            raise KeyError
        return inner_trace()

    with otelkit.observe("around"):
        assert often(error=False) == inner_trace()
        with pytest.raises(KeyError):
            often(error=True)
    assert (counted(registry, "often"), counted(registry, "often", "KeyError")) == (1, 1)
    assert set(spans()) == {"around"}


def scraped(port: int | None, accept: str) -> str:
    request = Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept})
    with urlopen(request) as response:  # noqa: S310
        return str(response.read().decode())


def test_openmetrics_leads_from_a_duration_to_its_trace(init: Init, spans: Spans) -> None:
    telemetry = init(metrics_port=0)
    known()
    with pytest.raises(ValueError, match="dear"):
        function(ValueError("too dear"))
    text = scraped(telemetry.metrics_port, "application/openmetrics-text; version=1.0.0")
    for name, operation in (("known before init", "known before init"), ("function", "function")):
        trace_id = f"{spans()[name].context.trace_id:032x}"
        (line,) = [line for line in text.splitlines() if trace_id in line]
        assert line.startswith(f"{FAMILY}_bucket")
        assert f'operation="{operation}"' in line
    assert "# {" not in scraped(telemetry.metrics_port, "text/plain")


def test_an_unsampled_trace_is_no_exemplar(
    init: Init, monkeypatch: pytest.MonkeyPatch, registry: CollectorRegistry
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    telemetry = init(metrics_port=0)
    known()
    assert counted(registry, "known before init") == 1
    assert "trace_id" not in scraped(telemetry.metrics_port, "application/openmetrics-text")


def test_nothing_that_fails_within_a_provider_reaches_the_caller(
    init: Init, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(SpanProcessor):
        def on_start(self, *_: object) -> None:
            raise RuntimeError("a processor of the service's is broken")

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Broken())
    trace.set_tracer_provider(provider)
    init()
    assert known() is None
    assert last(generator()) == "0"
    assert "is not observed" in caplog.text
