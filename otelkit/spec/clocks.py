"""Objectives about orders: a clock on a stage, or on the whole way."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Final

from otelkit import names
from otelkit.model import Allowance, Clock, Learned, NewBreaches, Process, Unit
from otelkit.spec import quantities as q
from otelkit.spec.alerting import OFF
from otelkit.spec.draft import Draft
from otelkit.spec.reader import Reader, suggestion

DEFAULT_OVERDUE: Final = {names.SEVERITY_TICKET: NewBreaches(1, timedelta(hours=1))}
SAMPLES: Final = 100
"""Clocks that have to have ended before their durations are held against others."""
_BY: Final = ("tier", "agreement")
"""Labels of the clocks' counter that may have budgets of their own."""


def clock(draft: Draft) -> Clock | None:
    """A deadline for orders."""
    fields, parts = draft.fields, draft.parts
    process = parts.processes.get_named(fields["process"], "process")
    calendar = None
    if "calendar" in fields:
        calendar = parts.calendars.get_named(fields["calendar"], "calendar")
    span = None if process is None else _span(draft, process)
    within = _within(draft, process)
    budget = draft.budget(fields.get("target"), _label)
    at_risk = _at_risk(fields["at_risk"]) if "at_risk" in fields else None
    late = overdue(fields["overdue"]) if "overdue" in fields else DEFAULT_OVERDUE
    owner = draft.owner(process.owner if process else None)
    if process is None or span is None or not within or budget is None or owner is None:
        return None
    target, window, more = budget
    return Clock(
        draft.name, owner, target, window, process, *span, calendar, within, at_risk, late, **more
    )


def _at_risk(reader: Reader) -> Decimal | Learned | None:
    """A share of the allowance that is left, or what is learned from clocks of before."""
    if not reader.is_mapping:
        return reader.parse(q.share)
    fields = reader.fields(("slower_than", "samples", "until_then"), ("slower_than",))
    slower_than = fields["slower_than"].parse(q.share) if "slower_than" in fields else None
    samples = fields["samples"].parse(q.least) if "samples" in fields else SAMPLES
    until_then = fields["until_then"].parse(q.share) if "until_then" in fields else None
    if slower_than is None or samples is None:
        return None
    return Learned(slower_than, samples, until_then)


def _label(text: str) -> str:
    if text not in _BY:
        raise ValueError(f"no label of clocks is called {text!r}{suggestion(text, _BY)}")
    return text


def _span(draft: Draft, process: Process) -> tuple[str, str | None] | None:
    """The status that starts the clock and the one that stops it."""
    fields = draft.fields
    if "stage" in fields:
        for other in ("from", "to"):
            if other in fields:
                fields[other].problem(f"a clock on a stage has no {other!r}; remove one of the two")
        stage = fields["stage"].choice(process.stages, "stage")
        return None if stage is None else (stage, None)
    if "from" not in fields or "to" not in fields:
        draft.at.problem("which time is meant? Add `stage:`, or both `from:` and `to:`")
        return None
    start = fields["from"].choice(process.stages, "stage")
    stop = fields["to"].choice((*process.stages, *process.done), "stage or end")
    if start is None or stop is None:
        return None
    if stop in process.stages and process.stages.index(stop) <= process.stages.index(start):
        fields["to"].problem(f"{stop!r} does not come after {start!r}; swap the two")
        return None
    return start, stop


def overdue(reader: Reader) -> dict[str, NewBreaches]:
    """Thresholds by severity; ``off`` is none at all."""
    if not reader.is_mapping and reader.is_word(OFF):
        return {}
    fields = reader.fields((names.SEVERITY_PAGE, names.SEVERITY_TICKET))
    found = {severity: value.parse(q.breaches) for severity, value in fields.items()}
    return {severity: threshold for severity, threshold in found.items() if threshold is not None}


def _within(draft: Draft, process: Process | None) -> tuple[Allowance, ...]:
    if "within" not in draft.fields:
        return ()
    reader, on_calendar = draft.fields["within"], "calendar" in draft.fields
    if not reader.is_list:
        only = reader.parse(lambda text: q.allowance(text, calendar=on_calendar))
        return () if only is None else (Allowance(*only),)
    found: list[Allowance] = []
    items = reader.items()
    for item in items:
        allowance = _allowance(item, process, calendar=on_calendar)
        if allowance is not None:
            found.append(allowance)
    _check_order(reader, items, found, () if process is None else process.tiers)
    return tuple(found) if len(found) == len(items) else ()


def _allowance(reader: Reader, process: Process | None, *, calendar: bool) -> Allowance | None:
    fields = reader.fields(("tier", "partner", "agreement", "allow"), ("allow",))
    amount: tuple[int, Unit] | None = None
    if "allow" in fields:
        amount = fields["allow"].parse(lambda text: q.allowance(text, calendar=calendar))
    tier = None
    if "tier" in fields and process is not None:
        tier = fields["tier"].choice(process.tiers, "tier")
    partner = fields["partner"].parse(q.printable) if "partner" in fields else None
    agreement = fields["agreement"].parse(q.identifier) if "agreement" in fields else "default"
    if amount is None or agreement is None:
        return None
    if (tier is None and "tier" in fields) or (partner is None and "partner" in fields):
        return None
    return Allowance(*amount, tier, partner, agreement)


def _check_order(
    reader: Reader, items: list[Reader], found: list[Allowance], tiers: tuple[str, ...]
) -> None:
    if len(found) != len(items):
        return
    if not found:
        reader.problem("the list is empty; write at least {allow: 5d}")
        return
    for item, allowance in zip(items[:-1], found[:-1], strict=True):
        if allowance.tier is None and allowance.partner is None:
            item.problem("this matches every order, so those below it never apply; move it down")
    if found[-1].tier is not None or found[-1].partner is not None:
        items[-1].problem(
            "orders that match nothing have no deadline; end with a plain {allow: ...}"
        )
    for place, (item, allowance) in enumerate(zip(items, found, strict=True)):
        if place < len(found) - 1 and _hidden(allowance, found[:place], tiers):
            item.warn(
                "the lines above match all of these orders, so this never applies; move it up or "
                "remove it"
            )


def _hidden(allowance: Allowance, above: list[Allowance], tiers: tuple[str, ...]) -> bool:
    """Whether every order that an allowance matches is matched before."""
    return all(
        any(a.tier in (None, tier) and a.partner in (None, allowance.partner) for a in above)
        for tier in (tiers if allowance.tier is None else (allowance.tier,))
    )
