"""Firings as ``otelkit backtest`` tells them: a table for people, objects for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from otelkit.cli.moment import said

if TYPE_CHECKING:
    from rich.table import Table

    from otelkit.verify.firing import Firing, Pair


def firing(one: Firing | None) -> dict[str, Any] | None:
    """For programs; null where there is none."""
    if one is None:
        return None
    return {
        "alert": one.alert,
        "labels": dict(one.labels),
        "from": datetime.fromtimestamp(one.since, UTC).isoformat(),
        "to": datetime.fromtimestamp(one.until, UTC).isoformat(),
        "seconds": one.until - one.since,
        "began_before": one.before,
        "still_firing": one.still,
    }


def compared(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """Firings of two files side by side, for programs."""
    return [{"old": firing(pair.old), "new": firing(pair.new)} for pair in pairs]


def subject(labels: Mapping[str, str]) -> str:
    """The objective that labels are of, with its environment where the file names one."""
    from otelkit import names

    environment = labels["environment"]
    environment = "" if environment == names.DEFAULT_ENVIRONMENT else environment
    return ".".join(filter(None, [environment, labels.get("objective")]))


def table(pairs: Sequence[Pair], ignored: set[str], *, versus: bool) -> Table:
    """A row for each firing; labels that are ignored are told of none."""
    from rich.table import Column, Table

    found = Table("severity", "alert", Column("of", overflow="fold"), "from (UTC)", "for")
    if versus:
        found.add_column("by the old file", overflow="fold")
    for pair in pairs:
        if (one := pair.new or pair.old) is None:
            continue
        when = [_since(one), _length(one)] if pair.new else ["silent", ""]
        old = [_versus_old(pair)] if versus else []
        of = " ".join((subject(one.labels), *_others(one, ignored))).strip()
        found.add_row(one.labels.get("severity", ""), one.alert, of, *when, *old)
    return found


def _others(one: Firing, ignored: set[str]) -> Iterator[str]:
    """The labels that tell it from others of its objective: those of `by`, a stage, a queue."""
    known = {"environment", "objective", "severity"} | ignored
    yield from (f"{k}={v}" for k, v in one.labels.items() if k not in known)


def _since(one: Firing) -> str:
    return ("before " if one.before else "") + said(one.since)[:-1]


def _length(one: Firing) -> str:
    return ("over " if one.before or one.still else "") + _spoken(one.until - one.since)


def _spoken(seconds: float) -> str:
    from otelkit.slo import spoken

    return spoken(round(seconds / 60)) if seconds >= 60 else f"{seconds:.0f}s"


def _versus_old(pair: Pair) -> str:
    old, new = pair.old, pair.new
    if old is None or new is None:
        return "silent" if old is None else f"{_since(old)} for {_length(old)}"
    later, longer = old.since - new.since, (old.until - old.since) - (new.until - new.since)
    parts = [
        f"{_spoken(abs(by))} {word[by > 0]}"
        for by, word in ((later, ("earlier", "later")), (longer, ("shorter", "longer")))
        if by
    ]
    return ", ".join(parts) or "the same"
