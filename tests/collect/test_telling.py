"""What the collector tells of overdue orders, to whoever looks at the order journey."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import httpx
import pytest

from collecting import StartCollector, batch, moved
from instrument.otlp import OtlpEndpoint, attributes
from shop.waiting import until

JOURNEY = Path(__file__).parents[2] / "dashboards" / "shop-order-journey.json"


def test_an_overdue_order_is_told_over_otlp_as_the_order_journey_asks_for_it(
    start_collector: StartCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OtlpEndpoint() as loki:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", f"{loki.url}/v1/logs")
        collector = start_collector()
        late = batch([moved("A-1", "manufacturing", time.time() - 60, partner="acme")])
        httpx.post(f"{collector.url}/events", content=late).raise_for_status()

        def told() -> dict[str, object] | None:
            """The labels of its record, as a Loki calls them."""
            for resource, record in loki.logs:
                found = {**resource, **attributes(record.attributes)}
                if found.get("order.id") == "A-1":
                    return {name.replace(".", "_"): value for name, value in found.items()}
            return None

        labels = until(told, 20)
    assert labels is not None
    (query,) = [
        target["expr"]
        for panel in json.loads(JOURNEY.read_text())["panels"]
        for target in panel.get("targets", ())
        if "order.overdue" in target.get("expr", "")
    ]
    asked = re.findall(r'(\w+) ?= ?"([^"]+)"', query)
    assert len(asked) == 3
    assert [(name, labels.get(name)) for name, _ in asked] == asked
