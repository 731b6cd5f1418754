"""A Prometheus with a past, and the installed command."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest

from conftest import enter
from shop.prometheus import Prometheus

MINUTE = 60
History = Mapping[str, Sequence[float | None]]
"""Series in PromQL's notation, each with one value a minute; None where there is none."""
StartWithHistory = Callable[..., Prometheus]
StartTarget = Callable[[bytes, str], str]
Otelkit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def start_with_history(tmp_path: Path) -> Iterator[StartWithHistory]:
    """``start_with_history(begin, series, *options)`` starts a Prometheus with a past.

    It holds the series since that Unix time; the options are those of its command line.
    """
    with ExitStack() as stack:

        def start(begin: int, series: History, *options: str) -> Prometheus:
            folder = tmp_path / f"past-{uuid4().hex[:8]}"
            folder.mkdir()
            (folder / "past.om").write_text("\n".join([*_samples(begin, series), "# EOF\n"]))
            _import(folder)
            return enter(stack, lambda: _prometheus(folder, options))

        yield start


def _prometheus(folder: Path, options: Sequence[str]) -> Prometheus:
    server = Prometheus(folder, "global: {}")
    server.process.command += tuple(options)
    return server


def _samples(begin: int, series: History) -> Iterator[str]:
    for name, values in series.items():
        for minute, value in enumerate(values):
            if value is not None:
                yield f"{name} {value} {begin + MINUTE * minute}"


def _import(folder: Path) -> None:
    command = ["promtool", "tsdb", "create-blocks-from"]
    command += ["openmetrics", str(folder / "past.om"), str(folder / "data")]
    subprocess.run(command, check=True, capture_output=True, text=True)


@pytest.fixture
def start_target() -> Iterator[StartTarget]:
    """``start_target(body, content_type)`` serves /metrics; answers its host and port."""
    with ExitStack() as stack:

        def start(body: bytes, content_type: str) -> str:
            class Target(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    self.send_response(200)
                    self.send_header("Content-Type", content_type)
                    self.end_headers()
                    self.wfile.write(body)

                def log_message(self, *_: object) -> None:
                    """Nothing."""

            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Target))
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return f"127.0.0.1:{server.server_port}"

        yield start


@pytest.fixture
def otelkit() -> Otelkit:
    """The installed command."""
    program = str(Path(sys.executable).with_name("otelkit"))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)

    return run
