"""``otelkit gate``: may we release?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Final

import typer

from otelkit import spec
from otelkit.cli.output import NO, UNKNOWN, Json, SlaFile, Stop, note, print_json
from otelkit.cli.server import Address, Token
from otelkit.errors import ConfigError

if TYPE_CHECKING:
    from otelkit.model import BudgetObjective, Sla
    from otelkit.verify.gate import Finding

EXAMPLE: Final = "Example: otelkit gate sla.yaml --prometheus http://prometheus:9090 && deploy"


def gate(
    sla: SlaFile,
    prometheus: Address,
    objective: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this objective; may be repeated.")
    ] = None,
    service: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only objectives of this service; may be repeated."),
    ] = None,
    environment: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this environment.")
    ] = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Say whether a release is allowed.

    Exit 0 for yes, 2 for no, 3 for unknown. No, while an objective has less of its error budget
    left than `release: {freeze_below: 10%}` of the SLA file says. A budget that is not on record,
    or whose events are no longer counted, makes the answer unknown, never yes; a value of a `by`
    label that is gone for a day has no say.
    """
    from otelkit.verify.gate import Verdict, findings, overall
    from otelkit.verify.prometheus import Prometheus

    found = spec.load(sla)
    if found.release is None:
        note(f"{sla} has no release policy; add release: {{freeze_below: 10%}}")
        raise Stop(UNKNOWN)
    limit, server = found.release.freeze_below, Prometheus(prometheus, token)
    told = [
        finding
        for one in _environments(found, environment)
        for finding in findings(one, server, limit, _chosen(one, objective, service))
    ]
    verdict = overall(told)
    if as_json:
        print_json(_answer(verdict, limit, told))
    else:
        _say(verdict, limit, told)
    if verdict is not Verdict.YES:
        raise Stop(NO if verdict is Verdict.NO else UNKNOWN)


def _environments(sla: Sla, only: str | None) -> Iterator[Sla]:
    narrowed = {one.environment.name: one for one in sla.in_environments() if one.environment}
    if only is not None and only not in narrowed:
        raise ConfigError(f"no environment is called {only!r}; name one of {', '.join(narrowed)}")
    yield from narrowed.values() if only is None else (narrowed[only],)


def _chosen(
    sla: Sla, objectives: Sequence[str] | None, services: Sequence[str] | None
) -> list[BudgetObjective]:
    """The objectives that are asked for; raises :class:`ConfigError` where that is none."""
    for name in objectives or ():
        if name not in {one.name for one in sla.budgets}:
            raise ConfigError(f"no objective with a budget is called {name!r} in the SLA file")
    found = [
        one
        for one in sla.budgets
        if (not objectives or one.name in objectives) and (not services or _of(one) in services)
    ]
    if not found:
        raise ConfigError("no objective is left; correct --objective or --service")
    return found


def _of(objective: BudgetObjective) -> str | None:
    from otelkit.model import Availability, Latency

    if isinstance(objective, (Availability, Latency)):
        return objective.service.name
    return None


def _answer(verdict: str, limit: Decimal, told: Sequence[Finding]) -> dict[str, object]:
    return {
        "release": str(verdict),
        "freeze_below": float(limit),
        "objectives": [
            {
                "objective": one.objective,
                "environment": one.environment,
                "labels": dict(one.labels),
                "budget_left": one.left,
                "verdict": str(one.verdict),
            }
            for one in told
        ],
    }


def _say(verdict: str, limit: Decimal, told: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from otelkit import slo

    colours = {"yes": "green", "no": "red", "unknown": "yellow", "gone": "dim"}
    table = Table("objective", "environment", "budget left", "release")
    for one in told:
        name = " ".join([one.objective, *(f"{k}={v}" for k, v in one.labels)])
        left = "not on record" if one.left is None else f"{one.left:.1%}"
        table.add_row(
            Text(name), Text(one.environment), left, Text(str(one.verdict), colours[one.verdict])
        )
    Console().print(table)
    said = {
        "yes": f"yes: at least {slo.percent(limit)} of every budget is left",
        "no": f"no: less than {slo.percent(limit)} of a budget is left",
        "unknown": "unknown: not every objective has a budget and fresh events on record; "
        "are the rules loaded, and the services scraped?",
    }
    note(f"release: {said[verdict]}")
