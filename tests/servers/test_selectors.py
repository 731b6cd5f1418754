"""Every query of rules and dashboards reads something that the running shop really exposes."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import pytest

from otelkit import names, spec
from otelkit.generate import files
from queries import Series, exposed, recorded, unmatched
from shop.servers import HOST, RabbitMQ
from shop.services import SLA_FILE, Collector, Shop
from shop.waiting import until

MADE = files.files(spec.load(SLA_FILE), SLA_FILE.name)
SECONDS = 120
"""In which every kind of order comes by: one that waits, one that is at risk, one that is late."""


@pytest.fixture(scope="module")
def series(rabbitmq: RabbitMQ, tmp_path_factory: pytest.TempPathFactory) -> list[Series]:
    """All series that the shop and its collector showed until every query had found its own."""
    folder = tmp_path_factory.mktemp("shop")
    line = rabbitmq.vhost("selectors")
    vhost = {"amqp": line, "management": rabbitmq.management_url}
    collector = Collector(folder / "collector", vhost)
    shop = Shop(folder / "shop", line, line)
    found: dict[tuple[tuple[str, str], ...], Series] = {}
    pages = {**shop.metrics_ports, "otelkit-collector": collector.port}

    def all_match() -> bool:
        for job, port in pages.items():
            text = httpx.get(f"http://{HOST}:{port}/metrics").text
            found.update((tuple(sorted(one.items())), one) for one in exposed(text, job))
        return not unmatched(MADE, [*found.values(), *recorded(MADE)])

    try:
        collector.start()
        shop.start()
        shop.open(rate=4, count=4 * SECONDS)
        until(all_match, SECONDS, interval=1)
    finally:
        shop.kill()
        collector.process.kill()
    return [*found.values(), *recorded(MADE)]


def test_every_selector_matches_a_series(series: list[Series]) -> None:
    assert unmatched(MADE, series) == []


@pytest.mark.parametrize("label", ["system", "objective", "outcome", "stage", "tier", "queue"])
def test_a_label_that_the_collector_calls_otherwise_is_noticed(
    series: list[Series], label: str
) -> None:
    own = {metric.name for metric in names.METRICS if metric.emitter == "collector"}

    def renamed(one: Series) -> Mapping[str, str]:
        is_own = one["__name__"].removesuffix("_bucket") in own
        return {f"{k}_" if is_own and k == label else k: v for k, v in one.items()}

    assert unmatched(MADE, map(renamed, series))
