"""What observing costs a whole service: a FastAPI application, a publisher and a consumer.

Each runs bare, with otelkit and with OpenTelemetry's contrib packages, in turn, in processes of
their own. Rates depend on what else a machine does, so the ratios are those of processor time: what
a library adds to that of the bare service for each request or message, its threads and the delivery
of every span included. otelkit also counts and times, which contrib does not here.
"""

from __future__ import annotations

import functools
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

from bench import peers, service, usage
from bench.endpoint import endpoint
from bench.figure import Figure
from bench.usage import Usage
from shop.processes import Process
from shop.servers import HOST, RabbitMQ, answers, free_port
from shop.waiting import until

ROOT: Final = Path(__file__).parents[1]
ROUNDS: Final = 3
REQUESTS: Final = 2000
CONNECTIONS: Final = 8
LIBRARIES: Final = (service.BARE, service.OTELKIT, service.CONTRIB)
LIMITS: Final = {
    # contrib makes three spans for each, of which two are of what ASGI sends.
    "request": 1.0,
    # contrib makes two spans for each.
    "publish": 1.0,
    # Where contrib makes one span of five attributes, otelkit makes two of ten: the linked work,
    # and its acknowledgement.
    "consume": 4.5,
}
"""Set after measuring (0.6, 0.8 and 3.0), so that what makes it worse is told: no promise is kept
by them."""
WHAT: Final = {
    "request": "request to FastAPI under uvicorn, its own spans off",
    "publish": "message published with pika",
    "consume": "message consumed and acknowledged with pika",
}
Round = dict[str, dict[str, Usage]]
"""By library, and by what is measured."""


def measure() -> Iterator[Figure]:
    """Processor time that otelkit adds, as a share of what contrib adds."""
    python = peers.program("python")
    with tempfile.TemporaryDirectory() as name, endpoint() as address:
        folder = Path(name)
        environment = {
            "PYTHONPATH": str(ROOT),
            "OTEL_EXPORTER_OTLP_ENDPOINT": address,
            # Nothing is dropped: what is not delivered would cost nothing.
            "OTEL_BSP_MAX_QUEUE_SIZE": "100000",
        }
        with RabbitMQ(folder / "rabbitmq") as broker:
            rounds = [_round(python, folder, environment, broker) for _ in range(ROUNDS)]
    for what in WHAT:
        yield _figure(what, rounds)


def _figure(what: str, rounds: list[Round]) -> Figure:
    bare, ours, peer = (usage.median(r[name][what] for r in rounds) for name in LIBRARIES)
    added = [
        [r[name][what].seconds - r[service.BARE][what].seconds for r in rounds]
        for name in (service.OTELKIT, service.CONTRIB)
    ]
    mine, other = (statistics.median(side) for side in added)
    measured = (
        f"{mine * 1e6:.0f} us against {other * 1e6:.0f} us on top of {bare.seconds * 1e6:.0f}; "
        f"{ours.rate:,.0f} a second against {peer.rate:,.0f}, bare {bare.rate:,.0f}"
    )
    return Figure(
        f"added to a {WHAT[what]}",
        "what OpenTelemetry's contrib adds",
        mine / other,
        LIMITS[what],
        measured,
    )


def _round(python: str, folder: Path, environment: dict[str, str], broker: RabbitMQ) -> Round:
    found: Round = {}
    for library in LIBRARIES:
        command = [python, "-W", "ignore", "-m", "bench.service"]
        url = broker.vhost(library)
        done = subprocess.run(
            [*command, service.AMQP, library, url],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            check=True,
        )
        found[library] = {what: Usage(*pair) for what, pair in json.loads(done.stdout).items()}
        port = free_port()
        served = [*command, service.HTTP, library, str(port)]
        with Process(library, served, folder / f"{library}.log", env=environment) as server:
            if not until(functools.partial(answers, f"http://{HOST}:{port}/usage"), 60):
                raise SystemExit(f"the {library} application does not answer:\n{server.tail()}")
            _load(port, REQUESTS // 10)
            found[library]["request"] = _load(port, REQUESTS)
    return found


def _load(port: int, requests: int) -> Usage:
    """Of requests on several connections that stay open, one on each at a time."""
    clients = [HTTPConnection(HOST, port, timeout=60) for _ in range(CONNECTIONS)]
    before, start = _spent(clients[0]), time.perf_counter()
    for number in range(requests // CONNECTIONS):
        for client in clients:
            client.request("GET", f"/orders/A-{number}")
        for client in clients:
            client.getresponse().read()
    seconds = time.perf_counter() - start
    spent = _spent(clients[0]) - before
    for client in clients:
        client.close()
    return Usage(spent / requests, requests / seconds)


def _spent(client: HTTPConnection) -> float:
    client.request("GET", "/usage")
    return float(client.getresponse().read())
