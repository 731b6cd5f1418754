"""What a foreign file comes to, before it is written as an SLA file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Final

from otelkit import slo
from otelkit.migrate.foreign import Book
from otelkit.migrate.ratio import Ratio, Share
from otelkit.spec import quantities as q
from otelkit.spec.reader import Reader

OFF: Final = "off"
_LONGEST: Final = 63
_GENERATED: Final = ("sli", "health")
"""Names of generated files, which no objective may have."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A team and its Alertmanager receivers; one that the foreign file does not name is None."""

    name: str
    page: str | None = None
    ticket: str | None = None

    def agrees_with(self, other: Owner) -> bool:
        """Whether both may be one owner of an SLA file."""
        pairs = ((self.page, other.page), (self.ticket, other.ticket))
        return self.name == other.name and all(a is None or b is None or a == b for a, b in pairs)

    def with_those_of(self, other: Owner) -> Owner:
        """The owner with the receivers that only ``other`` has."""
        return Owner(self.name, self.page or other.page, self.ticket or other.ticket)


@dataclass(frozen=True, slots=True)
class Policy:
    """Conditions such as ``2% in 1h`` by severity; none switches the severity off."""

    page: tuple[str, ...]
    ticket: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """A service whose histogram ``duration`` is read; ``match`` selects its series."""

    name: str
    match: tuple[tuple[str, str], ...]
    duration: str


@dataclass(frozen=True, slots=True)
class Latency:
    """Requests to a service within ``below`` (``250ms``)."""

    service: Service
    below: str
    by: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective; ``at`` is where it stands in the foreign file, ``said`` becomes comments."""

    at: Reader
    name: str
    sli: Ratio | Share | Latency
    target: str
    window: str
    said: tuple[str, ...] = ()
    owner: Owner | None = None
    policy: str | None = None
    """The name of a policy of the file other than the default."""
    off: tuple[str, ...] = ()
    """Severities that do not alert."""
    labels: Mapping[str, Reader] = field(default_factory=dict)
    """Labels of its alerts, to be lifted to the file where all objectives share them."""
    runbook: Reader | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A whole file. ``said`` are the lines of comment at its top."""

    system: str
    said: tuple[str, ...]
    objectives: tuple[Objective, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    runbook: str | None = None
    policies: Mapping[str, Policy] = field(default_factory=dict)


@dataclass(slots=True)
class Names:
    """Names that are unique and fit for an SLA file; what was changed is noted."""

    book: Book
    taken: set[str] = field(default_factory=lambda: set(_GENERATED))

    def give(self, wanted: str, at: Reader) -> str:
        """A name for what was called ``wanted``."""
        name = identifier(wanted)
        if name != wanted:
            self.book.note(at, f"{wanted!r} is no name in an SLA file; it is {name!r} there")
        free = self.free(name)
        if free != name:
            self.book.note(at, f"the name {name!r} is taken; it is {free!r} in the SLA file")
        return free

    def free(self, name: str) -> str:
        """The name itself, or with the first number that makes it a new one."""
        found, number = name, 1
        while found in self.taken:
            number += 1
            ending = f"-{number}"
            found = name[: _LONGEST - len(ending)] + ending
        self.taken.add(found)
        return found


def identifier(text: str) -> str:
    """The nearest name that an SLA file may hold."""
    found = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")
    if not re.match(r"[A-Za-z_]", found):
        found = f"_{found}"
    return found[:_LONGEST]


def percentage(text: str, times: int = 1) -> str:
    """A number as percentage: ``99.9`` or, ``times`` 100, ``0.999`` is ``99.9%``."""
    return f"{slo.plain(number(text) * times)}%"


def number(text: str) -> Decimal:
    """A finite decimal number. Raises ``ValueError`` with a sentence."""
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or abs(value.adjusted()) > 30 or len(value.as_tuple().digits) > 30:
        raise ValueError(f"{text!r} is no number; write one such as 99.9")
    return value


def yes_or_no(text: str) -> bool:
    """YAML's words for true and false, the old ones too."""
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    if text.strip().lower() not in words:
        raise ValueError(f"{text!r} is neither true nor false; write one of them")
    return words[text.strip().lower()]


# --- latency -------------------------------------------------------------------------------


def sli(found: Ratio | Share, service: str) -> Ratio | Share | Latency:
    """A ratio of a histogram's bucket to its count is a latency of a service."""
    if not isinstance(found, Ratio) or found.good is None or found.total is None:
        return found
    bounds = [value for label, op, value in found.good.matchers if (label, op) == ("le", "=")]
    duration = found.good.metric.removesuffix("_bucket")
    rest = found.good.without("le")
    plain = all(op == "=" and value.isprintable() for _, op, value in rest.matchers)
    fits = (
        len(bounds) == 1
        and duration.endswith("_seconds")
        and found.good.metric == f"{duration}_bucket"
        and found.total.metric == f"{duration}_count"
        and set(rest.matchers) == set(found.total.matchers)
        and len({label for label, _, _ in rest.matchers}) == len(rest.matchers)
        and len(found.good.matchers) == len(rest.matchers) + 1
    )
    below = _seconds(bounds[0]) if fits and plain and rest.matchers else None
    if below is None:
        return found
    match = tuple((label, value) for label, _, value in rest.matchers)
    return Latency(
        Service(dict(match).get("job", service), match, duration), below, found.by, found.changed
    )


def _seconds(bound: str) -> str | None:
    """The bound of a bucket as people write it; None where it is none, such as ``+Inf``."""
    try:
        value = number(bound)
        text = f"{slo.plain(value * 1000)}ms" if value < 1 else f"{slo.plain(value)}s"
        return text if q.seconds(text) == value else None
    except ValueError:
        return None
