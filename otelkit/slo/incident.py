"""What rules have on record of steady traffic of which a part turns bad.

The traffic was good for at least a whole period before. The five-minute series is recorded each
minute, windows up to six hours are means over it, longer ones sums of whole hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from otelkit.slo.numbers import MINUTE

LONGEST_FINE_WINDOW: Final = timedelta(hours=6)
"""Longer windows are summed from hourly recordings, and so lag by up to an hour."""

_FIVE: Final = 5
_WORST: Final = 59
"""Minutes for which a sum of whole hours is at most out of date."""


@dataclass(frozen=True, slots=True)
class Incident:
    """Bad events of which there were none before minute 0: ``bad`` of ``total`` a minute.

    It ends after ``lasts`` minutes, or not at all. It begins ``hour`` minutes after a full hour,
    or at whichever minute has it noticed last.
    """

    bad: Decimal
    total: Decimal
    lasts: int | None = None
    hour: int | None = None

    def bad_within(self, window: timedelta, minute: int) -> Decimal:
        """Bad events that are on record in a minute for the window that ends there."""
        length = window // MINUTE
        if window > LONGEST_FINE_WINDOW:
            minute -= _WORST if self.hour is None else (minute + self.hour) % 60
        seen = _recent if length == _FIVE else _spread
        over = Decimal(0) if self.lasts is None else seen(minute - self.lasts, length)
        return self.bad * (seen(minute, length) - over)

    def total_within(self, window: timedelta) -> Decimal:
        return self.total * (window // MINUTE)


def _recent(minutes: int, length: int) -> Decimal:
    return Decimal(min(max(minutes, 0), length))


def _spread(minutes: int, length: int) -> Decimal:
    return _averaged(minutes) - _averaged(minutes - length)


def _averaged(minutes: int) -> Decimal:
    """The first so many minutes as the mean of five-minute recordings shows them."""
    if minutes >= _FIVE:
        return Decimal(minutes - 2)
    return Decimal(max(minutes, 0) * (max(minutes, 0) + 1)) / (2 * _FIVE)
