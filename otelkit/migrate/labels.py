"""Labels and annotations of other makes: what an SLA file has of them, for all of its alerts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from otelkit.migrate.draft import Objective, Owner, identifier
from otelkit.migrate.foreign import Book, Fields
from otelkit.spec import quantities as q
from otelkit.spec.document import Scalar, Sequence
from otelkit.spec.reader import Reader

_OWNERS: Final = ("owner", "team")
_RUNBOOKS: Final = ("runbook_url", "runbook")


def owner_of(labels: dict[str, Reader], book: Book) -> Owner | None:
    """The team that the label ``owner``, or else ``team``, names; it leaves the labels."""
    called = next((name for name in _OWNERS if _value(labels.get(name))), None)
    if called is None:
        return None
    at = labels.pop(called)
    value = _value(at) or ""
    name = identifier(value)
    book.note(at, f"it owns the objective; its Alertmanager receivers are taken to be {name!r}")
    return Owner(name)


def inherited(
    outer: Mapping[str, Reader], inner: Mapping[str, Reader], book: Book
) -> dict[str, Reader]:
    """Labels of two levels, of which the inner one wins; what it replaces is noted."""
    for name in outer.keys() & inner.keys():
        if _value(outer[name]) != _value(inner[name]):
            book.note(outer[name], "another value stands nearer to an alert; left out there")
    return {**outer, **inner}


def runbook_of(fields: Fields) -> Reader | None:
    """The address of a runbook; otelkit writes its own annotations, so the others are noted."""
    found = [at for at in map(fields.take, _RUNBOOKS) if at is not None]
    for at in fields.rest().values():
        fields.book.note(at, "otelkit writes the annotations of its alerts itself; left out")
    return found[0] if found else None


def shared_runbook(objectives: Iterable[Objective], book: Book) -> str | None:
    """The runbook of all objectives that have one, if it is the same."""
    places = [o.runbook for o in objectives if o.runbook is not None]
    addresses = {_value(at) for at in places}
    address = addresses.pop() if len(addresses) == 1 else None
    why = "an SLA file has one runbook for all alerts (`links: {runbook: ...}`); left out"
    if address is not None:
        try:
            return q.url(address)
        except ValueError as error:
            why = f"left out: {error}"
    for at in places:
        book.note(at, why)
    return None


def shared_labels(objectives: Iterable[Objective], book: Book) -> dict[str, str]:
    """The labels that stand alike on all objectives: an SLA file has labels for all alerts only.

    Those of single objectives are noted, and so are names and values that it cannot hold.
    """
    found: dict[str, str] = {}
    several = list(objectives)
    noted: set[tuple[int, int]] = set()
    for objective in several:
        for name, at in objective.labels.items():
            value = _value(at)
            alike = all(_value(o.labels.get(name)) == value for o in several)
            if alike and name in found:
                continue
            place = (at.node.mark.line, at.node.mark.column)
            said = _label_said(name, value, alike=alike)
            if said and place not in noted:
                book.note(at, said)
            noted.add(place)
            if alike and value is not None and not _refused(name, value):
                found[_label_name(name)] = value
    return found


def _value(at: Reader | None) -> str | None:
    """The one value of a label, also of one that is a list of it."""
    node = at.node if at is not None else None
    if isinstance(node, Sequence) and len(node.items) == 1:
        node = node.items[0]
    return node.text if isinstance(node, Scalar) else None


def _label_name(name: str) -> str:
    found = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return found if re.match(r"[A-Za-z_]", found) else f"_{found}"


def _refused(name: str, value: str) -> str:
    try:
        q.label_name(_label_name(name))
        q.printable(value)
    except ValueError as error:
        return str(error)
    return ""


def _label_said(name: str, value: str | None, *, alike: bool) -> str:
    if value is None:
        return "a label of an SLA file has one value; left out"
    if not alike:
        return "an SLA file has labels for all of its alerts, not for one objective's; left out"
    refused = _refused(name, value)
    if refused:
        return f"left out: {refused}"
    renamed = _label_name(name)
    return "" if renamed == name else f"Prometheus knows no such label name; it is {renamed!r}"
