"""Questions to a running collector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from otelkit.cli.address import bearer_token, http_address
from otelkit.cli.output import UNKNOWN, Stop, note
from otelkit.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    import httpx

DEFAULT: Final = "http://127.0.0.1:9465"
_TIMEOUT: Final = 30.0
_PAUSE: Final = 1.0
"""Seconds before a collector that is busy and does not say for how long is asked again."""

Address = Annotated[
    str,
    typer.Option(
        "--collector",
        metavar="URL",
        envvar="OTELKIT_COLLECTOR",
        parser=http_address,
        help="Address of the collector.",
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar="OTELKIT_TOKEN",
        show_envvar=True,
        parser=bearer_token,
        help="Its token, if it asks for one.",
    ),
]

OrderId = Annotated[
    str, typer.Argument(metavar="ID", help="Its id, or the name another system gives it.")
]


def expected(order_id: str, found: dict[str, Any] | None) -> dict[str, Any]:
    """What was found of an order; ends the command with exit 3 where that is nothing."""
    if found is None:
        note(f"no event has told of an order {order_id!r}; is the id right?")
        raise Stop(UNKNOWN)
    return found


def ask(
    address: str, token: str | None, path: str, *, method: str = "GET"
) -> dict[str, Any] | None:
    """What the collector answers; None where it knows of nothing there.

    Raises :class:`UnavailableError` if nobody answers, :class:`ConfigError` if it refuses.
    """
    return _answer(address, *_request(address, token, method, path))


def send(
    address: str, token: str | None, path: str, told: Mapping[str, str]
) -> dict[str, Any] | None:
    """The same for what is told as JSON."""
    return _answer(address, *_request(address, token, "POST", path, json=told))


def send_text(address: str, token: str | None, path: str, text: str) -> dict[str, Any]:
    """What the collector answers to a file. Raises as :func:`ask` does."""
    answer, found = _request(address, token, "POST", path, content=text.encode())
    return _known(address, answer, found, "changeover")


def ask_for(
    address: str,
    token: str | None,
    path: str,
    key: str,
    params: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """An answer that has a key. Raises as :func:`ask` does."""
    return _known(address, *_request(address, token, "GET", path, params=params), key)


def _known(address: str, answer: httpx.Response, found: dict[str, Any], key: str) -> dict[str, Any]:
    if answer.status_code == 404 or (answer.is_success and key not in found):
        raise UnavailableError(
            f"what answers at {address} is no collector, or an older one; "
            "name another with --collector"
        )
    if not answer.is_success:
        raise _refusal(address, answer, found)
    return found


def _answer(address: str, answer: httpx.Response, found: dict[str, Any]) -> dict[str, Any] | None:
    if answer.is_success or answer.status_code == 404:
        if "orders" not in found:
            raise UnavailableError(
                f"what answers at {address} is no collector; name another with --collector"
            )
        return found if answer.is_success else None
    raise _refusal(address, answer, found)


def tell(
    address: str, token: str | None, bodies: Sequence[bytes]
) -> tuple[dict[str, Any], float | None]:
    """What became of a batch of events, or after how many seconds to send it again.

    Of several collectors they say how many are ``accepted``, and only later what became of them.
    """
    content = b"[" + b",".join(bodies) + b"]"
    answer, found = _request(address, token, "POST", "/events", content=content)
    if answer.is_success and found.keys() & {"problems", "accepted"}:
        return found, None
    if answer.status_code in {429, 503}:
        after = answer.headers.get("retry-after", "")
        return {}, float(after) if after.isdecimal() else _PAUSE
    raise _refusal(address, answer, found)


def _request(
    address: str, token: str | None, method: str, path: str, **sent: Any
) -> tuple[httpx.Response, dict[str, Any]]:
    import httpx

    # In bytes, since a token of the wrong kind is for the collector to refuse.
    headers = {} if token is None else {b"Authorization": f"Bearer {token}".encode()}
    url = address.rstrip("/") + path
    try:
        answer = httpx.request(method, url, headers=headers, timeout=_TIMEOUT, **sent)
        found = answer.json()
    except UnicodeEncodeError:
        raise  # of what is asked for, whoever answers
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise UnavailableError(
            f"no collector answers at {address} ({error}); start one with `otelkit collect`, "
            "or name another with --collector"
        ) from error
    return answer, found if isinstance(found, dict) else {}


def _refusal(address: str, answer: httpx.Response, found: Mapping[str, Any]) -> ConfigError:
    said = found.get("error") or answer.status_code
    return ConfigError(f"the collector at {address} refuses: {said}")
