"""docs/instrumenting.md: its services run as written, and its tables are complete."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pika
import pytest

import otelkit
from instrument.conftest import Init, take_events
from instrument.otlp import OtlpEndpoint, attributes
from instrument.serving import Service, server_span
from otelkit.instrument.settings import Settings, from_environment
from shop.waiting import until

PAGE = (Path(__file__).parents[2] / "docs" / "instrumenting.md").read_text()
SETTINGS = "ROOT_URLCONF = 'urls'\nALLOWED_HOSTS = ['*']\nSECRET_KEY = 'of a test'\n"
URLS = (
    "from django.urls import path\n"
    "from views import approve\n"
    "urlpatterns = [path('orders/<str:order_id>/approve', approve)]\n"
)


@dataclass(frozen=True)
class Section:
    """A service of the page: each file as a list of lines with its mark, and how it is started."""

    files: dict[str, list[str]]
    command: str

    @classmethod
    def called(cls, heading: str) -> Section:
        text = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
        files = {}
        for block in re.findall(r"```diff\n (.*?)```", text, re.DOTALL):
            name, *lines = block.splitlines()
            files[name.removeprefix("# ")] = lines
        (command,) = re.findall(r"```sh\n(.*?)\n```", text)
        return cls(files, command)

    @contextmanager
    def served(self, folder: Path, otlp: OtlpEndpoint) -> Iterator[Service]:
        for name, lines in self.files.items():
            compile(_side(lines, "-"), name, "exec")  # the service as it was is one, too
            (folder / name).write_text(_side(lines, "+"))
        (folder / "settings.py").write_text(SETTINGS)
        (folder / "urls.py").write_text(URLS)
        with Service(self.command, folder, otlp) as service:
            yield service


def _side(lines: list[str], mark: str) -> str:
    return "\n".join(line[1:] for line in lines if not line or line[0] in f" {mark}")


@dataclass(frozen=True)
class Case:
    """What a request to a service of the page answers, and is recorded as."""

    method: str
    path: str
    headers: dict[str, str]
    answer: str
    route: str
    spans: set[str]
    order: str = "A-7"


CASES = {
    "An existing FastAPI service": Case(
        "GET", "/orders/A-7/price", {}, "300", "/orders/{order_id}/price", {"price"}
    ),
    "An existing Django view": Case(
        "GET", "/orders/A-7/approve", {}, "approved", "/orders/<str:order_id>/approve", {"approve"}
    ),
    "A Flask application": Case(
        "POST",
        "/stations/press/start",
        {"X-Order-Id": "A-7"},
        "press has started",
        "/stations/<station>/start",
        {"start"},
    ),
    "A service that already uses OpenTelemetry": Case(
        "GET", "/orders/A-7/pack", {}, "packed", "/orders/{order_id}/pack", {"pack"}
    ),
}


@pytest.mark.parametrize("heading", CASES)
def test_a_service_of_the_page_runs_as_written_with_under_ten_changed_lines(
    heading: str, tmp_path: Path, otlp: OtlpEndpoint
) -> None:
    case, section = CASES[heading], Section.called(heading)
    changed = [line for lines in section.files.values() for line in lines if line[:1] == "+"]
    assert len(changed) < 10
    with section.served(tmp_path, otlp) as service:
        answer, spans = service.ask(case.path, case.method, **case.headers)
        assert answer == case.answer
        span, _ = server_span(spans)
        assert span.name == f"{case.method} {case.route}"
        marked = {s.name for s in spans if attributes(s.attributes).get("order.id") == case.order}
        assert marked >= {span.name, *case.spans}
        assert service.counted()[case.method, case.route, "200"] == 1


def test_the_consumer_of_the_page_runs_as_written_with_under_ten_changed_lines(
    tmp_path: Path, otlp: OtlpEndpoint, vhost: str, init: Init
) -> None:
    section = Section.called("An existing pika consumer")
    ((name, lines),) = section.files.items()
    assert len([line for line in lines if line[:1] == "+"]) < 10
    compile(_side(lines, "-"), name, "exec")
    (tmp_path / name).write_text(_side(lines, "+"))
    env = {
        "AMQP": vhost,
        "OTELKIT_EVENTS": vhost,
        "OTELKIT_SPOOL": str(tmp_path / "spool"),
        "OTELKIT_METRICS_PORT": "0",
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    program = sys.executable, *section.command.split()[1:]
    consumer = subprocess.Popen(program, cwd=tmp_path, env=os.environ | env)
    try:
        init()
        with closing(pika.BlockingConnection(pika.URLParameters(vhost))) as connection:
            channel = connection.channel()
            answers = channel.queue_declare("", exclusive=True).method.queue
            channel.queue_declare("parts")
            with otelkit.order("A-7"):
                to = pika.BasicProperties(reply_to=answers)
                channel.basic_publish("", "parts", b"bolt", to)
            answered = until(lambda: channel.basic_get(answers, auto_ack=True)[2] == b"BOLT", 20)
            assert answered
        (event,) = take_events(vhost, 1)
        assert (event["subject"], event["data"]["status"]) == ("A-7", "pressed")
        wanted = {"process parts", "press"}
        assert until(lambda: wanted <= {span.name for _, span in otlp.spans}, 10)
        for name in wanted:
            assert attributes(otlp.named(name).attributes)["order.id"] == "A-7"
    finally:
        consumer.kill()
        consumer.wait()


class Asked(dict[str, str]):
    """An environment without variables that remembers which it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return default


def test_the_page_names_every_argument_of_init_and_every_variable() -> None:
    arguments = set(re.findall(r"^\| `(\w+)` \| (?:`\w+`)? *\|", PAGE, re.MULTILINE))
    assert arguments == set(inspect.signature(otelkit.init).parameters)
    asked = Asked()
    from_environment(Settings(service="shop"), asked)
    named = set(re.findall(r"`((?:OTEL|OTELKIT)_\w+)(?:=true)?`", PAGE))
    of_one_signal = re.compile(r"(?<=OTLP_)(TRACES|LOGS)_(?!ENDPOINT)")
    assert {of_one_signal.sub("", name) for name in asked.names} == named - {
        "OTEL_TRACES_SAMPLER",  # the SDK reads these
        "OTEL_PROPAGATORS",
    }


def test_the_pages_test_of_a_service_passes() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    found: dict[str, Any] = {}
    exec(code, found)  # noqa: S102 - it is ours
    assert found["span"].name == "price"
