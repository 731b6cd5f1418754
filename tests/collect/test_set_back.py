"""The collector's clock is set back and forward again while events come in."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from pathlib import Path

import httpx

from collecting import StartCollector, check_store, moved, of, publish, scrape, source_up
from otelkit import names
from shop.services import Collector
from shop.waiting import until

HOUR = 3600


def outcomes(collector: Collector) -> Counter[str]:
    """How clocks on making have come out, however often that was corrected."""
    scraped = scrape(collector.url)
    assert sum(of(scraped, names.ORDER_CLOCK_CORRECTIONS.name, "from").values()) == 0
    counted = of(scraped, names.ORDER_CLOCKS.name, "objective", "outcome")
    return +Counter({o: n for (name, o), n in counted.items() if name.startswith("manuf")})


def why(collector: Collector) -> str:
    """What health says of the clock; empty where nothing."""
    told = httpx.get(f"{collector.url}/readyz").json()["sources"]["clock"]
    return str(told.get("why", ""))


def test_a_clock_that_is_wrong_for_a_while_loses_nothing_and_counts_nothing_twice(
    vhost: str, start_collector: StartCollector, tmp_path: Path
) -> None:
    clock, place = tmp_path / "clock", tmp_path / "orders.db"
    clock.write_text("0")
    collector = start_collector({"amqp": vhost, "store": str(place)}, clock=clock)
    assert until(lambda: source_up(collector.url, "rabbitmq"), 20)

    def late(name: str, made: float = 60) -> list[bytes]:
        """An order that is late already, and one that was made in time."""
        at = time.time() - made
        return [
            moved(f"{name}-late", "manufacturing", at),
            moved(f"{name}-met", "manufacturing", at),
            moved(f"{name}-met", "packed", at + 1),
        ]

    publish(vhost, late("before"))
    assert until(lambda: outcomes(collector) == {"breached": 1, "met": 1}, 10)
    assert why(collector) == ""

    for ahead, name in ((-HOUR, "back"), (-30 * HOUR, "far-back")):
        clock.write_text(str(ahead))
        assert until(lambda: why(collector).startswith("the clock was set back to "), 10)
        assert not source_up(collector.url, "clock")
        publish(vhost, late(name, made=2))
        assert until(partial(known, collector, f"{name}-met", "packed"), 10), "it is no stranger"
        clock.write_text("0")
        assert until(lambda: why(collector) == "", 10)

    expected = {"breached": 3, "met": 3}
    assert until(lambda: outcomes(collector) == expected, 20), outcomes(collector)
    log = collector.process.log.read_text()
    for name in ("before", "back", "far-back"):
        told = f"order {name}-late is overdue: manufacturing-on-time"
        assert log.count(told) == 1, "it is told once"
    assert "set it right, or wait until it comes there" in log
    collector.stop()
    check_store(place)


def test_a_clock_that_was_ahead_and_is_set_right_makes_no_order_late_before_its_time(
    vhost: str, start_collector: StartCollector, tmp_path: Path
) -> None:
    clock = tmp_path / "clock"
    clock.write_text(str(HOUR))
    collector = start_collector({"amqp": vhost}, clock=clock)
    assert until(lambda: source_up(collector.url, "rabbitmq"), 20)
    publish(vhost, [moved("A-1", "manufacturing", time.time())])
    assert until(lambda: outcomes(collector) == {"breached": 1}, 10), "to its clock it is late"
    clock.write_text("0")
    assert until(lambda: why(collector), 10)
    publish(vhost, [moved("A-2", "manufacturing", time.time())])
    publish(vhost, [moved("A-2", "packed", time.time() + 1)])
    assert until(lambda: known(collector, "A-2", "packed"), 10)
    assert outcomes(collector) == {"breached": 1, "met": 1}


def known(collector: Collector, order_id: str, status: str) -> bool:
    answer = httpx.get(f"{collector.url}/orders/{order_id}").json()
    return [order["status"] for order in answer["orders"]] == [status]
