"""``otelkit collect``: the collector."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from otelkit import names, spec
from otelkit.cli.output import INTERRUPTED, Stop
from otelkit.errors import MissingExtraError

EXAMPLE: Final = (
    "Example: OTELKIT_COLLECTOR_AMQP=amqp://user:password@rabbitmq otelkit collect --sla sla.yaml"
)

_FLUSH_SECONDS: Final = 3.0

log = logging.getLogger("otelkit")


def collect(
    sla: Annotated[Path, typer.Option("--sla", metavar="SLA", help="The SLA file.")],
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings as YAML, as above.")
    ] = None,
) -> None:
    """Collect order events and dead letters until stopped.

    Metrics and answers are served meanwhile. Settings: store (orders are kept there), amqp,
    management (of RabbitMQ), listen (127.0.0.1:9465), token (asked of clients; needed beyond
    loopback), tick (5s), lateness (30s), batch (4000), keep_orders and keep_timelines (for good).
    Each stands in FILE, or in the environment as OTELKIT_COLLECTOR_STORE and so on. FILE may also
    name databases to read, whose passwords stay in the environment. Collectors that share a
    PostgreSQL are told so by shards, lease (15s) and advertise.
    """
    try:
        from otelkit.collect import settings
        from otelkit.collect.run import run
    except ImportError as error:
        raise MissingExtraError("the collector", "collector") from error

    found = spec.load(sla)
    chosen = settings.load(config, os.environ)
    stopping = threading.Event()
    received: list[int] = []

    def stop(number: int, _frame: object) -> None:
        received.append(number)
        # Not here: what this interrupts may hold the lock that set() takes.
        threading.Thread(target=stopping.set).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with _logging_as_services_do():
        run(found, chosen, stopping)
    if received[:1] == [signal.SIGINT]:
        raise Stop(INTERRUPTED)


@contextmanager
def _logging_as_services_do() -> Iterator[None]:
    """JSON lines, and records over OTLP where the environment names an endpoint."""
    from otelkit.instrument import logs, records
    from otelkit.instrument.redact import Unredacted
    from otelkit.instrument.settings import Settings, from_environment

    root = logging.getLogger()
    root.setLevel(logging.INFO)
    reader = records.Reader(Unredacted())  # its lines name orders, and hold nobody's secrets
    root.addHandler(logs.json_handler(names.COLLECTOR_SERVICE, reader))
    found, problems = from_environment(Settings(service=names.COLLECTOR_SERVICE), os.environ)
    for problem in problems:
        log.error("%s", problem)
    if found.lines is None:
        yield
        return
    settings = replace(found, service=names.COLLECTOR_SERVICE)  # dashboards ask for it by name
    queue = logs.queue(found.lines, settings, lambda _signal, _reason, count: count)
    root.addHandler(logs.OtlpHandler(reader, queue))
    try:
        yield
    finally:
        queue.stop(_FLUSH_SECONDS)
