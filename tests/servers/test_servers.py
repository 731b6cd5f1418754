"""The servers of the demo and the tests, themselves."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pika
import psutil
import pytest

from otelkit.errors import UnavailableError
from shop import servers
from shop.prometheus import Prometheus
from shop.servers import MissingServerError, RabbitMQ


def publish(url: str, queue: str) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare(queue, durable=True)
        channel.basic_publish("", queue, b"kept", pika.BasicProperties(delivery_mode=2))


def depth(url: str, queue: str) -> int:
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        declared = connection.channel().queue_declare(queue, passive=True)
        return int(declared.method.message_count)


def test_a_stopped_broker_comes_back_on_its_port_with_its_messages(own_rabbitmq: RabbitMQ) -> None:
    publish(own_rabbitmq.amqp_url, "kept")
    own_rabbitmq.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", own_rabbitmq.amqp_port))
    own_rabbitmq.start()
    assert depth(own_rabbitmq.amqp_url, "kept") == 1


def test_leaving_the_block_leaves_no_process(tmp_path: Path, rabbitmq: RabbitMQ) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with RabbitMQ(tmp_path) as broker:
        started = set(psutil.Process().children(recursive=True))
        assert len({child.pid for child in started} - before) > 2, "a broker, its helpers and epmd"
        assert broker.amqp_port != rabbitmq.amqp_port
    _gone, alive = psutil.wait_procs([p for p in started if p.pid not in before], timeout=10)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []


def test_a_new_vhost_is_empty(rabbitmq: RabbitMQ) -> None:
    publish(rabbitmq.vhost("a/b c"), "kept")
    assert depth(rabbitmq.amqp_url.replace("%2F", "a%2Fb%20c"), "kept") == 1
    with pytest.raises(pika.exceptions.ChannelClosedByBroker):
        depth(rabbitmq.vhost("a/b c"), "kept")


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"Prometheus ended while it started.*") as caught:
        Prometheus(tmp_path, "global: {scrape: often}").start()
    assert "field scrape not found" in str(caught.value)
    assert str(tmp_path / "server.log") in str(caught.value)


def test_a_missing_program_names_its_debian_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_args, **_kwargs: None)
    with pytest.raises(MissingServerError, match="apt-get install rabbitmq-server"):
        RabbitMQ(tmp_path)


def test_ports_given_are_never_given_twice() -> None:
    ports = [servers.free_port() for _ in range(200)]
    assert len(set(ports)) == 200


def test_prometheus_takes_its_rules_from_the_files_beside_its_config(
    start_prometheus: Callable[..., Prometheus],
) -> None:
    rules = "groups: [{name: g, rules: [{record: answer, expr: vector(42)}]}]"
    server = start_prometheus("rule_files: [rules/*.yml]", {"rules/a.yml": rules})
    groups = httpx.get(f"{server.url}/api/v1/rules").json()["data"]["groups"]
    assert [rule["name"] for group in groups for rule in group["rules"]] == ["answer"]
