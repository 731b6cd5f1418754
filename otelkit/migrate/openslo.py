"""OpenSLO's files: ``openslo/v1`` and ``openslo/v1alpha``, several objects a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from otelkit import names
from otelkit.migrate.alerts import Policies
from otelkit.migrate.draft import Draft, Names, Objective, Owner, identifier, percentage, sli
from otelkit.migrate.foreign import Book, Fields
from otelkit.migrate.indicators import alpha_ratio, indicator, judgement, method
from otelkit.migrate.labels import owner_of, runbook_of, shared_labels, shared_runbook
from otelkit.migrate.objects import Object, Objects
from otelkit.migrate.period import Period, period
from otelkit.migrate.ratio import Ratio, Share
from otelkit.migrate.result import system_name
from otelkit.spec.reader import Reader

_SAID: Final = "Imported from OpenSLO. Read it through, then: otelkit check FILE"


@dataclass(frozen=True, slots=True)
class _Slo:
    """An SLO without its objectives."""

    name: str
    at: Reader
    service: str
    said: tuple[str, ...]
    labels: dict[str, Reader]
    owner: Owner | None
    runbook: Reader | None
    period: Period
    method: str
    policy: str | None
    indicator: Fields | None
    named: bool
    """It names an indicator, whether or not there is one of that name."""


def draft(documents: list[Reader], book: Book, stem: str) -> Draft:
    """What the documents of a file say; ``stem`` is the file's name, for want of another."""
    objects = Objects(book)
    for document in documents:
        objects.add(document)
    if not objects.slos and not book.problems.problems:
        documents[0].problem("this file holds no SLO; name one with kind: SLO")
    services: dict[str, Reader] = {}
    for slo in objects.slos:
        at = Fields(slo.spec.at, book).take("service")
        services.setdefault((at.text() if at else None) or slo.name, at or slo.at)
    policies, known = Policies(objects), Names(book)
    found = [
        objective
        for slo in objects.slos
        for objective in _objectives(slo, objects, policies, known, len(services) > 1)
    ]
    said = (_SAID, *_services(services, objects))
    for one in objects.unused():
        book.note(one.at, f"no SLO of this file refers to the {one.kind} {one.name!r}; left out")
    return Draft(
        system_name(services, stem, book), said, tuple(found), shared_labels(found, book),
        shared_runbook(found, book), policies.named,
    )  # fmt: skip


def _services(services: dict[str, Reader], objects: Objects) -> Iterator[str]:
    """What Service objects say, for the head of the file."""
    for name in services:
        service = objects.optional("Service", name)
        if service is None:
            continue
        metadata, spec = service.metadata, service.spec
        said = [text for text in (metadata.text("displayName"), spec.text("description")) if text]
        metadata.close()
        spec.close()
        if said:
            yield f"{name}: {'. '.join(said)}"


def _objectives(
    slo: Object, objects: Objects, policies: Policies, known: Names, prefixed: bool
) -> Iterator[Objective]:
    fields, book = slo.spec, objects.book
    items = fields.need("objectives")
    several = items.items() if items is not None and items.is_list else []
    if items is not None and not several:
        items.problem("write a list with at least one objective")
    common = _common(slo, fields, objects, policies)
    fields.close()
    for index, item in enumerate(several, 1):
        one = Fields(item, book)
        display = one.text("displayName")
        target = _target(one)
        found = _measured(one, common, objects)
        one.close()
        if target is None or found is None:
            continue
        for change in found.changed:
            book.note(item, change)
        said = (*common.said, *([display] if display else ()))
        name = f"{common.service}-{common.name}" if prefixed else common.name
        if len(several) > 1:
            name = f"{name}-{identifier(display) if display else index}"
        yield Objective(
            item, known.give(name, slo.at), sli(found, common.service), target,
            common.period.text, said, common.owner,
            policy=common.policy, labels=common.labels, runbook=common.runbook,
        )  # fmt: skip


def _common(slo: Object, fields: Fields, objects: Objects, policies: Policies) -> _Slo:
    book, metadata = objects.book, slo.metadata
    said = [metadata.text("displayName"), fields.text("description")]
    labels = metadata.texts("labels")
    runbook = runbook_of(metadata.fields("annotations"))
    metadata.close()
    service = fields.text("service") or slo.name
    length = period([*fields.items("timeWindow"), *fields.items("timeWindows")], book)
    alerting = fields.items("alertPolicies")
    policy, receivers = policies.of(alerting, length)
    if policy is None and "timeWindows" not in slo.spec.at.keys:
        book.note(
            slo.at,
            f"{slo.name!r} names no alert, so the default policy alerts; "
            "write `alerting: {page: off, ticket: off}` to have no alerts",
        )
    return _Slo(
        slo.name, slo.at, service, tuple(text for text in said if text), labels,
        _owner(owner_of(labels, book), receivers, service), runbook, length,
        method(fields.take("budgetingMethod")), policy, _indicator(fields, objects),
        "indicatorRef" in fields.at.keys,
    )  # fmt: skip


def _owner(owner: Owner | None, receivers: dict[str, str], service: str) -> Owner | None:
    """The team of an SLO, with the receivers that its alert policies name."""
    if not receivers:
        return owner
    name = owner.name if owner else identifier(service)
    return Owner(name, receivers.get(names.SEVERITY_PAGE), receivers.get(names.SEVERITY_TICKET))


def _indicator(fields: Fields, objects: Objects) -> Fields | None:
    """The spec of the indicator that an SLO, or one of its objectives, holds or names."""
    named, own = fields.take("indicatorRef"), fields.take("indicator")
    if named is not None:
        found = objects.get("SLI", named)
        if found is not None:
            found.metadata.close()
        return found.spec if found else None
    if own is None:
        return None
    inner = Fields(own, objects.book)
    if "spec" not in own.keys:  # v1alpha
        return inner
    metadata = inner.fields("metadata")
    metadata.ignore("name")
    metadata.close()
    spec = inner.fields("spec")
    inner.close()
    return spec


def _target(fields: Fields) -> str | None:
    share, percent = fields.take("target"), fields.take("targetPercent")
    if (share is None) == (percent is None):
        fields.at.problem("write one of `target: 0.999` and `targetPercent: 99.9`")
        return None
    if share is not None:
        return share.parse(lambda text: percentage(text, 100))
    return percent.parse(percentage) if percent else None


def _measured(fields: Fields, common: _Slo, objects: Objects) -> Ratio | Share | None:
    how = judgement(common.method, fields)
    fields.drop("compositeWeight", "the objectives of a composite stand alone here; left out")
    own = _indicator(fields, objects) or common.indicator
    ratio = fields.take("ratioMetrics") or fields.take("ratioMetric")
    if how is None:
        return None
    if ratio is not None:
        return alpha_ratio(ratio, how, objects)
    if own is None:
        if not common.named and "indicatorRef" not in fields.at.keys:
            fields.at.problem("nothing is measured here; add an indicator or an indicatorRef")
        return None
    return indicator(Fields(own.at, objects.book), how, objects)
