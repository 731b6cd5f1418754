"""What a new SLA file changes for those on call, compared as models: text does not matter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from otelkit import names, slo
from otelkit.generate.differences import differences, introduced
from otelkit.generate.health import collector_owner, watches_orders
from otelkit.model import Objective, Owner, Sla

EVERYONE = "everyone"


@dataclass(frozen=True, slots=True)
class Change:
    """One sentence about an objective, or about all of an owner's where that is None."""

    environment: str
    owner: str
    objective: str | None
    text: str


def changes(old: Sla, new: Sla) -> list[Change]:
    """All that changes for anyone, in the order of the new file."""
    here = names.DEFAULT_ENVIRONMENT
    found = [Change(here, EVERYONE, None, text) for text in _overall(old, new)]
    found += [Change(here, owner, None, text) for owner, text in _receivers(old, new)]
    before, after = _environments(old), _environments(new)
    for name in dict.fromkeys((*after, *before)):
        found += _environment(name, before.get(name), after.get(name))
    return found


def _environments(sla: Sla) -> dict[str, Sla]:
    return {one.environment.name: one for one in sla.in_environments() if one.environment}


def _overall(old: Sla, new: Sla) -> Iterator[str]:
    if old.system != new.system:
        yield f"the system is called {new.system} instead of {old.system}, in every alert and name"
    for what in ("runbook", "grafana"):
        was, now = getattr(old.links, what), getattr(new.links, what)
        if was != now:
            yield f"alerts link to {now or f'no {what}'} instead of {was or f'no {what}'}"
    for label in sorted({*old.labels, *new.labels}):
        was, now = old.labels.get(label, ""), new.labels.get(label, "")
        if was != now:
            yield f"alerts carry {label}={now!r} instead of {was!r}"
    freezes = [f"below {slo.percent(s.release.freeze_below)}" if s.release else "at no share"
               for s in (new, old)]  # fmt: skip
    if old.release != new.release:
        yield f"releases stop {freezes[0]} of a budget left instead of {freezes[1]}"


def _receivers(old: Sla, new: Sla) -> Iterator[tuple[str, str]]:
    """Of owners that both files have; who owns what is told with the objectives."""
    for name, owner in new.owners.items():
        if name in old.owners and name in _owning(new):
            yield from ((name, text) for text in _moved(old.owners[name], owner))


def _owning(sla: Sla) -> set[str]:
    everywhere = chain.from_iterable(one.objectives for one in sla.in_environments())
    return {objective.owner for objective in everywhere}


def _moved(old: Owner, new: Owner) -> Iterator[str]:
    if old.page != new.page:
        yield f"pages go to {new.page} instead of {old.page}"
    if old.ticket != new.ticket:
        yield f"tickets go to {new.ticket} instead of {old.ticket}"


def _environment(name: str, old: Sla | None, new: Sla | None) -> Iterator[Change]:
    if old is None or new is None:
        text = "a new environment" if old is None else "is gone, and all its alerts"
        yield Change(name, EVERYONE, None, f"environment {name}: {text}")
    elif _page_as(old) != _page_as(new):
        text = f"pages of {name} are now {_page_as(new)}s, before {_page_as(old)}s"
        yield Change(name, EVERYONE, None, text)
    if old is not None and new is not None:
        yield from _matching(name, old, new)
        yield from _watchers(name, old, new)
    before = {} if old is None else {o.name: o for o in old.objectives}
    after = {} if new is None else {o.name: o for o in new.objectives}
    for objective in dict.fromkeys((*after, *before)):
        yield from _objective(name, (old, new), before.get(objective), after.get(objective))


def _matching(name: str, old: Sla, new: Sla) -> Iterator[Change]:
    was, now = (s.environment.match if s.environment else {} for s in (old, new))
    if was != now:
        said = [", ".join(f"{k}={v}" for k, v in m.items()) or "everything" for m in (now, was)]
        text = f"environment {name} selects {said[0]} instead of {said[1]}"
        yield Change(name, EVERYONE, None, text)


def _watchers(name: str, old: Sla, new: Sla) -> Iterator[Change]:
    """Who is paged when the collector stands still."""
    if watches_orders(old) and watches_orders(new):
        was, now = collector_owner(old), collector_owner(new)
        if was != now:
            text = f"is told of {names.ALERT_COLLECTOR_STALE} instead of {was}"
            yield Change(name, now, None, text)


def _page_as(sla: Sla) -> str:
    return sla.environment.page_as if sla.environment else names.SEVERITY_PAGE


def _objective(
    name: str, files: tuple[Sla | None, Sla | None], old: Objective | None, new: Objective | None
) -> Iterator[Change]:
    sla = files[1] or files[0]
    if new is None and old is not None:
        yield Change(name, old.owner, old.name, "is gone, and its alerts with it")
    if new is None or sla is None:
        return
    if old is None:
        page_as = _page_as(sla)
        text = introduced(new, lambda s: page_as if s == names.SEVERITY_PAGE else s)
        yield Change(name, new.owner, new.name, f"{text}, told to {new.owner}")
        return
    if old.owner != new.owner and files[0]:
        yield Change(name, new.owner, new.name, _handed_over(files[0], sla, old.owner, new.owner))
    for text in differences(old, new, _page_as(sla)):
        yield Change(name, new.owner, new.name, text)


def _handed_over(old: Sla, new: Sla, was: str, now: str) -> str:
    before, after = old.owners[was], new.owners[now]
    return (
        f"belongs to {now} instead of {was}: pages go to {after.page} instead of {before.page}, "
        f"tickets to {after.ticket} instead of {before.ticket}"
    )
