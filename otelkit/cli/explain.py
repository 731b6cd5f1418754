"""``otelkit explain``: after how many minutes who is told, and what it costs to know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from otelkit import spec
from otelkit.cli.output import Json, SlaFile, console, note, print_json
from otelkit.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from otelkit import slo
    from otelkit.generate.cost import Assumed, Cost
    from otelkit.model import Objective, Sla

EXAMPLE: Final = "Example: otelkit explain sla.yaml --events-per-minute 1200"
IMPOSSIBLE: Final = "-"


def above_zero(text: str) -> Decimal:
    """A number as a person writes it on the command line."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal(0)
    if not number.is_finite() or number <= 0:
        raise typer.BadParameter(f"{text!r} is no number above 0; write one such as 0.5 or 1200")
    return number


Events = Annotated[
    Decimal,
    typer.Option(
        "--events-per-minute",
        metavar="N",
        parser=above_zero,
        help="The steady traffic of each objective that is assumed.",
    ),
]
Series = Annotated[
    int,
    typer.Option(
        "--series",
        min=1,
        metavar="N",
        help="How many series of a service's metrics each selector is assumed to match.",
    ),
]


def explain(
    sla: SlaFile,
    objective: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this objective.")
    ] = None,
    events: Events = Decimal(60),
    series: Series = 20,
    as_json: Json = False,
) -> None:
    """Say when each alert fires and is over, and what rules cost.

    Minutes count from the first bad event of steady traffic that was good for a whole period, to
    the alert: at a full outage, and at bursts that would spend the budget 10 and 2 times too fast.
    Of alerts on silence they count from the last sample, tick or evaluation.
    """
    from otelkit.generate.cost import Assumed, costs

    assumed = Assumed(series_each=series)
    found = spec.load(sla)
    parts = [_part(found, cost, events) for cost in costs(found, assumed)]
    if objective is not None:
        parts = _only(objective, parts)
    if as_json:
        print_json({"file": str(sla), **_told(parts, events, assumed)})
    else:
        _show(parts, events, assumed)


@dataclass(frozen=True, slots=True)
class Part:
    """An objective in an environment, its alerts and its cost; or what watches all others."""

    cost: Cost
    objective: Objective | None
    alerts: tuple[slo.Expected, ...]
    events: Decimal

    @property
    def name(self) -> str:
        return self.objective.name if self.objective else "(all)"

    @property
    def allowed(self) -> int | None:
        """Failures that a period may hold."""
        from otelkit.model import BudgetObjective
        from otelkit.slo import failures_allowed

        one = self.objective
        if not isinstance(one, BudgetObjective):
            return None
        return failures_allowed(one.target, one.window.length, self.events)

    @property
    def reservations(self) -> tuple[str, ...]:
        """What of its alerting does not suit its budget."""
        from otelkit.model import BudgetObjective
        from otelkit.slo import reservations

        one = self.objective
        if not isinstance(one, BudgetObjective):
            return ()
        return reservations(one.target, one.window.length, one.policy)


def _part(sla: Sla, cost: Cost, events: Decimal) -> Part:
    from otelkit import names, slo
    from otelkit.generate.health import watches_orders

    one = next(narrow for narrow in sla.in_environments() if _name(narrow) == cost.environment)
    objective = next((o for o in one.objectives if o.name == cost.objective), None)
    page_as = one.environment.page_as if one.environment else names.SEVERITY_PAGE
    if objective is None:
        watching = slo.watching(collector=watches_orders(one), page_as=page_as)
        return Part(cost, None, tuple(watching), events)
    per_minute = slo.events_a_minute(objective, events)
    alerts = (*slo.expected(objective, per_minute, page_as), slo.no_data(objective))
    return Part(cost, objective, alerts, per_minute)


def _name(sla: Sla) -> str | None:
    return sla.environment.name if sla.environment else None


def _only(name: str, parts: Sequence[Part]) -> list[Part]:
    found = [part for part in parts if part.objective and part.name == name]
    if not found:
        known = dict.fromkeys(part.name for part in parts if part.objective)
        raise ConfigError(f"there is no objective {name!r}; there are {', '.join(known)}")
    return found


# --- for programs --------------------------------------------------------------------------


def _told(parts: Sequence[Part], events: Decimal, assumed: Assumed) -> dict[str, Any]:
    return {
        "assumed": {
            "events_per_minute": float(events),
            "series_per_selector": assumed.series_each,
            "values_per_label": assumed.values,
            "scrape_interval_seconds": int(assumed.scrape.total_seconds()),
        },
        "objectives": [_objective(part) for part in parts if part.objective],
        "watching": [
            {
                "environment": part.cost.environment,
                "alerts": [_alert(alert) for alert in part.alerts],
            }
            for part in parts
            if part.objective is None
        ],
        "series": sum(part.cost.series for part in parts),
        "samples": sum(part.cost.samples for part in parts),
    }


def _objective(part: Part) -> dict[str, Any]:
    return {
        "environment": part.cost.environment,
        "objective": part.name,
        "failures_allowed": part.allowed,
        "series": part.cost.series,
        "samples": part.cost.samples,
        "alerts": [_alert(alert) for alert in part.alerts],
        "reservations": part.reservations,
    }


def _alert(alert: slo.Expected) -> dict[str, Any]:
    """Minutes, null where the alert never comes; a burn rate that cannot be has no key."""
    forecast = alert.forecast
    return {
        "alert": alert.alert,
        "severity": alert.severity,
        "full_outage": forecast.full_outage,
        "at_burn": {str(burn): minute for burn, minute in forecast.at_burn.items()},
        "reset": forecast.reset,
    }


# --- for people ----------------------------------------------------------------------------


def _show(parts: Sequence[Part], events: Decimal, assumed: Assumed) -> None:
    environments = dict.fromkeys(part.cost.environment for part in parts)
    for name in environments:
        here = [part for part in parts if part.cost.environment == name]
        title = f"environment {name}" if len(environments) > 1 else None
        console().print(_alert_table(here, title))
        console().print(_cost_table(here, title))
    for part in parts:
        for said in part.reservations:
            print(f"{part.name}: {said}.")
    note(
        f"{assumed}; {events:f} events a minute. Windows over six hours are kept in whole hours, "
        "so what reads them may come up to 59m sooner. Alerts on silence count from the last "
        "sample, tick or evaluation."
    )


def _alert_table(parts: Sequence[Part], title: str | None) -> Table:
    """The alerts below the name of their objective: that fits into a narrow terminal."""
    from rich.table import Column, Table

    from otelkit.slo import BURNS

    headings = ("fires after", "full outage", *(f"{burn}x" for burn in BURNS), "reset after")
    table = Table(*(Column(heading, overflow="fold") for heading in headings), title=title)
    for part in (part for part in parts if part.alerts):
        table.add_section()
        table.add_row(part.name)
        for alert in part.alerts:
            table.add_row(f"  {alert.severity} {alert.alert}", *_cells(alert.forecast))
    return table


def _cells(forecast: slo.Forecast) -> tuple[str, ...]:
    from otelkit.slo import BURNS, spoken

    at_burn = (
        spoken(forecast.at_burn[burn]) if burn in forecast.at_burn else IMPOSSIBLE for burn in BURNS
    )
    return (spoken(forecast.full_outage), *at_burn, spoken(forecast.reset))


def _cost_table(parts: Sequence[Part], title: str | None) -> Table:
    from rich.table import Column, Table

    table = Table(Column("objective", overflow="fold"), title=title)
    for heading in ("failures allowed", "series written", "samples read"):
        table.add_column(heading, justify="right", overflow="fold")
    for part in parts:
        allowed = "" if part.allowed is None else f"{part.allowed:,}"
        table.add_row(part.name, allowed, f"{part.cost.series:,}", f"{part.cost.samples:,}")
    return table
