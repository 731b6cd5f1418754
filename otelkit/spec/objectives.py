"""The objectives of an SLA file, by kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from otelkit import names, slo
from otelkit.model import (
    Allowance,
    Availability,
    Calendar,
    Clock,
    Latency,
    NewBreaches,
    Objective,
    Owner,
    Process,
    Queue,
    QueueLimit,
    Selectors,
    Service,
    Unit,
    Window,
)
from otelkit.spec import quantities as q
from otelkit.spec.reader import Reader, Table

DEFAULT_WINDOW: Final = Window(timedelta(days=30))
DEFAULT_OVERDUE: Final = {names.SEVERITY_TICKET: NewBreaches(1, timedelta(hours=1))}
_COMMON: Final = ("name", "owner", "window")


@dataclass(frozen=True, slots=True)
class Parts:
    """What objectives may refer to."""

    owners: Table[Owner]
    calendars: Table[Calendar]
    services: Table[Service]
    processes: Table[Process]
    queues: Table[Queue]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of objective: the key that tells it, the keys it may have and those it must have."""

    tells: str
    keys: tuple[str, ...]
    required: tuple[str, ...]
    read: Callable[[_Draft], Objective | None]


@dataclass(frozen=True, slots=True)
class _Draft:
    """An objective that is being read."""

    name: str
    fields: Mapping[str, Reader]
    at: Reader
    parts: Parts

    def owner(self, default: str | None) -> str | None:
        if "owner" in self.fields:
            return self.fields["owner"].choice(self.parts.owners.declared, "owner")
        return default

    def target(self) -> Decimal | None:
        return self.fields["target"].parse(q.target) if "target" in self.fields else None

    def window(self) -> Window | None:
        if "window" not in self.fields:
            return DEFAULT_WINDOW
        return self.fields["window"].parse(lambda text: Window(q.period(text)))


def objectives(reader: Reader, parts: Parts) -> tuple[Objective, ...]:
    """All objectives without problems; names are unique."""
    found: list[Objective] = []
    seen: set[str] = set()
    items = reader.items() if reader.is_list else []
    if not items:
        reader.problem("write a list with at least one objective")
    for item in items:
        objective = _objective(item, parts, seen)
        if objective is not None:
            found.append(objective)
    return tuple(found)


def _objective(reader: Reader, parts: Parts, seen: set[str]) -> Objective | None:
    kind = _kind_of(reader)
    if kind is None:
        return None
    fields = reader.fields((*_COMMON, *kind.keys), ("name", *kind.required))
    name = fields["name"].parse(q.identifier) if "name" in fields else None
    if name is None:
        return None
    if name in seen:
        fields["name"].problem(f"a second objective is called {name!r}; choose another name")
    if name in ("sli", "health"):
        fields["name"].problem(f"{name!r} is the name of a generated file; choose another name")
    seen.add(name)
    return kind.read(_Draft(name, fields, reader, parts))


def _kind_of(reader: Reader) -> _Kind | None:
    told = [kind for kind in _KINDS if kind.tells in reader.keys]
    if len(told) == 1:
        return told[0]
    if told:
        both = " and ".join(repr(kind.tells) for kind in told)
        reader.problem(f"{both} are two kinds of objective; write two objectives")
    elif reader.is_mapping:
        known = ", ".join(kind.tells for kind in _KINDS)
        reader.problem(f"what is measured here? Add one of the keys {known}")
    else:
        reader.problem("write an objective as a mapping, beginning with `name:`")
    return None


# --- requests ------------------------------------------------------------------------------


def _service(draft: _Draft) -> Service | None:
    if "service" not in draft.fields:
        return None
    return draft.parts.services.get_named(draft.fields["service"], "service")


def _availability(draft: _Draft) -> Availability | None:
    service, window = _service(draft), draft.window()
    target = draft.fields["availability"].parse(q.target)
    owner = draft.owner(service.owner if service else None)
    if service is None or target is None or window is None or owner is None:
        return None
    return Availability(draft.name, owner, target, window, service)


def _latency(draft: _Draft) -> Latency | None:
    service, window = _service(draft), draft.window()
    fields = draft.fields["latency"].fields(("below", "target"), ("below", "target"))
    target = fields["target"].parse(q.target) if "target" in fields else None
    below = fields["below"].parse(q.seconds) if "below" in fields else None
    if service and below and not service.foreign and not _is_bound(below):
        fields["below"].problem(_neighbours(below))
    owner = draft.owner(service.owner if service else None)
    if service is None or target is None or below is None or window is None or owner is None:
        return None
    return Latency(draft.name, owner, target, window, service, below)


def _is_bound(below: Decimal) -> bool:
    return float(below) in names.DURATION_BUCKETS


def _neighbours(below: Decimal) -> str:
    bounds = [Decimal(str(bound)) for bound in names.DURATION_BUCKETS]
    under = [slo.plain(bound * 1000) + "ms" for bound in bounds if bound < below]
    over = [slo.plain(bound * 1000) + "ms" for bound in bounds if bound > below]
    near = " or ".join((*under[-1:], *over[:1]))
    return f"requests are counted in buckets, and none ends at {slo.plain(below)}s; write {near}"


# --- any counters --------------------------------------------------------------------------


def _selectors(draft: _Draft) -> Selectors | None:
    good = draft.fields["good"].parse(_selector) if "good" in draft.fields else None
    total = draft.fields["total"].parse(_selector) if "total" in draft.fields else None
    target, window = draft.target(), draft.window()
    owners = draft.parts.owners.declared
    owner = draft.owner(owners[0] if len(owners) == 1 else None)
    if owner is None and "owner" not in draft.fields and owners:
        draft.at.problem(f"nobody owns this; add `owner:` with one of {', '.join(owners)}")
    if good is not None and good == total:
        draft.fields["good"].problem("good and total select the same; nothing could ever be bad")
        return None
    if good is None or total is None or target is None or window is None or owner is None:
        return None
    return Selectors(draft.name, owner, target, window, good, None, total)


def _selector(text: str) -> str:
    import promql_parser

    try:
        parsed = promql_parser.parse(text)
    except ValueError as error:
        raise ValueError(f"this is not PromQL: {str(error).splitlines()[0]}") from None
    if not isinstance(parsed, promql_parser.VectorSelector) or parsed.offset is not None:
        raise ValueError(
            'write a plain selector of a counter such as checkout_total{outcome="ok"}; '
            "otelkit adds increase()"
        )
    if parsed.at is not None or not parsed.name or parsed.matchers.or_matchers:
        raise ValueError("write a selector with a metric name, without @ and without `or`")
    # Not the text itself: a comment at its end would swallow the increase() around it.
    return str(parsed.prettify())


# --- orders --------------------------------------------------------------------------------


def _clock(draft: _Draft) -> Clock | None:
    fields, parts = draft.fields, draft.parts
    process = parts.processes.get_named(fields["process"], "process")
    calendar = None
    if "calendar" in fields:
        calendar = parts.calendars.get_named(fields["calendar"], "calendar")
    span = None if process is None else _span(draft, process)
    within = _within(draft, process)
    target, window = draft.target(), draft.window()
    at_risk = fields["at_risk"].parse(q.share) if "at_risk" in fields else None
    overdue = _overdue(fields["overdue"]) if "overdue" in fields else DEFAULT_OVERDUE
    owner = draft.owner(process.owner if process else None)
    if process is None or span is None or not within:
        return None
    if target is None or window is None or owner is None:
        return None
    return Clock(
        draft.name, owner, target, window, process, *span, calendar, within, at_risk, overdue
    )


def _span(draft: _Draft, process: Process) -> tuple[str, str | None] | None:
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


def _overdue(reader: Reader) -> dict[str, NewBreaches]:
    fields = reader.fields((names.SEVERITY_PAGE, names.SEVERITY_TICKET))
    found = {severity: value.parse(q.breaches) for severity, value in fields.items()}
    return {severity: threshold for severity, threshold in found.items() if threshold is not None}


def _within(draft: _Draft, process: Process | None) -> tuple[Allowance, ...]:
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
    _check_order(reader, items, found)
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
    return Allowance(*amount, tier, partner, agreement)


def _check_order(reader: Reader, items: list[Reader], found: list[Allowance]) -> None:
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


# --- dead letters --------------------------------------------------------------------------


def _queue_limit(draft: _Draft) -> QueueLimit | None:
    fields = draft.fields
    queue = draft.parts.queues.get_named(fields["queue"], "queue")
    messages = fields["max_messages"].parse(q.whole) if "max_messages" in fields else None
    age = fields["max_age"].parse(q.duration) if "max_age" in fields else None
    owner = draft.owner(queue.owner if queue else None)
    if not {"max_messages", "max_age"} & set(fields):
        draft.at.problem("nothing is limited; add `max_messages:`, `max_age:` or both")
    if queue is None or owner is None or (messages is None and age is None):
        return None
    return QueueLimit(draft.name, owner, queue, messages, age)


_KINDS: Final = (
    _Kind("availability", ("service", "availability"), ("service",), _availability),
    _Kind("latency", ("service", "latency"), ("service",), _latency),
    _Kind("good", ("good", "total", "target"), ("total", "target"), _selectors),
    _Kind(
        "process",
        ("process", "stage", "from", "to", "calendar", "within", "at_risk", "overdue", "target"),
        ("within", "target"),
        _clock,
    ),
    _Kind("queue", ("queue", "max_messages", "max_age"), (), _queue_limit),
)
