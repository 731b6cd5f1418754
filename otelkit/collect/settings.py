"""The collector's own settings: a YAML file, overridden by environment variables."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import pika

from otelkit.collect import ranges
from otelkit.collect.sources import tables
from otelkit.errors import ConfigError, SpecError
from otelkit.events import SLOTS
from otelkit.spec import quantities as q
from otelkit.spec import source
from otelkit.spec.reader import Reader

DEFAULT_PORT: Final = 9465
"""The port after the one that OpenTelemetry's Prometheus exporter takes by default."""
_ENVIRONMENT: Final = "OTELKIT_COLLECTOR_"


@dataclass(frozen=True, slots=True)
class Settings:
    """How one collector runs. Keys of the file bear the same names.

    ``store`` is its SQLite file or the address of a PostgreSQL database, ``amqp`` the broker of
    order events and dead letters, ``management`` that broker's management API, ``listen`` host and
    port of its own API. ``token`` is asked of whoever posts events or reads orders. Every ``tick``
    it looks for passed deadlines, ``lateness`` behind the clock, so that late events still count
    in time. ``batch`` is the most events that one transaction takes. ``databases`` are tables of
    others to read. Orders are kept for ``keep_orders`` after they have ended and their timelines
    for ``keep_timelines``; for good where that is None.

    Collectors that share a PostgreSQL divide the orders into ``shards``, each held by one of them
    for a ``lease`` at a time; the others find it at ``advertise``.
    """

    store: Path | str = Path("otelkit-collector.db")
    amqp: str | None = None
    management: str | None = None
    listen: tuple[str, int] = ("127.0.0.1", DEFAULT_PORT)
    token: str | None = None
    tick: timedelta = timedelta(seconds=5)
    lateness: timedelta = timedelta(seconds=30)
    batch: int = 4000
    databases: tuple[tables.Database, ...] = ()
    keep_timelines: timedelta | None = None
    keep_orders: timedelta | None = None
    shards: int | None = None
    lease: timedelta = timedelta(seconds=15)
    advertise: str | None = None

    @property
    def url(self) -> str:
        """Where other collectors find this one."""
        host, port = self.listen
        return self.advertise or f"http://{f'[{host}]' if ':' in host else host}:{port}"


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Settings from a file, if there is one, and the environment, which wins.

    Raises :class:`~otelkit.errors.SpecError` for the file and :class:`ConfigError` for the rest.
    """
    given = {} if path is None else _from_file(path)
    for key, convert in _CONVERTERS.items():
        variable = _ENVIRONMENT + key.upper()
        if environ.get(variable):
            try:
                given[key] = convert(environ[variable])
            except ValueError as error:
                raise ConfigError(f"the environment variable {variable}: {error}") from error
    found = replace(Settings(), **given)
    return checked(replace(found, databases=tables.with_secrets(found.databases, environ)))


def checked(settings: Settings) -> Settings:
    """The settings, if they hold together. Raises :class:`ConfigError`."""
    host = settings.listen[0]
    if settings.token is None and not _is_loopback(host):
        raise ConfigError(
            f"the collector would listen on {host} for everyone; "
            "set a token, or listen on 127.0.0.1"
        )
    tables.check(settings.databases)
    if settings.amqp is not None:
        _check_amqp(urlsplit(settings.amqp))
    if settings.management is not None and settings.amqp is None:
        raise ConfigError("management is set without amqp; give the address of the broker too")
    if settings.shards is not None:
        _check_shards(settings)
    return settings


def _check_amqp(address: SplitResult) -> None:
    if address.username and address.password is None:
        raise ConfigError(
            f"amqp names the user {address.username!r} and no password; "
            f"give the whole address in {_ENVIRONMENT}AMQP"
        )


def _check_shards(settings: Settings) -> None:
    if isinstance(settings.store, Path):
        raise ConfigError(
            "shards are shared by collectors, and a file is not; "
            "set store to the address of a PostgreSQL database, or leave shards out"
        )
    if settings.amqp is None:
        raise ConfigError("shards get their events from RabbitMQ; set amqp, or leave shards out")
    if settings.advertise is None and settings.listen[0] in {"0.0.0.0", "::"}:  # noqa: S104
        raise ConfigError(
            f"other collectors cannot find this one at {settings.listen[0]}; "
            "set advertise to its address, such as http://collector-1:9465"
        )


def _from_file(path: Path) -> dict[str, Any]:
    try:
        text = source.text_of(path)
        if all(not line.partition("#")[0].strip() for line in text.splitlines()):
            return {}  # every setting has a default, or stands in the environment
        return source.loads(text, str(path), _read)
    except SpecError as error:
        # Without the lines themselves, since one may hold a password.
        raise SpecError(tuple(replace(p, source="") for p in error.problems)) from None


def _read(reader: Reader) -> dict[str, Any] | None:
    found = reader.fields((*_CONVERTERS, "databases"))
    databases = found.pop("databases", None)
    given: dict[str, Any] = {key: value.parse(_CONVERTERS[key]) for key, value in found.items()}
    return given if databases is None else given | {"databases": tables.read(databases)}


def _address(text: str) -> tuple[str, int]:
    """``127.0.0.1:9465`` or ``[::1]:9465``."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    is_host = host.isprintable() and bool(host)
    if not colon or not is_host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{text!r} is no host and port; write such as 127.0.0.1:{DEFAULT_PORT}")
    return host, int(port)


def _url(*schemes: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        try:
            parts = urlsplit(text)
            fits = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            fits = False
        if not fits:
            # The address itself may hold a password, so it is not repeated.
            raise ValueError(f"this is no address of the kind {schemes[0]}://user:password@host")
        return text

    return convert


def _amqp(text: str) -> str:
    url = _url("amqp", "amqps")(text)
    parts = urlsplit(url)
    try:
        # Without its user: a file may leave the password to the environment.
        pika.URLParameters(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())
    except Exception as error:  # whatever its parts raise
        raise ValueError(f"this address has parameters that cannot be used: {error}") from error
    return url


def _store(text: str) -> Path | str:
    if "\0" in text:
        raise ValueError("this is no file's name; write one such as otelkit-collector.db")
    if "://" not in text:
        return Path(text)
    return _url("postgresql", "postgres")(text)


def _token(text: str) -> str:
    """What can stand in an HTTP header behind ``Bearer`` and come out the same."""
    if not 1 <= len(text) <= 255 or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("write a token of at most 255 ASCII letters, digits and signs, no spaces")
    return text


_CONVERTERS: Final[Mapping[str, Callable[[str], object]]] = {
    "store": _store,
    "amqp": _amqp,
    "management": _url("http", "https"),
    "listen": _address,
    "token": _token,
    "tick": ranges.duration_up_to("10m"),
    "lateness": ranges.duration_up_to("10m"),
    "batch": ranges.number(1, 10_000),
    "keep_timelines": q.duration,
    "keep_orders": q.duration,
    "shards": ranges.number(1, SLOTS),
    "lease": ranges.duration("1s", "5m"),
    "advertise": _url("http", "https"),
}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
