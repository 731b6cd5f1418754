"""Sloth's files: ``prometheus/v1`` and its Kubernetes form ``sloth.slok.dev/v1``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from otelkit import names
from otelkit.migrate import ratio
from otelkit.migrate.draft import Draft, Names, Objective, Policy, percentage, sli, yes_or_no
from otelkit.migrate.foreign import Book, Fields, asked
from otelkit.migrate.labels import inherited, owner_of, runbook_of, shared_labels, shared_runbook
from otelkit.migrate.ratio import Ratio, Share
from otelkit.migrate.result import system_name
from otelkit.spec.reader import Reader

VERSION: Final = "prometheus/v1"
API_VERSION: Final = "sloth.slok.dev/v1"
KIND: Final = "PrometheusServiceLevel"
POLICY: Final = Policy(("2% in 1h", "5% in 6h"), ("10% in 1d", "10% in 3d"))
"""Sloth's own alert windows for a period of 30 days."""
WINDOW: Final = "30d"
"""Sloth's default period; its files hold none."""

_SAID: Final = (
    "Imported from Sloth. Read it through, then: otelkit check FILE",
    "Sloth's files hold no period: 30d, the default of its command line, is written here.",
)


@dataclass(frozen=True, slots=True)
class _Spelling:
    """The keys that the two forms write differently."""

    error_query: str
    total_query: str
    raw: str
    page: str
    ticket: str
    plugins: str


_FILE: Final = _Spelling(
    "error_query", "total_query", "error_ratio_query", "page_alert", "ticket_alert", "slo_plugins"
)
_KUBERNETES: Final = _Spelling(
    "errorQuery", "totalQuery", "errorRatioQuery", "pageAlert", "ticketAlert", "sloPlugins"
)


@dataclass(frozen=True, slots=True)
class _Level:
    """A document: a service and its SLOs."""

    service: str
    at: Reader
    labels: dict[str, Reader]
    slos: list[Reader]
    keys: _Spelling
    book: Book


def draft(documents: list[Reader], book: Book, stem: str) -> Draft:
    """What the documents of a file say; ``stem`` is the file's name, for want of another."""
    levels = [level for document in documents for level in _levels(document, book)]
    services = {level.service: level.at for level in levels}
    known = Names(book)
    objectives = tuple(
        objective
        for level in levels
        for slo in level.slos
        if (objective := _objective(slo, level, known, len(services) > 1)) is not None
    )
    return Draft(
        system_name(services, stem, book), _SAID, objectives, shared_labels(objectives, book),
        shared_runbook(objectives, book), {"default": POLICY},
    )  # fmt: skip


# --- documents -----------------------------------------------------------------------------


def _levels(document: Reader, book: Book) -> list[_Level]:
    fields = Fields(document, book)
    if "apiVersion" not in document.keys:
        version = fields.need("version") if document.is_mapping else None
        if version is None or version.parse(_version) is None:
            return []
        return _level(fields, _FILE)
    api, kind = fields.need("apiVersion"), fields.need("kind")
    named = kind.text() if kind else None
    if named in (f"{KIND}List", "List"):
        fields.drop("metadata", "the list's own; left out")
        return [level for item in fields.items("items") for level in _levels(item, book)]
    if api is None or kind is None or not (api.parse(_api_version) and kind.parse(_kind)):
        return []
    fields.fields("metadata").close()
    spec = fields.need("spec")
    fields.drop("status", "what a controller found; left out")
    fields.close()
    return [] if spec is None else _level(Fields(spec, book), _KUBERNETES)


def _level(fields: Fields, keys: _Spelling) -> list[_Level]:
    service = fields.need("service")
    labels = fields.texts("labels")
    fields.drop(keys.plugins, "plugins are Sloth's own code; left out")
    slos = fields.need("slos")
    fields.close()
    name = service.text() if service else None
    if name is None or service is None or slos is None:
        return []
    items = slos.items() if slos.is_list else []
    if not items:
        slos.problem("write a list with at least one SLO")
    return [_Level(name, service, labels, items, keys, fields.book)]


def _version(text: str) -> str:
    if text != VERSION:
        raise ValueError(f"version {text!r} is not known; Sloth's files have version: {VERSION}")
    return text


def _api_version(text: str) -> str:
    if text.startswith("openslo"):
        raise ValueError("this is OpenSLO; run: otelkit import openslo FILE")
    if text != API_VERSION:
        raise ValueError(f"{text!r} is not known; Sloth's resources have apiVersion: {API_VERSION}")
    return text


def _kind(text: str) -> str:
    if text != KIND:
        raise ValueError(f"{text!r} holds no SLOs; name a file with kind: {KIND}")
    return text


# --- SLOs ----------------------------------------------------------------------------------


def _objective(at: Reader, level: _Level, known: Names, prefixed: bool) -> Objective | None:
    fields = Fields(at, level.book)
    name, goal, measured = (fields.need(key) for key in ("name", "objective", "sli"))
    target = goal.parse(percentage) if goal else None
    said = fields.text("description")
    labels = inherited(level.labels, fields.texts("labels"), level.book)
    fields.drop("plugins", "plugins are Sloth's own code; left out")
    alerting = _alerting(fields.fields("alerting"), level)
    fields.close()
    called = name.text() if name else None
    found = None if measured is None else _sli(Fields(measured, level.book), level)
    if name is None or called is None or target is None or found is None:
        return None
    for change in found.changed:
        level.book.note(measured or at, change)
    labels = inherited(labels, alerting.labels, level.book)
    owner = owner_of(labels, level.book)
    return Objective(
        at, known.give(f"{level.service}-{called}" if prefixed else called, name),
        sli(found, level.service), target, WINDOW, (said,) if said else (), owner,
        off=alerting.off, labels=labels, runbook=alerting.runbook,
    )  # fmt: skip


def _sli(fields: Fields, level: _Level) -> Ratio | Share | None:
    given = {key: fields.take(key) for key in ("events", "raw", "plugin")}
    kinds = [(kind, at) for kind, at in given.items() if at is not None]
    fields.close()
    if len(kinds) != 1:
        fields.at.problem("write one of events, raw and plugin")
        return None
    ((kind, at),) = kinds
    queries = Fields(at, level.book)
    if kind == "plugin":
        queries.rest()
        level.book.note(
            queries.at,
            "the SLO is left out: its queries are made by a plugin, which is code of Sloth; "
            "write them by hand",
        )
        return None
    if kind == "events":
        pair = [queries.need(key) for key in (level.keys.error_query, level.keys.total_query)]
        queries.close()
        return asked(pair, level.book, lambda bad, total: ratio.events(bad, total, bad=True))
    raw = queries.need(level.keys.raw)
    queries.close()
    return asked([raw], level.book, lambda query: ratio.share(query, bad=True))


@dataclass(slots=True)
class _Alerting:
    labels: dict[str, Reader]
    off: tuple[str, ...]
    runbook: Reader | None


def _alerting(fields: Fields, level: _Level) -> _Alerting:
    fields.drop("name", f"otelkit's alert is called {names.ALERT_ERROR_BUDGET_BURN}; left out")
    labels = fields.texts("labels")
    runbook = runbook_of(fields.fields("annotations"))
    off = []
    for severity, key in (
        (names.SEVERITY_PAGE, level.keys.page),
        (names.SEVERITY_TICKET, level.keys.ticket),
    ):
        alert = fields.fields(key)
        disable = alert.take("disable")
        if disable is not None and disable.parse(yes_or_no):
            off.append(severity)
        for label in alert.texts("labels").values():
            level.book.note(
                label, f"otelkit's alerts carry severity={severity} instead; route on that"
            )
        runbook = runbook_of(alert.fields("annotations")) or runbook
        alert.close()
    fields.close()
    return _Alerting(labels, tuple(off), runbook)
