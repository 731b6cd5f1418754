"""Questions to a running Prometheus, over its HTTP API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit, urlunsplit

from otelkit.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    import httpx

TIMEOUT: Final = 150.0
"""Seconds for one answer; Prometheus itself gives up after two minutes, and says so."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One series at one instant. ``at`` is in Unix seconds."""

    labels: Mapping[str, str]
    at: float
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """One series over a time: instants in Unix seconds, and its value at each."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


class Prometheus:
    """The server at ``url``, which may hold ``user:password@``; ``token`` is a bearer token.

    One connection serves all questions, until ``close`` or the end of a ``with`` block. A server
    of our own (``direct``) is asked past any proxy of the environment.
    """

    def __init__(self, url: str, token: str | None = None, *, direct: bool = False) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._direct = direct

    @property
    def address(self) -> str:
        """The address without a password, as errors name it."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    def query(self, expr: str, at: float | None = None) -> list[Sample]:
        """An expression at an instant, now by default; of a native histogram its count."""
        found = self._ask("query", {"query": expr} | ({} if at is None else {"time": repr(at)}))
        if found["resultType"] != "vector":
            raise ConfigError(f"the query yields a {found['resultType']}, not a vector: {expr}")
        return [_sample(one) for one in found["result"]]

    def query_range(self, expr: str, start: float, end: float, step: float) -> list[Series]:
        """An expression at each step of a time, both ends included; at most 11,000 of them."""
        params = {"query": expr, "start": repr(start), "end": repr(end), "step": repr(step)}
        return [
            Series(one["metric"], tuple((float(at), float(value)) for at, value in one["values"]))
            for one in self._ask("query_range", params)["result"]
        ]

    def kinds(self) -> dict[str, set[str]]:
        """What targets say that each of their metrics is: ``counter``, ``gauge`` and so on."""
        found = self._data(self._send("GET", "metadata"))
        return {name: {one["type"] for one in said} for name, said in found.items()}

    def names(self) -> list[str]:
        """The names of all series that it holds."""
        return list(self._data(self._send("GET", "label/__name__/values")))

    def write(self, request: bytes) -> None:
        """A remote-write request, to a server that takes such."""
        headers = {
            "Content-Encoding": "snappy",
            "Content-Type": "application/x-protobuf",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        }
        answer = self._send("POST", "write", content=request, headers=headers)
        if not answer.is_success:
            raise UnavailableError(
                f"the Prometheus at {self.address} takes no samples: {answer.text.strip()}"
            )

    def close(self) -> None:
        """Ends the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @cached_property
    def _client(self) -> httpx.Client:
        import httpx

        # In bytes, since a token of the wrong kind is for the server to refuse.
        token = self._token
        headers = {} if token is None else {b"Authorization": f"Bearer {token}".encode()}
        return httpx.Client(headers=headers, timeout=TIMEOUT, trust_env=not self._direct)

    def _ask(self, path: str, params: Mapping[str, str]) -> Any:
        """The ``data`` of an answer; by POST, because a query may be longer than an address."""
        return self._data(self._send("POST", path, data=dict(params)))

    def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        """Raises :class:`UnavailableError` if nobody answers."""
        import httpx

        try:
            return self._client.request(method, f"{self.url}/api/v1/{path}", **content)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UnavailableError(
                f"no Prometheus answers at {self.address} ({error or type(error).__name__}); "
                "is the address right?"
            ) from error

    def _data(self, answer: httpx.Response) -> Any:
        """Raises :class:`UnavailableError` for no Prometheus, ConfigError if it refuses."""
        try:
            document = answer.json()
        except ValueError:
            document = None
        if not isinstance(document, dict) or "status" not in document:
            raise UnavailableError(
                f"what answers at {self.address} is no Prometheus (HTTP {answer.status_code}); "
                "are the address and the credentials right?"
            )
        if document["status"] != "success":
            said = document.get("error") or answer.status_code
            raise ConfigError(f"the Prometheus at {self.address} refuses: {said}")
        return document["data"]


def _sample(one: Mapping[str, Any]) -> Sample:
    if "histogram" in one:
        at, histogram = one["histogram"]
        return Sample(one["metric"], float(at), float(histogram["count"]))
    at, value = one["value"]
    return Sample(one["metric"], float(at), float(value))
