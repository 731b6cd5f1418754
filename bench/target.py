"""A service to be scraped, its counters a function of time, and the history that it has had."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, Self

from otelkit import names
from shop.servers import HOST, find_program

METRIC: Final = "http_server_request_duration_seconds_count"
SERIES: Final = 20
RATE: Final = 5
"""Requests a second in each series; every other one counts failures, a hundredth as many."""
SCRAPE: Final = 30
HOUR: Final = 3600


def samples(at: float) -> Iterator[str]:
    """The counters at an instant, as lines without a timestamp."""
    for n in range(SERIES):
        status, rate = ("200", RATE) if n % 2 == 0 else ("503", RATE / 100)
        labels = f'http_route="/r{n // 2}",http_response_status_code="{status}"'
        yield f"{METRIC}{{{labels}}} {int(at * rate)}"


class Target:
    """Serves ``/metrics`` between entering and leaving."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer((HOST, 0), _Handler)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = "\n".join([f"# TYPE {METRIC} counter", *samples(time.time()), ""]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


# --- history -------------------------------------------------------------------------------


def counters(now: float, port: int) -> Iterator[str]:
    """Three days of scrapes, in OpenMetrics."""
    target = f'job="svc",instance="{HOST}:{port}"'
    for at in range(int(now) - 72 * HOUR, int(now), SCRAPE):
        for sample in samples(at):
            yield f"{sample.replace('}', f',{target}}}')} {at}"


def recordings(system: str, objectives: Sequence[str], now: float) -> Iterator[str]:
    """What the rules of these objectives had recorded: minutes of six hours, hours of a month."""
    a_minute = RATE * 60 * SERIES / 2
    for objective in objectives:
        labels = f'system="{system}",environment="{names.DEFAULT_ENVIRONMENT}"'
        labels += f',objective="{objective}"'
        good, bad = a_minute, a_minute / 100
        kinds = {names.GOOD: good, names.BAD: bad, names.TOTAL: good + bad}
        minutes = range(int(now) // 60 * 60 - 6 * HOUR, int(now), 60)
        hours = range(int(now) // HOUR * HOUR - 720 * HOUR, int(now), HOUR)
        for prefix, rate in kinds.items():
            yield from (f"{prefix}5m{{{labels}}} {5 * rate} {at}" for at in minutes)
            yield from (f"{prefix}1h{{{labels}}} {60 * rate} {at}" for at in hours)
        yield from (f"{names.HISTORY_HOURS}1h{{{labels}}} 1 {at}" for at in hours)


def backfill(data: Path, *history: Iterable[str]) -> None:
    """Write lines of OpenMetrics as blocks of a Prometheus database, each history on its own."""
    promtool = find_program("promtool", "prometheus")
    data.mkdir(parents=True)
    source = data.with_name("history.txt")
    for lines in filter(None, map(list, history)):
        source.write_text("\n".join([*lines, "# EOF\n"]))
        command = [promtool, "tsdb", "create-blocks-from", "openmetrics"]
        command += ["--max-block-duration=744h", str(source), str(data)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        source.unlink()
