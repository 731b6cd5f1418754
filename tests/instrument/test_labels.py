"""Labels of metrics are bounded, and hold no ids."""

from __future__ import annotations

import uuid

import pytest
from prometheus_client import CollectorRegistry

from otelkit.instrument.metrics import MOST_VALUES, ServiceMetrics


class Operations:
    """The metric of operations of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._metrics = ServiceMetrics(self._registry)

    def call(self, *names: str) -> None:
        for name in names:
            self._metrics.operations.labels(name, "").observe(0.1)

    def calls(self) -> dict[str, float]:
        """By operation."""
        return {
            sample.labels["operation"]: sample.value
            for family in self._registry.collect()
            for sample in family.samples
            if sample.name == "otelkit_operation_duration_seconds_count"
        }


@pytest.fixture
def operations() -> Operations:
    return Operations()


def test_values_above_the_bound_count_as_other_with_one_warning(
    operations: Operations, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"step {chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(MOST_VALUES + 50)]
    operations.call(*names)
    operations.call(*names)
    found = operations.calls()
    assert len(found) == MOST_VALUES + 1
    assert found["other"] == 100
    assert found[names[0]] == 2
    (warning,) = [r.getMessage() for r in caplog.records if r.name == "otelkit"]
    assert warning == (
        "otelkit_operation_duration_seconds counts values of operation as 'other': "
        "it has more than 200 values"
    )


@pytest.mark.parametrize(
    "value",
    [
        str(uuid.UUID(int=7)),
        "orders/1001",
        "A-1001",
        "price 1234567",
        "customer_4711",
        "bob@example.com",
        "0af7651916cd43dd8448eb211c80319c",
    ],
)
def test_what_looks_like_an_id_is_refused_as_a_label_and_told_of(
    operations: Operations, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    operations.call(value)
    assert operations.calls() == {"other": 1}
    assert "looks like an id" in caplog.text


@pytest.mark.parametrize(
    "value",
    [
        "/orders/{order_id}",
        "/api/v2/orders",
        "Shop.price",
        "mes.orders",
        "utf-8 decoder",
        "3D",
        "",
    ],
)
def test_names_routes_and_queues_are_taken(
    operations: Operations, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    operations.call(value)
    assert operations.calls() == {value: 1}
    assert caplog.text == ""
