"""``otelkit backtest``: which alerts would have fired."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from otelkit import spec
from otelkit.cli.firings import compared, firing, subject, table
from otelkit.cli.moment import moment, said
from otelkit.cli.output import (
    UNKNOWN,
    Json,
    SlaFile,
    Stop,
    console,
    note,
    plural,
    print_json,
    progress,
)
from otelkit.cli.server import Address, Token
from otelkit.errors import ConfigError

if TYPE_CHECKING:
    from otelkit.model import Sla
    from otelkit.verify.backtest import Backtest, Measured, Outcome
    from otelkit.verify.firing import Pair
    from otelkit.verify.replay import Rule

EXAMPLE: Final = "Example: otelkit backtest sla.yaml --prometheus http://prometheus:9090 --from -7d"
_FINEST: Final = timedelta(seconds=10)
_COARSEST: Final = timedelta(minutes=5)
_SHORT: Final = timedelta(hours=2)
"""By so much the history may be short before that is worth a word."""


def _step(text: str) -> timedelta:
    from otelkit.spec.quantities import duration

    try:
        found = duration(text)
    except ValueError:
        found = timedelta(0)
    if not _FINEST <= found <= _COARSEST:
        raise typer.BadParameter(f"{text!r} is no step; write one from 10s to 5m, such as 1m")
    return found


From = Annotated[
    str, typer.Option("--from", metavar="TIME", help="When to begin: an ISO time (UTC), or -7d.")
]
To = Annotated[str, typer.Option("--to", metavar="TIME", help="When to end: the same, or now.")]
Step = Annotated[
    timedelta,
    typer.Option(
        "--step", metavar="DURATION", parser=_step, help="The evaluation interval of the rules."
    ),
]
Against = Annotated[
    Path | None,
    typer.Option("--against", metavar="OLD_SLA", help="Also the alerts of this SLA file."),
]


def backtest(
    sla: SlaFile,
    prometheus: Address,
    begin: From = "-7d",
    to: To = "now",
    step: Step = "1m",  # type: ignore[assignment]  # the parser makes it a timedelta
    against: Against = None,
    objective: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this objective; may be repeated.")
    ] = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Say which alerts would have fired, had the rules been there.

    The rules are replayed over the raw data that Prometheus has stored, from a budget's period
    before the time asked for; `for:` is respected. They are worked out in a Prometheus of our own,
    which is gone afterwards. Nothing is written to the one that is asked. RulesNotEvaluating is
    left out, since it is about the evaluation itself. Exit 3 where an objective of either
    file had no data.
    """
    from otelkit.verify.backtest import Backtest
    from otelkit.verify.firing import Pair

    start, end = _between(begin, to)
    paths = (sla,) if against is None else (sla, against)
    files = [spec.load(path) for path in paths]
    _refuse_unknown(objective or (), files[0], sla)
    tests = [Backtest(list(_rules(one, objective)), start, end, step) for one in files]
    outcomes = _run(tests, prometheus, token, quiet=as_json)
    new, old = outcomes[0], outcomes[1] if against else None
    pairs = _pairs(files, old, new) if old else [Pair(None, one) for one in new.firings]
    if as_json:
        answer = _answer(sla, start, end, new)
        if old:
            answer |= {"against": str(against), "against_objectives": _measured(old)}
            answer |= {"pairs": compared(pairs)}
        print_json(answer)
    else:
        if pairs:
            console().print(table(pairs, _of_the_file(files), versus=old is not None))
        count = plural(len(new.firings), "firing")
        versus = _versus(pairs) if old else ""
        note(f"{sla}: {count} from {said(start)} to {said(end)}{versus}")
        for sentence in _reserves(paths, outcomes):
            note(sentence)
    if not all(one.within for outcome in outcomes for one in outcome.measured):
        raise Stop(UNKNOWN)


def _between(begin: str, to: str) -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    start, end = moment(begin, now), moment(to, now)
    if end > now:
        raise ConfigError(f"--to {to} lies ahead of us; nothing is stored of it")
    if start >= end:
        raise ConfigError(f"--from {begin} is not before --to {to}; nothing lies between them")
    return start, end


def _refuse_unknown(wanted: Sequence[str], sla: Sla, path: Path) -> None:
    """Only the new file has to know them: what an old one does not have was silent then."""
    known = sorted(objective.name for objective in sla.objectives)
    for name in wanted:
        if name not in known:
            raise ConfigError(
                f"no objective is called {name!r} in {path}; there are {', '.join(known)}"
            )


# --- the rules, and the replay -------------------------------------------------------------


def _rules(sla: Sla, only: Sequence[str] | None) -> Iterator[Rule]:
    from otelkit import names
    from otelkit.generate.files import rule_files
    from otelkit.generate.rule import Alert
    from otelkit.spec.quantities import duration
    from otelkit.verify.replay import Rule

    for rule in (rule for file in rule_files(sla) for rule in file.group.rules):
        if only and rule.labels.get("objective") not in only:
            continue
        if not isinstance(rule, Alert):
            yield Rule(rule.record, rule.expr, rule.labels)
        elif rule.alert != names.ALERT_RULES_NOT_EVALUATING:
            hold = duration(rule.hold) if rule.hold else timedelta(0)
            yield Rule(rule.alert, rule.expr, rule.labels, alert=True, hold=hold)


def _run(
    tests: Sequence[Backtest], address: str, token: str | None, *, quiet: bool
) -> list[Outcome]:
    from otelkit.verify.prometheus import Prometheus
    from otelkit.verify.scratch import find, scratch

    program = find()
    signal.signal(signal.SIGTERM, _end)
    with (
        Prometheus(address, token) as live,
        progress("replaying", sum(test.pieces for test in tests), quiet=quiet) as done,
    ):
        live.query("vector(1)")  # before anything is started, that it answers at all
        found = []
        for test in tests:
            with scratch(program, test.span) as own:
                found.append(test.run(live, own, done))
        return found


def _end(number: int, _frame: object) -> None:
    """Like Ctrl-C: the Prometheus of our own must not be left behind."""
    raise SystemExit(128 + number)


# --- the answer ---------------------------------------------------------------------------


def _answer(sla: Path, start: datetime, end: datetime, found: Outcome) -> dict[str, Any]:
    return {
        "file": str(sla),
        "from": start.isoformat(),
        "to": end.isoformat(),
        "firings": [firing(one) for one in found.firings],
        "objectives": _measured(found),
    }


def _measured(found: Outcome) -> list[dict[str, Any]]:
    return [
        {
            "objective": one.labels["objective"],
            "environment": one.labels["environment"],
            "data": one.within,
            "history_from": one.first and one.first.isoformat(),
            "history_wanted_from": one.wanted.isoformat(),
        }
        for one in found.measured
    ]


def _pairs(files: Sequence[Sla], old: Outcome, new: Outcome) -> list[Pair]:
    """Firings of both files; what a file says of owners and the like tells none apart."""
    from otelkit.verify.firing import paired

    return paired(old.firings, new.firings, _of_the_file(files))


def _of_the_file(files: Sequence[Sla]) -> set[str]:
    """Labels that every alert of a file has."""
    return {"system", "owner"}.union(*(sla.labels for sla in files))


def _versus(pairs: Sequence[Pair]) -> str:
    only_new = sum(pair.old is None for pair in pairs)
    only_old = sum(pair.new is None for pair in pairs)
    return f"; {only_new} of them only by it, and {only_old} only by the old file"


def _reserves(paths: Sequence[Path], outcomes: Sequence[Outcome]) -> Iterator[str]:
    """What keeps the answer from being the whole truth; of an old file only what is its own."""
    new = [sentence for one in outcomes[0].measured for sentence in _reserve(one)]
    yield from new
    for path, outcome in zip(paths[1:], outcomes[1:], strict=True):
        old = (sentence for one in outcome.measured for sentence in _reserve(one))
        yield from (f"{path}: {sentence}" for sentence in old if sentence not in new)


def _reserve(one: Measured) -> Iterator[str]:
    name = subject(one.labels)
    if not one.within:
        yield (
            f"{name}: no data in this time, so that its silence means nothing; "
            "ask `otelkit check --prometheus` what is missing"
        )
    elif one.first and one.first - one.wanted > _SHORT:
        yield (
            f"{name}: data only from {said(one.first)}; its budget would look back to "
            f"{said(one.wanted)}, and is reckoned from less"
        )
