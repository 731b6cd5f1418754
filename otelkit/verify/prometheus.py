"""Questions to a running Prometheus, over its HTTP API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

from otelkit.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    import httpx

TIMEOUT: Final = 60.0
"""Seconds for one answer; Prometheus itself gives up after two minutes."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One series at one instant. ``at`` is in Unix seconds."""

    labels: Mapping[str, str]
    at: float
    value: float


@dataclass(frozen=True, slots=True)
class Prometheus:
    """The server at ``url``, which may hold ``user:password@``; ``token`` is a bearer token."""

    url: str
    token: str | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """The address without a password, as errors name it."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    def query(self, expr: str, at: float | None = None) -> list[Sample]:
        """An expression at an instant, now by default."""
        params = {"query": expr} | ({} if at is None else {"time": repr(at)})
        found = self._ask("query", params)
        if found["resultType"] != "vector":
            raise ConfigError(f"the query yields a {found['resultType']}, not a vector: {expr}")
        return [
            Sample(one["metric"], float(one["value"][0]), float(one["value"][1]))
            for one in found["result"]
        ]

    def _ask(self, path: str, params: Mapping[str, str]) -> Any:
        """The ``data`` of an answer.

        Raises :class:`UnavailableError` if nobody answers, :class:`ConfigError` if it refuses.
        """
        import httpx

        headers = {} if self.token is None else {b"Authorization": f"Bearer {self.token}".encode()}
        address = f"{self.url.rstrip('/')}/api/v1/{path}"
        try:
            # POST, because a query may be longer than an address.
            answer = httpx.post(address, data=dict(params), headers=headers, timeout=TIMEOUT)
            document = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise UnavailableError(
                f"no Prometheus answers at {self.address} ({error or type(error).__name__}); "
                "is the address right?"
            ) from error
        return self._data(answer, document)

    def _data(self, answer: httpx.Response, document: Any) -> Any:
        if not isinstance(document, dict) or "status" not in document:
            raise UnavailableError(
                f"what answers at {self.address} is no Prometheus; is the address right?"
            )
        if document["status"] != "success":
            said = document.get("error") or answer.status_code
            raise ConfigError(f"the Prometheus at {self.address} refuses: {said}")
        return document["data"]
