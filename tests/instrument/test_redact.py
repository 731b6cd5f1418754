"""Secrets and personal data leave a process in no form; everything else leaves as it is."""

from __future__ import annotations

import base64
import json
import logging
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import Status, StatusCode

import otelkit
from instrument.conftest import Init
from instrument.otlp import OtlpEndpoint, attributes
from otelkit.instrument import logs, records, spans
from otelkit.instrument.redact import Redactor

REDACTOR = Redactor()
ALNUM = string.ascii_letters + string.digits


def luhn(digits: str) -> str:
    """The digits and the one that makes a card number of them."""
    total = sum(
        sum(divmod(2 * int(d), 10)) if n % 2 == 0 else int(d) for n, d in enumerate(digits[::-1])
    )
    return digits + str(-total % 10)


def iban(country: str, account: str) -> str:
    """An account with its country and check digits."""
    number = int("".join(str(int(c, 36)) for c in f"{account}{country}00"))
    return f"{country}{98 - number % 97:02d}{account}"


def text(alphabet: str, low: int, high: int) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=low, max_size=high)


opaque = text(ALNUM, 20, 40)
header = st.sampled_from(["eyJhbGciOiJIUzI1NiJ9", "eyJ0eXAiOiJKV1QifQ"])
card = text(string.digits, 14, 14).map(lambda d: luhn("4" + d))
PLANTS: dict[str, st.SearchStrategy[tuple[str, str]]] = {
    # What stands in the text, and the part of it that must not come out.
    "bearer": opaque.map(lambda s: (f"Bearer {s}", s)),
    "basic": text(ALNUM, 8, 16)
    .map(lambda s: base64.b64encode(f"user:{s}".encode()).decode())
    .map(lambda s: (f"Authorization: Basic {s}", s)),
    "jwt": st.tuples(header, opaque, opaque).map(lambda t: (".".join(t), t[1])),
    "aws": text(string.ascii_uppercase + string.digits, 16, 16).map(lambda s: (f"AKIA{s}",) * 2),
    "pem": opaque.map(
        lambda s: (f"-----BEGIN RSA PRIVATE KEY-----\n{s}\n-----END RSA PRIVATE KEY-----", s)
    ),
    "assigned": st.tuples(
        st.sampled_from(["password", "api_key", "client_secret", "Token", "X-API-Key", "pwd"]),
        st.sampled_from([("=", ""), (": ", ""), ('="', '"'), ("': '", "'"), ('": "', '"')]),
        opaque,
    ).map(lambda t: (f"{t[0]}{t[1][0]}{t[2]}{t[1][1]}", t[2])),
    "cookie": opaque.map(lambda s: (f"Set-Cookie: theme=dark; session={s}; Path=/", s)),
    "userinfo": opaque.map(lambda s: (f"amqp://shop:{s}@rabbitmq:5672/%2F", s)),
    "query": opaque.map(lambda s: (f"https://x.example/a?page=2&access_token={s}&n=1", s)),
    "e-mail": text(string.ascii_lowercase, 3, 12).map(lambda s: (f"{s}@example.com",) * 2),
    "phone": text(string.digits, 10, 10).map(lambda s: (f"+49 {s[:3]} {s[3:]}",) * 2),
    "card": card.map(lambda s: (s, s)),
    "spaced card": card.map(lambda s: (" ".join(s[i : i + 4] for i in range(0, 16, 4)),) * 2),
    "iban": text(string.digits, 18, 18).map(lambda s: (iban("DE", s),) * 2),
}
plants = st.sampled_from(sorted(PLANTS)).flatmap(PLANTS.__getitem__)
around = st.sampled_from(["", "order A-1001 ", "paid by ", "GET /orders: ", "цена 7, "])


def exported(record: logging.LogRecord) -> list[str]:
    """All forms in which a log record leaves."""
    reader = records.Reader(REDACTOR)
    line = logs.Line(0.0, 0, record.levelno, record.levelname, record.name, reader.entry(record))
    sent = encode_logs([logs._otlp(line, Resource.get_empty())])
    return [logs.JsonFormatter("shop", reader).format(record), str(sent)]


def error(message: str) -> ValueError:
    """As it is when it was raised."""
    try:
        raise ValueError(message)
    except ValueError as raised:
        return raised


@given(plants, around, around)
@settings(max_examples=150, deadline=None)
def test_a_planted_secret_leaves_in_no_log_record(
    plant: tuple[str, str], before: str, after: str
) -> None:
    said, secret = plant
    whole = f"{before}{said} {after}"
    raised = error(whole)
    record = logging.makeLogRecord(
        {
            "msg": "%s and %s",
            "args": (whole, {"nested": [whole]}),
            "name": "shop",
            "levelno": logging.ERROR,
            "exc_info": (ValueError, raised, raised.__traceback__),
            "extra": whole,
            "nested": {"of": [{"it": whole}, (whole,)], whole: 1},
            "object": raised,
        }
    )
    for form in exported(record):
        assert secret not in form
        assert before.strip() in form or before == "цена 7, "


@given(plants, around)
@settings(max_examples=150, deadline=None)
def test_a_planted_secret_leaves_in_no_span(plant: tuple[str, str], before: str) -> None:
    said, secret = plant
    whole = before + said
    span = TracerProvider(shutdown_on_exit=False).get_tracer("x").start_span(whole)
    span.set_attributes({"url.full": whole, "list": [whole, "b"]})
    span.add_event(whole, {"of": whole})
    span.record_exception(error(whole))
    span.set_status(Status(StatusCode.ERROR, whole))
    span.end()
    assert isinstance(span, ReadableSpan)
    assert secret not in str(encode_spans([spans.redacted(span, REDACTOR)]))
    assert span.name == whole, "the span itself is the service's"


@given(
    st.sampled_from(
        ["password", "Authorization", "http.request.header.cookie", "apiKey", "E-Mail"]
    ),
    st.one_of(st.text(), st.integers(), st.lists(st.text()), st.dictionaries(st.text(), st.text())),
)
def test_what_is_called_a_secret_is_one_whatever_it_holds(name: str, value: object) -> None:
    assert REDACTOR.value(name, {"a": value})  # the name of the outer mapping decides
    assert REDACTOR.mapping({name: value}) == {name: "[redacted]"}


WORDS = [
    "order", "A-1001", "2026-11-24T11:36:53.123456+00:00", "127.0.0.1:5672", "3.14159", "@",
    "4711", "12 of 100", "secretary", "basic training", "bearer of news", "GET", "max_tokens",
    "0af7651916cd43dd8448eb211c80319c", "12345678-1234-1234-1234-123456789012", "monkey=7",
    "https://shop.example/orders?page=2", "e=mc2", "1795521596517330874", "x@y", "DE", "key",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "v1.2.3-4", "(555)",
    "tokens: 5", "passed: 3", "/orders/{id}",
]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=8).map(" | ".join))
def test_text_without_a_secret_is_unchanged(clean: str) -> None:
    assert REDACTOR.text(clean) == clean
    assert REDACTOR.value("message", clean) == clean


@given(st.text())
def test_any_text_is_taken_and_a_redacted_one_stays_as_it_is(given: str) -> None:
    once = REDACTOR.text(given)
    assert REDACTOR.text(once) == once


@given(st.one_of(st.integers(-(10**7), 10**7), st.floats(allow_nan=False), st.booleans()))
def test_numbers_stay_numbers(number: float) -> None:
    assert REDACTOR.value("amount", number) is number


def test_patterns_of_the_service_are_hidden_too_in_spans_records_and_lines(
    init: Init, otlp: OtlpEndpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry = init(endpoint=otlp.url, logs=True, redact=[r"\bVIN-\w+"])
    with telemetry.tracer.start_as_current_span("car VIN-7XY", attributes={"car": "VIN-7XY blue"}):
        logging.getLogger("shop").warning("sold %s", "VIN-7XY", extra={"car": "VIN-7XY"})
    assert telemetry.flush()
    assert attributes(otlp.named("car [redacted]").attributes)["car"] == "[redacted] blue"
    assert otlp.logs[0][1].body.string_value == "sold [redacted]"
    assert json.loads(capsys.readouterr().out)["car"] == "[redacted]"


def test_a_wrong_pattern_is_a_sentence_and_the_defaults_hold(
    init: Init, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry = init(redact=["(", "VIN"])
    assert "redact= has no effect: write a regular expression, not '('" in caplog.text
    assert telemetry.redactor.text("VIN of bob@example.com") == "[redacted] of [redacted]"


def test_redaction_can_be_switched_off(init: Init) -> None:
    assert init(redact=None).redactor.mapping({"password": "x"}) == {"password": "x"}


def test_the_id_of_an_order_is_never_hidden_whatever_it_looks_like(
    init: Init, otlp: OtlpEndpoint
) -> None:
    telemetry = init(endpoint=otlp.url)
    card_like = "4111111111111111"
    with telemetry.tracer.start_as_current_span("step"), otelkit.order(card_like):
        logging.getLogger("shop").warning("hello")
    assert telemetry.flush()
    assert attributes(otlp.named("step").attributes)["order.id"] == card_like
    assert attributes(otlp.logs[0][1].attributes)["order.id"] == card_like
