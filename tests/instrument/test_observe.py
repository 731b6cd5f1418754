"""``observe``: what a call of each kind of function leaves behind, and what it leaves alone."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Generator, Iterator
from time import perf_counter, sleep
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry

import otelkit
from instrument.conftest import Init, Spans

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
    init: Init, spans: Spans, registry: CollectorRegistry, kind: str
) -> None:
    init()
    error = ValueError("too dear")
    with pytest.raises(ValueError, match="too dear") as caught:
        CALLS[kind](error)
    assert caught.value is error
    assert counted(registry, kind, "ValueError") == 1
    assert counted(registry, kind) == 0
    span = spans()[kind]
    assert (span.attributes or {})["error.type"] == "ValueError"
    assert span.status.status_code is StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]


def test_an_ignored_error_counts_as_success(
    init: Init, spans: Spans, registry: CollectorRegistry
) -> None:
    init()

    @otelkit.observe(name="find", ignore=(Missing,))
    def find() -> None:
        raise Missing

    with pytest.raises(Missing):
        find()
    assert counted(registry, "find") == 1
    assert spans()["find"].status.status_code is StatusCode.UNSET


class Unprintable(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_error_that_cannot_be_printed_reaches_the_caller_all_the_same(
    init: Init, registry: CollectorRegistry
) -> None:
    init()
    with pytest.raises(Unprintable):
        function(Unprintable())
    assert counted(registry, "function", "Unprintable") == 1


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
