"""What objectives are about: owners, services, processes, queues, and the file's links."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from otelkit import names
from otelkit.model import HttpMetrics, Links, Owner, Process, Queue, Release, Service
from otelkit.spec import quantities as q
from otelkit.spec.reader import Reader, Table, read_each

OTELKIT_HTTP: Final = HttpMetrics(
    duration=names.HTTP_SERVER_DURATION.name,
    status="http_response_status_code",
    route="http_route",
)
_DEFAULT_OWNER: Final = Owner("default", "default", "default")
_DEFAULT_TIER: Final = "standard"
_METRIC: Final = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")


def links(reader: Reader) -> Links:
    fields = reader.fields(("grafana", "runbook"))
    found = {name: value.parse(q.url) for name, value in fields.items()}
    return Links(grafana=found.get("grafana"), runbook=found.get("runbook"))


def release(reader: Reader) -> Release | None:
    """The release policy."""
    fields = reader.fields(("freeze_below",), ("freeze_below",))
    share = fields["freeze_below"].parse(q.share) if "freeze_below" in fields else None
    return None if share is None else Release(share)


def labels(reader: Reader) -> dict[str, str]:
    pairs = {k.name: v.parse(q.printable) for k, v in reader.entries() if k.check(q.label_name)}
    return {name: value for name, value in pairs.items() if value is not None}


def owners(reader: Reader | None) -> Table[Owner]:
    """The owners of the file; one called ``default`` where it names none."""
    if reader is None:
        return Table({_DEFAULT_OWNER.name: _DEFAULT_OWNER}, (_DEFAULT_OWNER.name,))
    return read_each(reader, q.identifier, _owner)


def _owner(name: str, reader: Reader) -> Owner | None:
    fields = reader.fields((names.SEVERITY_PAGE, names.SEVERITY_TICKET), (names.SEVERITY_PAGE,))
    found = {severity: value.parse(q.printable) for severity, value in fields.items()}
    page = found.get(names.SEVERITY_PAGE)
    if page is None:
        return None
    return Owner(name, page, found.get(names.SEVERITY_TICKET) or page)


def owner_of(fields: Mapping[str, Reader], owners: Table[Owner], at: Reader) -> str | None:
    """The owner that a part names, or the only one there is."""
    if "owner" in fields:
        return fields["owner"].choice(owners.declared, "owner")
    if len(owners.declared) == 1:
        return owners.declared[0]
    if owners.declared:
        at.problem(f"nobody owns this; add `owner:` with one of {', '.join(owners.declared)}")
    return None


def services(reader: Reader, owners: Table[Owner]) -> Table[Service]:
    return read_each(reader, q.printable, lambda name, at: _service(name, at, owners))


def _service(name: str, reader: Reader, owners: Table[Owner]) -> Service | None:
    fields = reader.fields(("owner", "match", "http"))
    owner = owner_of(fields, owners, reader)
    labels = match(fields["match"]) if "match" in fields else {"job": name}
    http = _http(fields["http"]) if "http" in fields else OTELKIT_HTTP
    if owner is None:
        return None
    return Service(name, owner, labels, http, foreign="http" in fields)


def match(reader: Reader) -> dict[str, str]:
    """Labels that select series, by name."""
    pairs = {k.name: v.parse(q.printable) for k, v in reader.entries() if k.check(_any_label)}
    if reader.is_mapping and not pairs:
        reader.problem("nothing is selected; write labels such as job: crm")
    return {name: value for name, value in pairs.items() if value is not None}


def _any_label(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        raise ValueError(f"{text!r} is no label name; write letters, digits and _ only")
    return text


def _http(reader: Reader) -> HttpMetrics:
    fields = reader.fields(("duration", "status", "route"))
    duration = fields["duration"].parse(_metric) if "duration" in fields else None
    status = fields["status"].parse(_any_label) if "status" in fields else None
    route = fields["route"].parse(_any_label) if "route" in fields else None
    return HttpMetrics(
        duration or OTELKIT_HTTP.duration,
        status or OTELKIT_HTTP.status,
        route or OTELKIT_HTTP.route,
    )


def _metric(text: str) -> str:
    if not _METRIC.fullmatch(text):
        raise ValueError(f"{text!r} is no metric name; write letters, digits, _ and :")
    for ending in ("_bucket", "_count", "_sum"):
        if text.endswith(ending):
            raise ValueError(f"write the histogram's name without {ending}")
    return text


def queues(reader: Reader, owners: Table[Owner]) -> Table[Queue]:
    return read_each(reader, q.printable, lambda name, at: _queue(name, at, owners))


def _queue(name: str, reader: Reader, owners: Table[Owner]) -> Queue | None:
    owner = owner_of(reader.fields(("owner",)), owners, reader)
    return None if owner is None else Queue(name, owner)


def processes(reader: Reader, owners: Table[Owner]) -> Table[Process]:
    return read_each(reader, q.identifier, lambda name, at: _process(name, at, owners))


def _process(name: str, reader: Reader, owners: Table[Owner]) -> Process | None:
    keys = ("owner", "stages", "optional", "done", "cancelled", "paused", "reset", "tiers")
    fields = reader.fields(keys, ("stages", "done"))
    owner = owner_of(fields, owners, reader)
    seen: set[str] = set()
    statuses = {
        kind: _names(fields[kind], seen) if kind in fields else ()
        for kind in ("stages", "done", "cancelled", "paused", "reset")
    }
    tiers = _names(fields["tiers"], set()) if "tiers" in fields else (_DEFAULT_TIER,)
    for kind in ("stages", "done", "tiers"):
        if kind in fields and fields[kind].is_list and not (statuses | {"tiers": tiers})[kind]:
            fields[kind].problem("the list is empty; write at least one name")
    optional = _optional(fields["optional"], statuses["stages"]) if "optional" in fields else set()
    if owner is None or not statuses["stages"] or not statuses["done"] or not tiers:
        return None
    return Process(
        name, owner, statuses["stages"], frozenset(optional), statuses["done"],
        statuses["cancelled"], statuses["paused"], statuses["reset"], tiers,
    )  # fmt: skip


def _optional(reader: Reader, stages: Iterable[str]) -> set[str]:
    named = (item.choice(stages, "stage") for item in reader.items())
    return {stage for stage in named if stage is not None}


def _names(reader: Reader, seen: set[str]) -> tuple[str, ...]:
    """The names of a list, each new to ``seen``."""
    found = []
    for item in reader.items():
        name = item.parse(q.identifier)
        if name is None:
            continue
        if name in seen:
            item.problem(f"{name!r} stands here a second time; a name means one thing")
            continue
        seen.add(name)
        found.append(name)
    return tuple(found)
