"""OpenSLO's alert policies as named policies of an SLA file."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from otelkit import names, slo
from otelkit.migrate.draft import Names, Policy, identifier, number, yes_or_no
from otelkit.migrate.foreign import Fields
from otelkit.migrate.objects import Object, Objects
from otelkit.migrate.period import Period, hours, shorthand
from otelkit.spec.reader import Reader

WINDOWS: Final = {"1h": 1, "6h": 6, "1d": 24, "3d": 72}
"""The long windows that alerts of an SLA file may look back over, in hours."""
_PAGES: Final = ("page", "critical", "high", "fatal", "emergency", "sev1", "p1")


@dataclass(slots=True)
class Alerting:
    """What the alert policies of one SLO come to."""

    names: list[str] = field(default_factory=list)
    page: list[str] = field(default_factory=list)
    ticket: list[str] = field(default_factory=list)
    receivers: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    """A policy says that it alerts on nothing."""

    def add(self, severity: str, condition: str) -> None:
        conditions = self.page if severity == names.SEVERITY_PAGE else self.ticket
        if condition not in conditions:
            conditions.append(condition)


@dataclass(slots=True)
class Policies:
    """The named policies of the SLA file; equal ones of one name are the same."""

    objects: Objects
    named: dict[str, Policy] = field(default_factory=dict)
    _names: Names = field(init=False)

    def __post_init__(self) -> None:
        self._names = Names(self.objects.book, {"default"})

    def of(self, items: list[Reader], period: Period) -> tuple[str | None, dict[str, str]]:
        """The policy of an SLO with these ``alertPolicies``, and its receivers by severity."""
        found = Alerting()
        for item in items:
            policy = self.objects.inline_or_named("AlertPolicy", "alertPolicyRef", item)
            if policy is not None:
                _read(policy, found, period, self.objects)
        if not (found.page or found.ticket or found.silent):
            return None, found.receivers
        wanted = Policy(tuple(found.page), tuple(found.ticket))
        called = "-".join(found.names)
        for name, known in self.named.items():
            if known == wanted and name.startswith(identifier(called)):
                return name, found.receivers
        name = self._names.give(called, items[0])
        self.named[name] = wanted
        return name, found.receivers


def _read(policy: Object, found: Alerting, period: Period, objects: Objects) -> None:
    spec = policy.spec
    policy.metadata.close()
    spec.drop("description", "an SLA file's policies have none; left out")
    spec.drop("alertWhenResolved", "Alertmanager tells when an alert has resolved; left out")
    spec.drop("alertWhenNoData", f"{names.ALERT_OBJECTIVE_NO_DATA} alerts always; left out")
    breaching = spec.take("alertWhenBreaching")
    alerts = breaching is None or breaching.parse(yes_or_no) is not False
    if not alerts:
        found.silent = True
    severities = []
    for item in spec.items("conditions"):
        condition = objects.inline_or_named("AlertCondition", "conditionRef", item)
        severity = _condition(condition, found, period) if condition and alerts else None
        severities += [severity] if severity else []
    for target in _targets(spec, objects):
        for severity in severities:
            found.receivers.setdefault(severity, target)
    spec.close()
    found.names.append(policy.name or "policy")


def _targets(spec: Fields, objects: Objects) -> list[str]:
    found = []
    for item in spec.items("notificationTargets"):
        fields = Fields(item, objects.book)
        named = fields.take("targetRef")
        name = named.text() if named else fields.fields("metadata").text("name")
        if named is None:
            fields.drop("spec", "Alertmanager's receiver says how to notify; left out")
        fields.ignore("kind")
        fields.close()
        if name is None:
            continue
        found.append(name)
        target = objects.optional("AlertNotificationTarget", name)
        if target is not None:
            target.spec.close()
            target.metadata.close()
    return found


def _condition(condition: Object, found: Alerting, period: Period) -> str | None:
    """Adds a condition; its severity, or None where it cannot be said."""
    book, spec = condition.book, condition.spec
    condition.metadata.close()
    spec.drop("description", "an SLA file's policies have none; left out")
    given = spec.need("severity")
    burn = spec.fields("condition")
    spec.close()
    kind = burn.text("kind")
    if kind is not None and kind.lower() != "burnrate":
        burn.rest()
        book.note(burn.at, f"otelkit alerts on burn rates, not on {kind!r}; left out")
        return None
    operator = burn.text("op")
    if operator in ("lt", "lte"):
        book.note(burn.at, f"a budget burns upward: {operator} is taken for gte")
    threshold, back = burn.need("threshold"), burn.need("lookbackWindow")
    burn.drop("alertAfter", "a short window of its own tells whether it still burns; left out")
    burn.close()
    factor = threshold.parse(number) if threshold else None
    length = back.parse(shorthand) if back else None
    if factor is None or length is None or given is None or back is None or threshold is None:
        return None
    if factor <= 0:
        threshold.problem("a burn rate is above 0; write one such as 14.4")
        return None
    severity = _severity(given, condition)
    window = _nearest(hours(length))
    if WINDOWS[window] != hours(length):
        book.note(back, f"alerts look back over {', '.join(WINDOWS)}; it is {window}, as steep")
    share = factor * WINDOWS[window] * 100 / (period.days * 24)
    found.add(severity, f"{slo.plain(Decimal(f'{share:.6g}'))}% in {window}")
    return severity


def _severity(given: Reader, condition: Object) -> str:
    word = (given.text() or "").lower()
    if word in (names.SEVERITY_PAGE, names.SEVERITY_TICKET):
        return word
    severity = names.SEVERITY_PAGE if word in _PAGES else names.SEVERITY_TICKET
    condition.book.note(given, f"otelkit has page and ticket; it is a {severity} there")
    return severity


def _nearest(back: Decimal) -> str:
    return min(WINDOWS, key=lambda name: abs(math.log(WINDOWS[name] / float(back))))
