"""The alerts of objectives: a budget that burns, orders that are late, letters that are dead."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from otelkit import names, slo
from otelkit.generate.annotations import alert_annotations, listing
from otelkit.generate.budget import increase_over
from otelkit.generate.rule import Alert, matchers
from otelkit.generate.sli import identity
from otelkit.model import BudgetObjective, Clock, NewBreaches, Objective, QueueLimit, Sla

_HALF_EVENT = Decimal("0.5")
"""increase() extrapolates: one event reads as 1.1 or so. Gates stand half an event lower."""


def labels_of(sla: Sla, objective: Objective, severity: str) -> dict[str, str]:
    """The labels that an alert of this objective carries."""
    return {
        **identity(sla, objective.name),
        "severity": severity,
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


# --- budgets -------------------------------------------------------------------------------


def _burn(sla: Sla, objective: BudgetObjective) -> Iterator[Alert]:
    tiers = slo.tiers(objective.target, objective.window.length)
    own = matchers(identity(sla, objective.name))
    error = slo.plain(1 - objective.target)
    for severity in (names.SEVERITY_PAGE, names.SEVERITY_TICKET):
        chosen = slo.of_severity(tiers, severity)
        clauses = [_tier_clause(tier, own, error) for tier in chosen]
        if severity == names.SEVERITY_PAGE:
            clauses.append(_outage_clause(own))
        yield Alert(
            names.ALERT_ERROR_BUDGET_BURN,
            "\nor\n".join(clauses),
            labels_of(sla, objective, severity),
            alert_annotations(
                sla,
                names.ALERT_ERROR_BUDGET_BURN,
                dashboard=names.DASHBOARD_OVERVIEW,
                variables={"objective": objective.name},
                summary=f"{objective.name} is burning its error budget",
                description=_burn_description(objective, own),
            ),
            f"{objective.name}: {_burn_comment(chosen, severity)}",
        )


def _tier_clause(tier: slo.Tier, own: str, error: str) -> str:
    def bad(window: str) -> str:
        return f"{names.BAD}{window}{own}"

    def total(window: str) -> str:
        return f"{names.TOTAL}{window}{own}"

    budget = f"{names.BUDGET_EVENTS}{own}"
    share, factor = slo.plain(tier.share), slo.plain(tier.factor)
    least = slo.plain(slo.MIN_BAD_EVENTS - _HALF_EVENT)
    burn = names.BURN_RATE + matchers_with_window(own, tier.short)
    return (
        "(\n"
        f"  ({bad(tier.inner)} > {share} * {budget} or {bad(tier.long)} > {share} * {budget})\n"
        f"  and ({bad(tier.inner)} > {least} or {bad(tier.long)} > {least})\n"
        f"  and {bad(tier.long)} > {error} * {total(tier.long)}\n"
        "  and (\n"
        f"    {bad(tier.short)} > {share} / 12 * {budget}\n"
        f"    or max without (window) (last_over_time({burn}[59m59s])) > {factor}\n"
        "  )\n"
        ")"
    )


def matchers_with_window(own: str, window: str) -> str:
    """The matchers of one recorded burn rate."""
    return f'{own[:-1]},window="{window}"}}'


def _outage_clause(own: str) -> str:
    least = slo.plain(slo.OUTAGE_BAD_EVENTS - _HALF_EVENT)
    bad, total = f"{names.BAD}30m{own}", f"{names.TOTAL}30m{own}"
    return f"({bad} > {least} and {bad} > {slo.plain(slo.OUTAGE_SHARE)} * {total})"


def _burn_comment(tiers: tuple[slo.Tier, ...], severity: str) -> str:
    parts = [f"{slo.percent(tier.share)} of the budget within {tier.long}" for tier in tiers]
    if severity == names.SEVERITY_PAGE:
        parts.append(
            f"{slo.OUTAGE_BAD_EVENTS} events and {slo.percent(slo.OUTAGE_SHARE)} bad within 30m"
        )
    return f"{severity} on " + ", or ".join(parts) + "."


def _burn_description(objective: BudgetObjective, own: str) -> str:
    left = f"{names.ERROR_BUDGET_REMAINING}{own}"
    rate = f"{names.BURN_RATE}{matchers_with_window(own, '1h')}"
    period = slo.promql_duration(objective.window.length)
    return (
        f"{slo.percent(objective.target)} over {period} has to be good. Burn rate over 1h: "
        f"{listing(rate, '{{ .Value | humanize }}')}. Budget left: "
        f"{listing(left, '{{ .Value | humanizePercentage }}')}."
    )


# --- orders --------------------------------------------------------------------------------


def _overdue(sla: Sla, clock: Clock) -> Iterator[Alert]:
    own = matchers(identity(sla, clock.name))
    late = names.ORDER_OVERDUE_DEADLINE.name + matchers(
        {"system": sla.system, "objective": clock.name}
    )
    for severity, threshold in clock.overdue.items():
        within = slo.promql_duration(threshold.within)
        yield Alert(
            names.ALERT_ORDERS_OVERDUE,
            _new_breaches(own, threshold),
            labels_of(sla, clock, severity),
            alert_annotations(
                sla,
                names.ALERT_ORDERS_OVERDUE,
                dashboard=names.DASHBOARD_FLOW,
                variables={"process": clock.process.name},
                summary=f"Orders newly overdue on {clock.name}",
                description=(
                    "{{ $value | printf \"%.0f\" }} new within " + within + ". Longest overdue: "
                    + listing(late, "{{ .Labels.order_id }} in {{ .Labels.stage }}") + "."
                ),
            ),
            f"{clock.name}: {severity} on {threshold.count} new breaches within {within}.",
        )  # fmt: skip


def _new_breaches(own: str, threshold: NewBreaches) -> str:
    recorded = f"{names.BAD}5m{own}"
    over = increase_over(recorded, threshold.within)
    least = slo.plain(threshold.count - _HALF_EVENT)
    # The mean over the window lags by the five minutes that it averages, the first clause not.
    return f"{recorded} > {least}\nor {over} > {least}"


def _at_risk(sla: Sla, clock: Clock) -> Alert:
    metric = names.ORDERS_AT_RISK.name + matchers({"system": sla.system, "objective": clock.name})
    share = slo.percent(clock.at_risk or Decimal(0))
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
                "{{ $value | printf \"%.0f\" }} in {{ $labels.stage }} have less than "
                f"{share} of their time left."
            ),
        ),
        f"{clock.name}: ticket while an order has less than {share} of its allowance left.",
    )  # fmt: skip


# --- dead letters --------------------------------------------------------------------------


def _dead_letters(sla: Sla, limit: QueueLimit) -> Iterator[Alert]:
    own = matchers({"system": sla.system, "queue": limit.queue.name})
    depth, oldest = f"{names.DLQ_MESSAGES.name}{own}", f"{names.DLQ_OLDEST_MESSAGE.name}{own}"
    if limit.max_messages is not None:
        yield _dead_letter_alert(
            sla,
            limit,
            names.SEVERITY_TICKET,
            f"max by (queue) ({depth}) > {limit.max_messages}",
            '{{ $value | printf "%.0f" }} messages where '
            f"{limit.max_messages} are allowed. Arrived since the collector began: ",
            f"ticket on more than {limit.max_messages} messages.",
        )
    if limit.max_age is not None:
        age = slo.promql_duration(limit.max_age)
        seconds = int(limit.max_age.total_seconds())
        yield _dead_letter_alert(
            sla,
            limit,
            names.SEVERITY_PAGE,
            f"time() - min by (queue) ({oldest}) > {seconds}",
            "The oldest message is {{ $value | humanizeDuration }} old where "
            f"{age} are allowed. Arrived since the collector began: ",
            f"page on a message older than {age}: nobody has taken care of it.",
        )


def _dead_letter_alert(
    sla: Sla, limit: QueueLimit, severity: str, expr: str, description: str, comment: str
) -> Alert:
    arrivals = names.DLQ_ARRIVALS.name + matchers({"system": sla.system, "queue": limit.queue.name})
    each = '{{ .Value | printf "%.0f" }} from {{ .Labels.source_queue }} ({{ .Labels.reason }})'
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
            description=description + listing(f"{arrivals} > 0", each) + ".",
        ),
        f"{limit.name}: {comment}",
    )
