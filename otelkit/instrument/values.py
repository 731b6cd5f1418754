"""What a setting may be as text. Each raises ``ValueError`` with what to write instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

_BOOLEANS: Final = {
    **dict.fromkeys(("true", "1", "yes"), True),
    **dict.fromkeys(("false", "0", "no"), False),
}
_PROTOCOL: Final = "http/protobuf"
_COMPRESSIONS: Final = ("none", "gzip", "deflate")


def events_address(text: str) -> str:
    return _address(text, "amqp", "amqps", "http", "https")


def http_address(text: str) -> str:
    return _address(text, "http", "https")


def _address(text: str, *schemes: str) -> str:
    try:
        parts = urlsplit(text)
        right = parts.scheme in schemes and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        right = False
    if not right:
        # What was given may hold a password, so it is not repeated.
        raise ValueError(f"write an address such as {schemes[0]}://host ({', '.join(schemes)})")
    return text


def token(text: str) -> str:
    """Without the line break of the file that it may come from."""
    found = text.strip()
    if not (found.isascii() and found.isprintable()):
        # It is not repeated; nor would the client that could not send it keep it to itself.
        raise ValueError("write a token of ASCII letters, digits and signs in one line")
    return found


def expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"write a regular expression, not {text!r} ({error})") from error
    return text


def port(text: str) -> int:
    number = _whole(text)
    if number is None or number > 65535:
        raise ValueError(f"write a port from 0 to 65535, not {text!r}")
    return number


def seconds(text: str) -> float:
    number = float(text) if text.replace(".", "", 1).isdecimal() and text.isascii() else 0.0
    if not number:
        raise ValueError(f"write seconds above 0, not {text!r}")
    return number


def names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in text.split(","))))


def pairs(text: str) -> Mapping[str, str]:
    found = {}
    for pair in names(text):
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not (name and equals):
            # What was given may hold a token, so it is not repeated.
            raise ValueError("write name=value, and commas between several")
        found[unquote(name)] = unquote(value)
    return found


def limit(text: str) -> int:
    number = _whole(text)
    if not number:
        raise ValueError(f"write a whole number of events above 0, not {text!r}")
    return number


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 15 else None


def boolean(text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise ValueError(f"write true or false, not {text!r}")
    return _BOOLEANS[text.lower()]


def protocol(text: str) -> str:
    if text != _PROTOCOL:
        raise ValueError(f"otelkit speaks {_PROTOCOL}")
    return text


def compression(text: str) -> str:
    if text.lower() not in _COMPRESSIONS:
        raise ValueError(f"write one of {', '.join(_COMPRESSIONS)}, not {text!r}")
    return text.lower()


def file(text: str) -> str:
    if not Path(text).is_file():
        raise ValueError(f"write the path of a file, which {text!r} is not")
    return text
