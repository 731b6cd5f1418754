"""OpenTelemetry's variables of OTLP exporters, for all signals and for one, at real endpoints."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

import otelkit
from instrument.conftest import Init
from instrument.otlp import PROOF, OtlpEndpoint
from instrument.test_init import work
from otelkit.instrument.settings import Settings, from_environment

SetVariables = Callable[..., None]


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> SetVariables:
    """Sets variables of OTLP, their names without what all begin with."""

    def set_them(**values: object) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", str(value))

    return set_them


def say_one_of_each(telemetry: otelkit.Telemetry) -> bool:
    """A span and a record, to the end: whether both were taken."""
    work()
    logging.getLogger("shop").warning("submitted")
    return telemetry.shutdown()


def test_headers_of_a_signal_stand_for_those_of_all_signals(
    init: Init, otlp: OtlpEndpoint, variables: SetVariables
) -> None:
    variables(
        ENDPOINT=otlp.url,
        HEADERS="x-tenant=everyone,x-more=1",
        TRACES_HEADERS="x-tenant=tempo%20one",
    )
    telemetry = init(headers={"x-tenant": "of the code", "x-token": "t"})
    assert say_one_of_each(telemetry)
    kept = ("x-tenant", "x-more", "x-token")
    sent = {
        path: tuple(headers.get(name) for name in kept)
        for path, headers in zip(otlp.paths, otlp.headers, strict=True)
    }
    assert sent == {
        "/v1/traces": ("tempo one", None, "t"),
        "/v1/logs": ("everyone", "1", "t"),
    }


def test_each_signal_is_compressed_as_its_variable_says(
    init: Init, otlp: OtlpEndpoint, variables: SetVariables
) -> None:
    variables(ENDPOINT=otlp.url, COMPRESSION="gzip", LOGS_COMPRESSION="deflate")
    assert say_one_of_each(init())
    encodings = [headers.get("content-encoding") for headers in otlp.headers]
    assert dict(zip(otlp.paths, encodings, strict=True)) == {
        "/v1/traces": "gzip",
        "/v1/logs": "deflate",
    }
    assert (len(otlp.spans), len(otlp.logs)) == (1, 1), "and can be read"


def test_a_certificate_of_ones_own_is_believed_and_shown(
    init: Init, variables: SetVariables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/none")  # is for other requests
    with OtlpEndpoint(tls=True) as secured:
        variables(ENDPOINT=secured.url, CERTIFICATE=PROOF)
        variables(TRACES_CLIENT_CERTIFICATE=PROOF, LOGS_CLIENT_CERTIFICATE=PROOF)
        variables(LOGS_CLIENT_KEY=PROOF)
        assert say_one_of_each(init())
        assert (len(secured.spans), len(secured.logs)) == (1, 1)


@pytest.mark.parametrize(
    "known", [{}, {"CERTIFICATE": PROOF}, {"CLIENT_CERTIFICATE": PROOF}], ids=str
)
def test_without_its_certificates_an_endpoint_gets_nothing_and_is_named(
    init: Init, variables: SetVariables, caplog: pytest.LogCaptureFixture, known: dict[str, object]
) -> None:
    with OtlpEndpoint(tls=True) as secured:
        variables(ENDPOINT=secured.url, **known)
        telemetry = init()
        work()
        assert not telemetry.flush(10)
        assert secured.spans == []
    assert f"the OTLP endpoint 127.0.0.1:{secured.port} did not answer: " in caplog.text


def test_a_hung_endpoint_is_waited_for_as_long_as_the_variable_of_its_signal_says(
    init: Init, variables: SetVariables, caplog: pytest.LogCaptureFixture
) -> None:
    with OtlpEndpoint(hung=True) as hung:
        variables(ENDPOINT=hung.url, TIMEOUT="60", TRACES_TIMEOUT="0.1")
        telemetry = init()
        work()
        assert not telemetry.flush(20)
        assert "did not answer: timed out; spans wait in memory" in caplog.text


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("COMPRESSION", "zstd", "write one of none, gzip, deflate, not 'zstd'"),
        ("CERTIFICATE", "/none.pem", "write the path of a file, which '/none.pem' is not"),
        ("CLIENT_KEY", "/none.pem", "write the path of a file, which '/none.pem' is not"),
        ("HEADERS", "token", "write name=value, and commas between several"),
        ("TIMEOUT", "soon", "write seconds above 0, not 'soon'"),
        ("ENDPOINT", "tempo:4318", "write an address such as http://host (http, https)"),
        ("PROTOCOL", "grpc", "otelkit speaks http/protobuf"),
    ],
)
def test_a_wrong_variable_of_a_signal_is_a_sentence_and_the_one_of_all_signals_holds(
    name: str, value: str, said: str
) -> None:
    usual = Settings(service="shop")
    right = {
        "COMPRESSION": "gzip",
        "CERTIFICATE": str(PROOF),
        "CLIENT_KEY": str(PROOF),
        "HEADERS": "a=1",
        "TIMEOUT": "2",
        "ENDPOINT": "http://tempo",
        "PROTOCOL": "http/protobuf",
    }
    environ = {f"OTEL_EXPORTER_OTLP_{general}": text for general, text in right.items()}
    found, problems = from_environment(usual, environ)
    assert problems == []
    wrong = f"OTEL_EXPORTER_OTLP_TRACES_{name}"
    assert from_environment(usual, environ | {wrong: value}) == (
        found,
        [f"{wrong} has no effect: {said}"],
    )


def test_a_wrong_variable_does_not_end_what_goes_on_without_it(
    init: Init, otlp: OtlpEndpoint, variables: SetVariables
) -> None:
    variables(ENDPOINT=otlp.url, CERTIFICATE="/none.pem", COMPRESSION="zstd")
    assert say_one_of_each(init())
    assert len(otlp.spans) == 1
