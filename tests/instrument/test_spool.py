"""Order events survive: killed processes, a broker that is away, forks, a full spool."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import httpx
import pika
import psutil
import pytest
from prometheus_client import CollectorRegistry

import otelkit
from instrument.conftest import Child, Event, Init, StartChild, statuses, take_events
from otelkit import names
from shop.servers import RabbitMQ, free_port
from shop.services import Collector
from shop.waiting import until

SAY = """
telemetry = otelkit.init(service="shop", logs=False)
def say(*numbers):
    with otelkit.order("A-1") as order:
        for n in numbers: order.moved_to(f"s{n}", version=n)
"""


def spooled(spool: Path) -> list[Event]:
    """The events in a spool, read as another process reads them."""
    with closing(sqlite3.connect(spool / "orders.db")) as db:
        return [json.loads(body) for (body,) in db.execute("SELECT body FROM events ORDER BY seq")]


def waiting(spool: Path) -> list[str]:
    return statuses(spooled(spool))


def empty(spool: Path) -> bool:
    return not waiting(spool)


def wanted(*numbers: int) -> list[str]:
    return [f"s{n}" for n in numbers]


def unheard() -> str:
    """An address at which nobody listens."""
    return f"amqp://guest:guest@127.0.0.1:{free_port()}/"


def killed_after_saying(child: StartChild, *numbers: int) -> None:
    code = f"{SAY}say{numbers}\nprint('said', flush=True); input()"
    killed = child(code, OTELKIT_EVENTS=unheard())
    assert killed.line() == "said"
    killed.kill()


def test_a_process_killed_after_moved_to_loses_no_event(child: StartChild, vhost: str) -> None:
    killed_after_saying(child, *range(100))
    child(f"{SAY}say(100)", OTELKIT_EVENTS=vhost).end()
    assert statuses(take_events(vhost, 101)) == wanted(*range(101))


def test_events_wait_for_a_broker_that_is_away_and_arrive_in_order(
    own_rabbitmq: RabbitMQ,
    init: Init,
    spool: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    init(events=own_rabbitmq.amqp_url, logs=True)
    with otelkit.order("A-1") as order:
        for n in range(20):
            if n == 5:
                assert until(lambda: empty(spool), 10)
                own_rabbitmq.stop()
            if n == 15:
                own_rabbitmq.start()
            order.moved_to(f"s{n}")
    assert until(lambda: empty(spool), 20)
    assert "pika" not in capsys.readouterr().out, "the publisher's own sentence is enough"
    assert statuses(take_events(own_rabbitmq.amqp_url, 20)) == wanted(*range(20))
    said = [r.getMessage() for r in caplog.records if r.name == "otelkit.events"]
    assert said[0].startswith("RabbitMQ did not take order events: ")
    assert said[0].endswith(f"order events wait in {spool} and are tried again")
    assert said[1:] == ["order events are delivered again"]


def connections(port: int) -> int:
    """How many this process has to a port."""
    return sum(bool(c.raddr) and c.raddr.port == port for c in psutil.Process().net_connections())


def test_a_resting_publisher_goes_on_without_a_word_when_the_broker_has_hung_up(
    rabbitmq: RabbitMQ, init: Init, vhost: str, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    init(events=vhost)
    with otelkit.order("A-1") as order:
        order.moved_to("s0")
        assert until(lambda: empty(spool), 10)
        hang_up(rabbitmq, vhost)
        assert until(lambda: connections(rabbitmq.amqp_port) == 0, 5)
        order.moved_to("s1")
    assert statuses(take_events(vhost, 2)) == wanted(0, 1)
    assert [r.getMessage() for r in caplog.records if r.name == "otelkit.events"] == []


def hang_up(broker: RabbitMQ, vhost: str) -> None:
    """End the one connection of a vhost, as the broker does with a client that rests for long."""
    path = f"{broker.management_url}/api"
    of_vhost = f"{path}/vhosts/{vhost.rpartition('/')[2]}/connections"
    (connection,) = until(lambda: httpx.get(of_vhost).json(), 15) or []
    httpx.delete(f"{path}/connections/{quote(connection['name'])}").raise_for_status()


def test_a_broker_that_refuses_the_queue_is_asked_again_without_leaking_connections(
    init: Init, vhost: str, caplog: pytest.LogCaptureFixture, spool: Path
) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(vhost))) as connection:
        channel = connection.channel()
        channel.queue_declare(names.ORDERS_QUEUE, durable=True)  # not the quorum queue it should be
        init(events=vhost)
        with otelkit.order("A-1") as order:
            order.moved_to("s0")
        assert until(lambda: "PRECONDITION_FAILED" in caplog.text, 10)
        port = pika.URLParameters(vhost).port
        assert until(lambda: connections(port) == 1, 5), "only the test's own connection"
        channel.queue_delete(names.ORDERS_QUEUE)
    assert until(lambda: empty(spool), 15)
    assert statuses(take_events(vhost, 1)) == wanted(0)


def test_a_full_spool_puts_whole_events_into_the_log_and_counts_them(
    init: Init, spool: Path, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    init(events=unheard(), spool_limit=2)
    dropped = {"signal": "order_events", "reason": "spool_full"}
    assert registry.get_sample_value("otelkit_telemetry_dropped_total", dropped) == 0
    with otelkit.order("A-1", partner="acme") as order:
        for n in range(4):
            order.moved_to(f"s{n}", version=n)
    assert waiting(spool) == wanted(0, 1)
    # pika logs errors of its own if the publisher has tried already.
    lost = [r for r in caplog.records if (r.name, r.levelname) == ("otelkit.orders", "ERROR")]
    events = [json.loads(r.getMessage().partition(": ")[2]) for r in lost]
    assert statuses(events) == wanted(2, 3)
    assert events[0]["data"]["partner"] == "acme"
    assert registry.get_sample_value("otelkit_telemetry_dropped_total", dropped) == 2


def test_an_event_said_after_shutdown_waits_for_the_next_process(
    child: StartChild, vhost: str, spool: Path
) -> None:
    child(f"{SAY}print(telemetry.shutdown()); say(0)", OTELKIT_EVENTS=vhost).end()
    assert waiting(spool) == wanted(0)
    child(SAY, OTELKIT_EVENTS=vhost).end()
    assert statuses(take_events(vhost, 1)) == wanted(0)


def ready(process: Child) -> None:
    assert process.line() == "ready"


def test_two_processes_share_a_spool_and_one_sends_for_both(
    child: StartChild, vhost: str, spool: Path
) -> None:
    code = f"{SAY}print('ready', flush=True); input(); say(*range(200)); input()"
    both = [child(code, OTELKIT_EVENTS=vhost) for _ in range(2)]
    for process in both:
        ready(process)
        process.tell()
    taken = take_events(vhost, 400)
    assert sorted(statuses(taken)) == sorted(2 * wanted(*range(200)))
    assert len({event["id"] for event in taken}) == 400
    both[0].kill()
    both[1].tell()
    both[1].end()
    assert empty(spool)


def test_when_the_sending_process_is_killed_another_takes_over(
    child: StartChild, vhost: str
) -> None:
    first = child(f"{SAY}say(0); print('ready', flush=True); input()", OTELKIT_EVENTS=vhost)
    ready(first)
    assert statuses(take_events(vhost, 1)) == wanted(0)
    second = child(f"{SAY}say(1); print('ready', flush=True); input()", OTELKIT_EVENTS=vhost)
    ready(second)
    first.kill()
    assert statuses(take_events(vhost, 1)) == wanted(1)


FORK = """
say(0)
if (pid := os.fork()) == 0:
    print("forked", flush=True)
    {child}
    sys.exit()
{parent}
assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.parametrize(
    "steps",
    [
        {"child": "say(1)", "parent": "pass"},
        {"child": "say(1)", "parent": "telemetry.shutdown()"},
        # What the parent leaves open, the child would delete or write to after it is gone.
        {"child": "time.sleep(0.5); say(1)", "parent": "os.kill(os.getpid(), 9)"},
        {"child": "time.sleep(0.5); say(1)", "parent": "telemetry.shutdown(); sys.exit()"},
    ],
    ids=["both live on", "the parent shuts down", "the parent is killed", "the parent ends"],
)
def test_parent_and_child_of_a_fork_both_deliver(
    child: StartChild, vhost: str, steps: dict[str, str]
) -> None:
    child(SAY + FORK.format(**steps), OTELKIT_EVENTS=vhost)
    assert sorted(statuses(take_events(vhost, 2))) == wanted(0, 1)


def test_a_child_that_writes_on_after_its_parent_has_closed_the_spool_loses_nothing(
    child: StartChild, spool: Path
) -> None:
    code = FORK.format(child="say(1); input(); say(2); os._exit(0)", parent="telemetry.shutdown(1)")
    parent = child(f"{SAY}{code}", OTELKIT_EVENTS=unheard())
    assert parent.line() == "forked"
    assert until(lambda: waiting(spool) == wanted(0, 1), 10)
    parent.tell()
    parent.end()
    assert waiting(spool) == wanted(0, 1, 2)


def test_a_forked_child_ends_at_once_and_lets_go_of_the_metrics_port(child: StartChild) -> None:
    code = f"""{SAY}
port = telemetry.metrics_port
start = time.monotonic()
if (pid := os.fork()) == 0:
    print([c for c in __import__("psutil").Process().net_connections() if c.status == "LISTEN"])
    sys.exit()
os.waitpid(pid, 0)
print(time.monotonic() - start < 2)
"""
    out = child(code, OTELKIT_EVENTS=unheard(), OTELKIT_METRICS_PORT="0").end()
    assert out.splitlines() == ["[]", "True"]


def test_events_reach_a_collector_over_http_and_a_rest_does_not_disturb(
    init: Init, tmp_path: Path, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    collector = Collector(tmp_path / "collector", {"sources": "http"})
    collector.start()
    try:
        init(events=collector.url)
        with otelkit.order("A-1") as order:
            order.moved_to("submitted", version=1)
            assert until(lambda: empty(spool), 10)
            # A connection that rests is ended by the server, and fails the next event.
            assert until(lambda: connections(collector.port) == 0, 3)
            order.moved_to("priced", version=2)
        assert until(lambda: empty(spool), 10)
        stage = httpx.get(f"{collector.url}/orders/A-1").json()
    finally:
        collector.stop()
    assert "priced" in json.dumps(stage)
    assert [r.getMessage() for r in caplog.records if r.name == "otelkit.events"] == []


def test_a_spool_that_another_process_locks_for_too_long_costs_no_event_and_no_exception(
    init: Init, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    init(events=unheard())
    with (
        closing(sqlite3.connect(spool / "orders.db", isolation_level=None)) as other,
        otelkit.order("A-1") as order,
    ):
        other.execute("BEGIN IMMEDIATE")
        order.moved_to("s0")
        other.execute("ROLLBACK")
        order.moved_to("s1")
    (lost,) = [r.getMessage() for r in caplog.records if r.name == "otelkit.orders"]
    assert "spool_error (database is locked)" in lost
    assert json.loads(lost[lost.index("{") :])["data"]["status"] == "s0"
    assert waiting(spool) == wanted(1)


def test_the_spool_is_a_folder_of_the_service_in_the_users_state(
    init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    init(service="crm/eu", spool=None, events=unheard())
    assert (tmp_path / "otelkit" / "crm_eu" / "orders.db").exists()


@pytest.mark.parametrize("wrong", ["kafka://broker", "rabbitmq.example:5672"])
def test_events_with_a_wrong_address_wait_in_the_spool_for_a_right_one(
    child: StartChild, vhost: str, spool: Path, wrong: str
) -> None:
    code = f"import logging; logging.basicConfig(stream=sys.stdout)\n{SAY}say(0, 1)"
    said = child(code, OTELKIT_EVENTS=wrong).end()
    assert "OTELKIT_EVENTS has no effect: write an address such as amqp://host" in said
    assert (
        f"there is no address that order events could go to; order events wait in {spool}" in said
    )
    assert waiting(spool) == wanted(0, 1)
    child(SAY, OTELKIT_EVENTS=vhost).end()
    assert statuses(take_events(vhost, 2)) == wanted(0, 1)
