"""JSON Schema of the SLA file, for editors: keys, shapes and examples.

Editors read YAML their own way, so a value may come as text or as a number. References, buckets
and all that needs a second look is for ``otelkit check`` to say.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any, Final

from otelkit import names

Schema = dict[str, Any]

_IDENTIFIER: Final = "^[A-Za-z_][A-Za-z0-9_-]{0,62}$"
_SHARE: Final = r"^[0-9]{1,3}(\.[0-9]{1,9})? ?%$"
_DURATION: Final = r"^([0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h|d|w))+$"
_ALLOWANCE: Final = r"^([0-9]{1,9}(\.[0-9]{1,9})?(ms|bd|s|m|h|d|w))+$"
_BUDGET_SHARE: Final = r"^[0-9.]+ ?% in [0-9]+[hd]$"
_LABEL: Final = "^[A-Za-z_][A-Za-z0-9_]*$"
_METRIC: Final = "^[A-Za-z_:][A-Za-z0-9_:]*$"
_DATE: Final = "^[0-9]{4}-?[0-9W]{2,3}-?[0-9]{1,2}$"
_INSTANT: Final = "^[0-9]{4}-?[0-9W].*[0-9Z]$"
_HOURS: Final = r"^ *[0-9]{2}:[0-9]{2} *- *[0-9]{2}:[0-9]{2} *(,.*)?$"
_SEVERITIES: Final = (names.SEVERITY_PAGE, names.SEVERITY_TICKET)
_BREACHES: Final = r"^[0-9]{1,6} new in [0-9a-z.]+$"


def json_schema() -> Schema:
    """JSON Schema (draft 2020-12) of the SLA file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "otelkit SLA file",
        **_object(
            {
                "version": {"const": 1},
                "system": _name("Stands on every rule, alert and dashboard."),
                "include": _list(_text("Path from this file's folder, or a pattern of paths.")),
                "environments": _some(_map(_environment())),
                "links": _object({"grafana": _url(), "runbook": _url("May hold {alert}.")}),
                "labels": _map(
                    _text() | {"type": ["string", "number", "boolean"]}, "On every alert."
                ),
                "owners": _map(_severities(_text("Alertmanager receiver."), required=("page",))),
                "calendars": _map(_calendar()),
                "services": _map(_service(), "By the value of their job label."),
                "processes": _map(_process()),
                "queues": _map(_object({"owner": _name()}), "Dead-letter queues by name."),
                "alerting": _map(_policy()),
                "release": _object(
                    {"freeze_below": _share("Of the budget left.")}, ("freeze_below",)
                ),
                "objectives": {"type": "array", "minItems": 1, "items": {"oneOf": _objectives()}},
            },
            required=("version", "system", "objectives"),
        ),
    }


# --- parts ---------------------------------------------------------------------------------


def _calendar() -> Schema:
    interval = _pattern(_HOURS, "09:00-18:00", "09:00-12:00, 13:00-18:00")
    return _object(
        {
            "timezone": _text() | {"examples": ["Europe/Berlin", "UTC"]},
            "hours": _some(_map(_list(interval), "By weekdays, such as mon-fri or sat,sun.")),
            # YAML of old takes Norway's NO for false.
            "holidays": _text("ISO code of a country, or of a part such as DE-BY.")
            | {"type": ["string", "boolean"]},
            "closed": _list(_pattern(_DATE, "2026-12-31")),
            "open": _map(_list(interval), "Days with hours of their own, by date.")
            | {"propertyNames": {"pattern": _DATE}},
        },
        required=("timezone", "hours"),
    )


def _service() -> Schema:
    http = {
        "duration": _pattern(_METRIC, "http_request_seconds"),
        **{key: _pattern(_LABEL) for key in ("status", "route")},
    }
    return _object(
        {
            "owner": _name(),
            "match": _some(_map(_text(), "Labels that select its series.")),
            "http": _object(http) | {"description": "Names in a service of another make."},
        }
    )


def _process() -> Schema:
    keys: Schema = {
        "owner": _name(),
        **{key: _list(_name(), least=1) for key in ("stages", "done", "tiers")},
        **{key: _list(_name()) for key in ("optional", "cancelled", "paused", "reset")},
    }
    return _object(keys, required=("stages", "done"))


def _policy(*more: tuple[str, Schema]) -> Schema:
    shares = _list(_pattern(_BUDGET_SHARE, "2% in 1h"), least=1)
    return _object(
        {
            **dict(more),
            **{severity: {"anyOf": [*shares["anyOf"], _off()]} for severity in _SEVERITIES},
            "min_bad_events": {"type": "integer", "minimum": 1},
        }
    )


def _alerting() -> Schema:
    own = _policy(("use", _name("A policy of the file.")))
    return {"anyOf": [_name("A policy of the file, or off."), own]}


def _environment() -> Schema:
    overdue = _severities(_pattern(_BREACHES, "10 new in 1h"))
    overridden = _object(
        {
            "target": _share("The share that has to be good."),
            "alerting": _alerting(),
            "overdue": {"anyOf": [_off(), overdue]},
        }
    )
    return _object(
        {
            "match": _some(_map(_text(), "Labels that select its series.")),
            "page_as": {"enum": list(_SEVERITIES)},
            "override": _map({"anyOf": [_off(), overridden]}, "By objective."),
        },
        required=("match",),
    )


# --- objectives ----------------------------------------------------------------------------


def _objectives() -> list[Schema]:
    target = _share("The share that has to be good.")
    latency = _object(
        {"below": _pattern(_DURATION, "250ms"), "target": target, "native": {"type": "boolean"}},
        required=("below", "target"),
    )
    allowance = _pattern(_ALLOWANCE, "16h", "5d", "5bd")
    allowances = _object(
        {"tier": _text(), "partner": _text(), "agreement": _name(), "allow": allowance},
        required=("allow",),
    )
    learned = _object(
        {
            "slower_than": _share("Of the clocks of the same tier that ended before."),
            "samples": {"type": "integer", "minimum": 1, "default": 100},
            "until_then": _share("Of the allowance left, while there are fewer of them."),
        },
        required=("slower_than",),
    )
    clock = {
        "process": _name(),
        "stage": _text("For a clock on one stage."),
        "from": _text("For a clock on the whole order, with to."),
        "to": _text(),
        "calendar": _name(),
        "within": {
            "anyOf": [allowance, {"type": "array", "minItems": 1, "items": allowances}],
            "description": "The first that matches an order holds.",
        },
        "at_risk": {"anyOf": [_share("Of the allowance left."), learned]},
        "overdue": {"anyOf": [_off(), _severities(_pattern(_BREACHES, "10 new in 1h"))]},
        "target": target,
    }
    queue = {
        "queue": _text(),
        "max_messages": {"type": "integer", "minimum": 0},
        "max_age": _pattern(_DURATION, "15m"),
    }
    during = {"during": _name("Events count while this calendar is open.")}
    of_service = {"service": _text(), **during}
    counters = {"good": _text(), "bad": _text(), "total": _text(), "target": target, **during}
    query = {"query": _text("PromQL that yields the share of good."), "target": target, **during}
    return [
        _budget(of_service | {"availability": target}, ("service", "availability")),
        _budget(of_service | {"latency": latency}, ("service", "latency")),
        *(_budget(counters, (*two, "target")) for two in combinations(("good", "bad", "total"), 2)),
        _budget(query, ("query", "target")),
        _budget(clock, ("process", "within", "target")),
        _objective(queue, ("queue",)),
    ]


def _budget(keys: Schema, required: tuple[str, ...]) -> Schema:
    instant = _pattern(_INSTANT, "2026-03-01T00:00Z")
    exclusion = _object(
        {"from": instant, "to": instant, "reason": _text()},
        required=("from", "to", "reason"),
    )
    common: Schema = {
        "window": _pattern(r"^([0-9]+[dw]|week|month|quarter)$", "30d", "month"),
        "alerting": _alerting(),
        "by": _list(_said(_pattern(_LABEL), "Each value of the label has a budget of its own.")),
        "exclude": {"type": "array", "items": exclusion},
    }
    return _objective(common | keys, required)


def _objective(keys: Schema, required: tuple[str, ...]) -> Schema:
    return _object({"name": _name(), "owner": _name()} | keys, required=("name", *required))


# --- shapes --------------------------------------------------------------------------------


def _object(properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    found: Schema = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    return found | ({"required": list(required)} if required else {})


def _map(values: Schema, description: str = "") -> Schema:
    return _said({"type": "object", "additionalProperties": values}, description)


def _list(items: Schema, least: int = 0) -> Schema:
    many = {"type": "array", "items": items}
    return {"anyOf": [items, many | ({"minItems": least} if least else {})]}


def _some(table: Schema) -> Schema:
    return table | {"minProperties": 1}


def _severities(value: Schema, required: tuple[str, ...] = ()) -> Schema:
    return _object({names.SEVERITY_PAGE: value, names.SEVERITY_TICKET: value}, required)


def _off() -> Schema:
    # YAML of old takes off for false.
    return {"enum": ["off", False]}


def _name(description: str = "") -> Schema:
    return _said({"type": "string", "pattern": _IDENTIFIER}, description)


def _text(description: str = "") -> Schema:
    return _said({"type": "string", "minLength": 1}, description)


def _url(description: str = "") -> Schema:
    return _said({"type": "string", "pattern": "^https?://"}, description)


def _share(description: str) -> Schema:
    return _said(_pattern(_SHARE, "99.9%"), description)


def _pattern(pattern: str, *examples: str) -> Schema:
    found: Schema = {"type": "string", "pattern": pattern}
    return found | ({"examples": list(examples)} if examples else {})


def _said(schema: Schema, description: str) -> Schema:
    return schema | ({"description": description} if description else {})
