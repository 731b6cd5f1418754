"""Alerting policies of an SLA file: which share of a budget, spent within how long, alerts."""

from __future__ import annotations

from typing import Final

from otelkit import names
from otelkit.model import DEFAULT_POLICY, AlertPolicy, BudgetShare
from otelkit.spec import quantities as q
from otelkit.spec.reader import Reader, Table

OFF: Final = "off"
DEFAULT: Final = "default"
_KEYS: Final = (names.SEVERITY_PAGE, names.SEVERITY_TICKET, "min_bad_events")


def policies(reader: Reader | None) -> Table[AlertPolicy]:
    """The policies of the file by name; ``default`` is always there."""
    entries = [] if reader is None else reader.entries()
    readers = {key.name: value for key, value in entries if key.check(_name)}
    default = DEFAULT_POLICY
    if DEFAULT in readers:
        default = _policy(readers[DEFAULT], DEFAULT_POLICY)
    found = {name: _policy(value, default) for name, value in readers.items() if name != DEFAULT}
    return Table(
        {DEFAULT: default, **found}, dict.fromkeys((DEFAULT, *(k.name for k, _ in entries)))
    )


def _name(text: str) -> str:
    if text == OFF:
        raise ValueError("`alerting: off` means no alerts at all; choose another name")
    return q.identifier(text)


def chosen(reader: Reader | None, base: AlertPolicy, known: Table[AlertPolicy]) -> AlertPolicy:
    """The policy of one objective: a name, ``off``, or a mapping that changes ``base``."""
    if reader is None:
        return base
    if not reader.is_mapping:
        name = reader.choice((*known.declared, OFF), "policy")
        return AlertPolicy((), ()) if name == OFF else known.get(name or "", base)
    using = reader.at("use")
    if using is not None:
        base = known.get(using.choice(known.declared, "policy") or "", base)
    return _policy(reader, base, "use")


def _policy(reader: Reader, base: AlertPolicy, *more: str) -> AlertPolicy:
    """A policy that has what ``base`` has where it says nothing else."""
    fields = reader.fields((*more, *_KEYS))
    least = fields["min_bad_events"].parse(q.least) if "min_bad_events" in fields else None
    return AlertPolicy(
        _shares(fields.get(names.SEVERITY_PAGE), base.page),
        _shares(fields.get(names.SEVERITY_TICKET), base.ticket),
        least or base.min_bad_events,
    )


def _shares(reader: Reader | None, base: tuple[BudgetShare, ...]) -> tuple[BudgetShare, ...]:
    if reader is None:
        return base
    if not reader.is_list and reader.is_word(OFF):
        return ()
    found = [(item, item.parse(q.budget_share)) for item in reader.items()]
    if reader.is_list and not found:
        reader.problem("the list is empty; write such as 2% in 1h, or off")
    shares: dict[object, BudgetShare] = {}
    for item, share in found:
        if share is not None and share.within in shares:
            item.problem("this window stands here a second time; keep one share for it")
        elif share is not None:
            shares[share.within] = share
    return tuple(shares.values())
