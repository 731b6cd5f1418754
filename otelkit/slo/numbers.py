"""Numbers as people and PromQL write them: exact, and no longer than they must be."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Final

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)


def percent(share: Decimal) -> str:
    """A share as people write it: ``Decimal("0.9990")`` is ``99.9%``."""
    return f"{plain(share * 100)}%"


def plain(value: Decimal) -> str:
    """A decimal without exponent and without trailing zeros, exact."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def rounded(value: Decimal, digits: int = 3) -> Decimal:
    """So many significant digits, for what is read and not reckoned with."""
    return Decimal(f"{value:.{digits}g}")


def promql_duration(duration: timedelta) -> str:
    """A duration in the largest PromQL unit that divides it: 90 minutes are ``90m``."""
    seconds = int(duration.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0 and seconds:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def spoken(minutes: int | None) -> str:
    """Minutes as people say them: ``17m``, ``3h39m``, ``1d13h``."""
    if minutes is None:
        return "never"
    hours, rest = divmod(minutes, 60)
    days, of_day = divmod(hours, 24)
    parts = ((days, "d"), (of_day, "h"), (0 if days else rest, "m"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0m"
