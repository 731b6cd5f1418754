"""Objectives about the requests of a service: availability and latency."""

from __future__ import annotations

from decimal import Decimal

from otelkit import names, slo
from otelkit.model import Availability, Latency
from otelkit.spec import quantities as q
from otelkit.spec.draft import Draft, fixed_by


def availability(draft: Draft) -> Availability | None:
    """Requests that are not answered with a 5xx status."""
    service = draft.service()
    budget = draft.budget(draft.fields["availability"])
    owner = draft.owner(service.owner if service else None)
    if service is None or budget is None or owner is None:
        return None
    target, window, more = budget
    found = Availability(draft.name, owner, target, window, service, **more)
    fixed_by(found, service.match, draft.fields.get("by"))
    return found


def latency(draft: Draft) -> Latency | None:
    """Requests that are answered in time."""
    service = draft.service()
    fields = draft.fields["latency"].fields(("below", "target", "native"), ("below", "target"))
    native = fields["native"].parse(q.boolean) if "native" in fields else False
    below = fields["below"].parse(q.seconds) if "below" in fields else None
    if service and below and native is False and not service.foreign and not _is_bound(below):
        fields["below"].problem(_neighbours(below))
    budget = draft.budget(fields.get("target"))
    owner = draft.owner(service.owner if service else None)
    if service is None or below is None or native is None or budget is None or owner is None:
        return None
    target, window, more = budget
    found = Latency(draft.name, owner, target, window, service, below, native, **more)
    fixed_by(found, service.match, draft.fields.get("by"))
    return found


def _is_bound(below: Decimal) -> bool:
    return float(below) in names.DURATION_BUCKETS


def _neighbours(below: Decimal) -> str:
    bounds = [Decimal(str(bound)) for bound in names.DURATION_BUCKETS]
    under = [slo.plain(bound * 1000) + "ms" for bound in bounds if bound < below]
    over = [slo.plain(bound * 1000) + "ms" for bound in bounds if bound > below]
    near = " or ".join((*under[-1:], *over[:1]))
    return f"requests are counted in buckets, and none ends at {slo.plain(below)}s; write {near}"
