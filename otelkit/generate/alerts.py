"""The alerts of objectives: a budget that burns, orders that are late, letters that are dead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from otelkit import names, slo
from otelkit.generate import risk
from otelkit.generate.annotations import alert_annotations, listing
from otelkit.generate.budget import OUTAGE_WINDOW, increase_over, tiers_of
from otelkit.generate.rule import Alert, matchers
from otelkit.generate.scope import collected, identity, severity_of
from otelkit.model import BudgetObjective, Clock, NewBreaches, Objective, QueueLimit, Sla

_HALF_EVENT = Decimal("0.5")
"""increase() extrapolates: one event reads as 1.1 or so. Gates stand half an event lower."""
_SEVERITIES = (names.SEVERITY_PAGE, names.SEVERITY_TICKET)


def labels_of(sla: Sla, objective: Objective, severity: str) -> dict[str, str]:
    """The labels that an alert of this objective carries, and no others but those of ``by``."""
    return {
        **identity(sla, objective.name),
        "severity": severity_of(sla, severity),
        "owner": objective.owner,
        **sla.labels,
    }


def alerts(sla: Sla, objective: Objective) -> Iterator[Alert]:
    """The alerts of an objective, by its kind."""
    if isinstance(objective, QueueLimit):
        yield from _dead_letters(sla, objective)
    if isinstance(objective, Clock):
        yield from _overdue(sla, objective)
        if objective.at_risk is not None:
            yield _at_risk(sla, objective)
    if isinstance(objective, BudgetObjective):
        yield from _burn(sla, objective)


def _merged(sla: Sla, severities: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """The severities of an alert in this environment, each with those of the file that it takes.

    Where a page is a ticket, one alert says both: two with the same labels would be one anyway.
    """
    found: dict[str, tuple[str, ...]] = {}
    for severity in severities:
        here = severity_of(sla, severity)
        found[here] = (*found.get(here, ()), severity)
    return found


# --- budgets -------------------------------------------------------------------------------


def _burn(sla: Sla, objective: BudgetObjective) -> Iterator[Alert]:
    tiers = tiers_of(objective)
    own = matchers(identity(sla, objective.name))
    on = [severity for severity in _SEVERITIES if slo.of_severity(tiers, severity)]
    each = "".join(f" {name} {{{{ $labels.{name} }}}}" for name in objective.by)
    for severity, taken in _merged(sla, on).items():
        chosen = tuple(tier for tier in tiers if tier.severity in taken)
        clauses = [_tier_clause(objective, tier, own) for tier in chosen]
        if names.SEVERITY_PAGE in taken:
            clauses.append(_outage_clause(objective, own))
        yield Alert(
            names.ALERT_ERROR_BUDGET_BURN,
            "\nor\n".join(clauses),
            labels_of(sla, objective, severity),
            alert_annotations(
                sla,
                names.ALERT_ERROR_BUDGET_BURN,
                dashboard=names.DASHBOARD_OVERVIEW,
                variables={"objective": objective.name},
                summary=f"{objective.name}{each} is burning its error budget",
                description=_burn_description(objective, own),
            ),
            f"{objective.name}: {_burn_comment(objective, chosen, severity, taken)}",
        )


def _tier_clause(objective: BudgetObjective, tier: slo.Tier, own: str) -> str:
    def bad(window: str) -> str:
        return f"{names.BAD}{window}{own}"

    def total(window: str) -> str:
        return f"{names.TOTAL}{window}{own}"

    budget = f"{names.BUDGET_EVENTS}{own}"
    share, factor = slo.plain(tier.share), slo.plain(tier.factor)
    error = slo.plain(1 - objective.target)
    least = slo.plain(objective.policy.min_bad_events - _HALF_EVENT)
    burn = names.BURN_RATE + matchers_with_window(own, tier.short)

    def spent(line: str) -> str:
        windows = dict.fromkeys((tier.inner, tier.long))
        either = " or ".join(f"{bad(window)} > {line}" for window in windows)
        return f"({either})" if len(windows) > 1 else either

    return (
        "(\n"
        f"  {spent(f'{share} * {budget}')}\n"
        f"  and {spent(least)}\n"
        f"  and {bad(tier.long)} > {error} * {total(tier.long)}\n"
        "  and ignoring (window) (\n"
        f"    {bad(tier.short)} > {share} / 12 * {budget}\n"
        f"    or last_over_time({burn}[59m59s]) > {factor}\n"
        "  )\n"
        ")"
    )


def matchers_with_window(own: str, window: str) -> str:
    """The matchers of one recorded burn rate."""
    return f'{own[:-1]},window="{window}"}}'


def _outage_events(objective: BudgetObjective) -> int:
    return max(slo.OUTAGE_BAD_EVENTS, objective.policy.min_bad_events)


def _outage_clause(objective: BudgetObjective, own: str) -> str:
    least = slo.plain(_outage_events(objective) - _HALF_EVENT)
    bad, total = f"{names.BAD}{OUTAGE_WINDOW}{own}", f"{names.TOTAL}{OUTAGE_WINDOW}{own}"
    return f"({bad} > {least} and {bad} > {slo.plain(slo.OUTAGE_SHARE)} * {total})"


def _burn_comment(
    objective: BudgetObjective, tiers: tuple[slo.Tier, ...], severity: str, taken: Sequence[str]
) -> str:
    parts = [f"{slo.percent(tier.share)} of the budget within {tier.long}" for tier in tiers]
    if names.SEVERITY_PAGE in taken:
        parts.append(
            f"{_outage_events(objective)} events and {slo.percent(slo.OUTAGE_SHARE)} bad within "
            f"{OUTAGE_WINDOW}"
        )
    return f"{severity} on " + ", or ".join(parts) + "."


def _burn_description(objective: BudgetObjective, own: str) -> str:
    left = f"{names.ERROR_BUDGET_REMAINING}{own}"
    rate = f"{names.BURN_RATE}{matchers_with_window(own, '1h')}"
    window = objective.window
    over = f"a {window.calendar}" if window.calendar else slo.promql_duration(window.length)
    return (
        f"{slo.percent(objective.target)} over {over} has to be good. Burn rate over 1h: "
        f"{listing(rate, '{{ .Value | humanize }}', objective.by)}. Budget left: "
        f"{listing(left, '{{ .Value | humanizePercentage }}', objective.by)}."
    )


# --- orders --------------------------------------------------------------------------------


def _overdue(sla: Sla, clock: Clock) -> Iterator[Alert]:
    own = matchers(identity(sla, clock.name))
    late = names.ORDER_OVERDUE_DEADLINE.name + matchers({**collected(sla), "objective": clock.name})
    # The first of the list that the collector's API gives, in its order.
    longest = f"bottomk({names.NAMED_A_STAGE}, min by (order_id, stage) ({late}))"
    for severity, taken in _merged(sla, tuple(clock.overdue)).items():
        thresholds = [clock.overdue[one] for one in taken]
        spans = " or ".join(dict.fromkeys(slo.promql_duration(t.within) for t in thresholds))
        said = ", or ".join(
            f"{t.count} new breaches within {slo.promql_duration(t.within)}" for t in thresholds
        )
        yield Alert(
            names.ALERT_ORDERS_OVERDUE,
            "\nor ".join(_new_breaches(own, threshold) for threshold in thresholds),
            labels_of(sla, clock, severity),
            alert_annotations(
                sla,
                names.ALERT_ORDERS_OVERDUE,
                dashboard=names.DASHBOARD_FLOW,
                variables={"process": clock.process.name},
                summary=f"Orders newly overdue on {clock.name}",
                description=(
                    "{{ $value | printf \"%.0f\" }} new within " + spans + ". Longest overdue: "
                    + listing(longest, "{{ .Labels.order_id }} in {{ .Labels.stage }}") + "."
                ),
            ),
            f"{clock.name}: {severity} on {said}.",
        )  # fmt: skip


def _new_breaches(own: str, threshold: NewBreaches) -> str:
    recorded = f"{names.BAD}5m{own}"
    over = increase_over(recorded, threshold.within)
    least = slo.plain(threshold.count - _HALF_EVENT)
    # The mean over the window lags by the five minutes that it averages, the first clause not.
    return f"{recorded} > {least}\nor {over} > {least}"


def _at_risk(sla: Sla, clock: Clock) -> Alert:
    metric = names.ORDERS_AT_RISK.name + matchers({**collected(sla), "objective": clock.name})
    return Alert(
        names.ALERT_ORDERS_AT_RISK,
        f"sum by (stage) ({metric}) > 0",
        labels_of(sla, clock, names.SEVERITY_TICKET),
        alert_annotations(
            sla,
            names.ALERT_ORDERS_AT_RISK,
            dashboard=names.DASHBOARD_FLOW,
            variables={"process": clock.process.name},
            summary=f"Orders at risk of missing {clock.name}",
            description=(
                "{{ $value | printf \"%.0f\" }} in {{ $labels.stage }} "
                f"{risk.of_orders(clock)}."
            ),
        ),
        f"{clock.name}: ticket while an order {risk.of_an_order(clock)}.",
    )  # fmt: skip


# --- dead letters --------------------------------------------------------------------------


def _dead_letters(sla: Sla, limit: QueueLimit) -> Iterator[Alert]:
    limits = tuple(_limits(sla, limit))
    for severity, taken in _merged(sla, [one.severity for one in limits]).items():
        chosen = [one for one in limits if one.severity in taken]
        if len(chosen) == 1:
            said = chosen[0].sentence(f"{{{{ $value | {chosen[0].shown} }}}}")
        else:  # the value of the alert is that of whichever limit is broken: ask for both
            said = " ".join(
                one.sentence(listing(one.measured, f"{{{{ .Value | {one.shown} }}}}"))
                for one in chosen
            )
        yield _dead_letter_alert(
            sla,
            limit,
            severity,
            "\nor ".join(f"{one.measured} > {one.allowed}" for one in chosen),
            said,
            f"{severity} on {' or '.join(one.comment for one in chosen)}.",
        )


@dataclass(frozen=True, slots=True)
class _Limit:
    """One limit of a queue: what is measured, how it is shown, and what is said of it."""

    severity: str
    measured: str
    allowed: int
    shown: str
    said: str
    comment: str

    def sentence(self, value: str) -> str:
        return self.said.replace("VALUE", value)


def _limits(sla: Sla, limit: QueueLimit) -> Iterator[_Limit]:
    own = matchers({**collected(sla), "queue": limit.queue.name})
    if limit.max_messages is not None:
        yield _Limit(
            names.SEVERITY_TICKET,
            f"max by (queue) ({names.DLQ_MESSAGES.name}{own})",
            limit.max_messages,
            'printf "%.0f"',
            f"VALUE messages where {limit.max_messages} are allowed.",
            f"more than {limit.max_messages} messages",
        )
    if limit.max_age is not None:
        age = slo.promql_duration(limit.max_age)
        yield _Limit(
            names.SEVERITY_PAGE,
            f"time() - min by (queue) ({names.DLQ_OLDEST_MESSAGE.name}{own})",
            int(limit.max_age.total_seconds()),
            "humanizeDuration",
            f"The oldest message is VALUE old where {age} are allowed.",
            f"a message older than {age}: nobody has taken care of it",
        )


def _dead_letter_alert(
    sla: Sla, limit: QueueLimit, severity: str, expr: str, said: str, comment: str
) -> Alert:
    arrivals = names.DLQ_ARRIVALS.name + matchers({**collected(sla), "queue": limit.queue.name})
    each = '{{ .Value | printf "%.0f" }} from {{ .Labels.source_queue }} ({{ .Labels.reason }})'
    listed = listing(f"{arrivals} > 0", each)
    return Alert(
        names.ALERT_DEAD_LETTERS,
        expr,
        labels_of(sla, limit, severity),
        alert_annotations(
            sla,
            names.ALERT_DEAD_LETTERS,
            dashboard=names.DASHBOARD_FLOW,
            variables={},
            summary=f"Dead letters in {limit.queue.name}",
            description=f"{said} Arrived since the collector began: {listed}.",
        ),
        f"{limit.name}: {comment}",
    )
