"""An objective that is being read: what all kinds of it have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from otelkit import slo
from otelkit.model import (
    AlertPolicy,
    BudgetObjective,
    Calendar,
    Exclusion,
    Owner,
    Process,
    Queue,
    Service,
    Window,
)
from otelkit.spec import alerting
from otelkit.spec import quantities as q
from otelkit.spec.reader import Reader, Table

DEFAULT_WINDOW: Final = Window(timedelta(days=30))
_FAR: Final = timedelta(days=366)
BUDGET_KEYS: Final = ("window", "alerting", "by", "exclude")
"""Keys of every objective that has a budget."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What objectives may refer to."""

    owners: Table[Owner]
    calendars: Table[Calendar]
    services: Table[Service]
    processes: Table[Process]
    queues: Table[Queue]
    policies: Table[AlertPolicy]
    labels: Mapping[str, str]
    now: datetime | None
    """What is excluded long before or after that is doubtful."""


@dataclass(frozen=True, slots=True)
class Draft:
    """The fields of an objective. ``at`` is the objective itself, for what it lacks."""

    name: str
    fields: Mapping[str, Reader]
    at: Reader
    parts: Parts

    def owner(self, default: str | None) -> str | None:
        """Who answers for it: the one it names, or who answers for what it is about."""
        if "owner" in self.fields:
            return self.fields["owner"].choice(self.parts.owners.declared, "owner")
        return default

    def service(self) -> Service | None:
        if "service" not in self.fields:
            return None
        return self.parts.services.get_named(self.fields["service"], "service")

    def budget(
        self, target: Reader | None, by: Callable[[str], str] = q.by_label
    ) -> tuple[Decimal, Window, dict[str, Any]] | None:
        """Target, window, and the further keywords of a :class:`BudgetObjective`.

        ``by`` says whether a label may have budgets. None where any of it has problems, which are
        told.
        """
        share = None if target is None else target.parse(q.share)
        window: Window | None = DEFAULT_WINDOW
        if "window" in self.fields:
            window = self.fields["window"].parse(q.window)
        policy = alerting.chosen(
            self.fields.get("alerting"),
            self.parts.policies[alerting.DEFAULT],
            self.parts.policies,
        )
        more: dict[str, Any] = {"policy": policy, "by": self._by(by), "exclude": self._exclude()}
        if "during" in self.fields:
            more["during"] = self.parts.calendars.get_named(self.fields["during"], "calendar")
        if share is None or target is None or window is None:
            return None
        self._doubt_times(more["exclude"], window)
        if not feasible(share, window, policy, target, self.fields.get("alerting", target)):
            return None
        return share, window, more

    def _by(self, check: Callable[[str], str]) -> tuple[str, ...]:
        if "by" not in self.fields:
            return ()
        labels = [(item, item.parse(check)) for item in self.fields["by"].items()]
        found: dict[str, None] = {}
        for item, label in labels:
            if label in found:
                item.problem("this label stands here a second time; keep one of them")
            elif label in self.parts.labels:
                item.problem(
                    f"`labels` sets {label!r} on every alert, so that those of its values could "
                    "not be told apart; rename or remove it there"
                )
            elif label is not None:
                found[label] = None
        return tuple(found)

    def _exclude(self) -> tuple[Exclusion, ...]:
        if "exclude" not in self.fields:
            return ()
        found = [_exclusion(item) for item in self.fields["exclude"].items()]
        return tuple(one for one in found if one is not None)

    def _doubt_times(self, excluded: tuple[Exclusion, ...], window: Window) -> None:
        """Warn of times that no budget looks back at, and of those that seem mistyped."""
        now, reader = self.parts.now, self.fields.get("exclude")
        items = () if now is None or reader is None else reader.items()
        if now is None or len(items) != len(excluded):
            return
        # The longest month and quarter have a day more than alerts reckon with.
        back = window.length + timedelta(days=1 if window.calendar else 0)
        for item, one in zip(items, excluded, strict=True):
            if one.end < now - back:
                item.warn("this is over for longer than the budget looks back; remove it")
            if one.start > now + _FAR:
                item.warn("this begins more than a year from now; correct the year, or wait")


def feasible(
    target: Decimal, window: Window, policy: AlertPolicy, at: Reader, doubts_at: Reader
) -> bool:
    """Whether alerts of this budget can fire in time; what is scaled for that is a warning."""
    try:
        slo.tiers(target, window.length, policy)
    except ValueError as error:
        at.problem(str(error))
        return False
    for doubt in slo.reservations(target, window.length, policy):
        if doubts_at is not at:  # what the file did not choose itself is no doubt about the file
            doubts_at.warn(doubt)
    return True


def fixed_by(objective: BudgetObjective, labels: Mapping[str, str], reader: Reader | None) -> None:
    """Warn of ``by`` labels of which a matcher leaves one value only."""
    fixed = [label for label in objective.by if label in labels]
    for item in reader.items() if reader is not None and fixed else ():
        for label in filter(item.is_word, fixed):
            item.warn(
                f"only {label}={labels[label]!r} is selected; remove the label, or the matcher"
            )


def _exclusion(reader: Reader) -> Exclusion | None:
    fields = reader.fields(("from", "to", "reason"), ("from", "to", "reason"))
    start = fields["from"].parse(q.instant) if "from" in fields else None
    end = fields["to"].parse(q.instant) if "to" in fields else None
    reason = fields["reason"].parse(q.printable) if "reason" in fields else None
    if start is None or end is None or reason is None:
        return None
    if end <= start:
        fields["to"].problem("this is not after `from`; swap the two")
        return None
    return Exclusion(start, end, reason)
