"""How a signal goes over OTLP, by OpenTelemetry's variables for all signals and for one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeVar

from otelkit.instrument import values

T = TypeVar("T")
_VARIABLES: Final = "OTEL_EXPORTER_OTLP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """Where to, and what goes along. Text that is empty stands for what is not known or wanted."""

    endpoint: str = ""
    headers: Mapping[str, str]
    timeout: float
    """Seconds that one request may take."""
    compression: str = "none"
    """``gzip``, ``deflate`` or ``none``."""
    certificate: str = ""
    """File with the authorities to believe, instead of those that the system believes."""
    client_certificate: str = ""
    """File with which the process proves who it is."""
    client_key: str = ""
    """File with the key to it, where that is a file of its own."""


class Read(Protocol):
    """The value of a variable, or ``otherwise`` where it is not set or wrong."""

    def __call__(self, name: str, convert: Callable[[str], T], otherwise: T, /) -> T: ...


def of_all(read: Read, given: Export) -> Export:
    """That of all signals; its endpoint is without the path of one."""
    return _export(_VARIABLES, read, given)


def of_one(signal: str, read: Read, every: Export, endpoint: str | None) -> Export | None:
    """That of ``traces`` or ``logs``: what its own variables say, else what holds for every one.

    Its ``endpoint``, and the one that its variable names, have a path. None where there is none.
    """
    usual = every.endpoint and f"{every.endpoint.rstrip('/')}/v1/{signal}"
    otherwise = replace(every, endpoint=endpoint or usual)
    found = _export(f"{_VARIABLES}_{signal.upper()}", read, otherwise)
    return found if found.endpoint else None


def _export(variables: str, read: Read, otherwise: Export) -> Export:
    def own(name: str, convert: Callable[[str], T], otherwise: T) -> T:
        return read(f"{variables}_{name}", convert, otherwise)

    own("PROTOCOL", values.protocol, "")  # there is no choice
    return Export(
        endpoint=own("ENDPOINT", values.http_address, otherwise.endpoint),
        headers=own("HEADERS", values.pairs, otherwise.headers),
        timeout=own("TIMEOUT", values.seconds, otherwise.timeout),
        compression=own("COMPRESSION", values.compression, otherwise.compression),
        certificate=own("CERTIFICATE", values.file, otherwise.certificate),
        client_certificate=own("CLIENT_CERTIFICATE", values.file, otherwise.client_certificate),
        client_key=own("CLIENT_KEY", values.file, otherwise.client_key),
    )
