"""What every dashboard has around its panels: name, variables, links to its siblings, a grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from otelkit.generate.dashboards.panels import FULL_WIDTH, Json
from otelkit.generate.scope import dashboard_uid, title
from otelkit.model import Sla

SCHEMA_VERSION: Final = 39
"""The oldest that Grafana 11 writes: newer ones read it, and file provisioning takes it."""

ALL: Final = "$__all"
TAG: Final = "otelkit"


@dataclass(frozen=True, slots=True)
class Frame:
    """A dashboard without its panels. ``since`` is where its time range starts."""

    dashboard: str
    title: str
    description: str
    since: str
    refresh: str


def dashboard(sla: Sla, frame: Frame, variables: Sequence[Json], panels: Iterable[Json]) -> Json:
    """The whole dashboard. It carries no ``id`` and no ``version``: those are Grafana's to give."""
    return {
        "uid": dashboard_uid(sla, frame.dashboard),
        "title": f"{title(sla)}: {frame.title}",
        "description": frame.description,
        "tags": list(dict.fromkeys((TAG, tag_of(sla), siblings_tag(sla)))),
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "graphTooltip": 1,
        "refresh": frame.refresh,
        "time": {"from": f"now-{frame.since}", "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "weekStart": "",
        "fiscalYearStartMonth": 0,
        "annotations": {"list": []},
        "links": [_links_to_siblings(sla)],
        "templating": {"list": list(variables)},
        "panels": placed(panels),
    }


def tag_of(sla: Sla) -> str:
    """The tag that the dashboards of one SLA file share."""
    return f"{TAG}-{sla.system}"


def siblings_tag(sla: Sla) -> str:
    """The tag that those of one environment share."""
    return f"{TAG}-{title(sla).replace(' ', '.')}"


def placed(panels: Iterable[Json]) -> list[Json]:
    """Panels with ids, from left to right, in a new line where the next would not fit."""
    found: list[Json] = []
    x = y = tallest = 0
    for number, panel in enumerate(panels, start=1):
        width, height = panel["gridPos"]["w"], panel["gridPos"]["h"]
        if x + width > FULL_WIDTH:
            x, y, tallest = 0, y + tallest, 0
        found.append(
            {"id": number} | panel | {"gridPos": {"x": x, "y": y, "w": width, "h": height}}
        )
        x, tallest = x + width, max(tallest, height)
    return found


def url(sla: Sla, dashboard: str, *parameters: str) -> str:
    """A link to another dashboard of the file that keeps the time range. Grafana escapes values."""
    uid = dashboard_uid(sla, dashboard)
    return f"/d/{uid}?" + "&".join((*parameters, "${__url_time_range}"))


# --- variables -----------------------------------------------------------------------------


def datasource_variable(kind: str) -> Json:
    """The data source to ask, of one kind; named as dashboards with several of them name it."""
    return {
        "type": "datasource",
        "name": f"{kind}_datasource",
        "label": f"{kind.capitalize()} data source",
        "query": kind,
        "regex": "",
        "options": [],
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "refresh": 1,
        "skipUrlSync": False,
    }


def choice(name: str, label: str, values: Sequence[str]) -> Json:
    """Any of the values, all at first. They come from the SLA file, so they need no query."""
    every = {"selected": True, "text": "All", "value": ALL}
    return {
        "type": "custom",
        "name": name,
        "label": label,
        "query": ",".join(values),
        "current": {"selected": True, "text": ["All"], "value": [ALL]},
        "options": [
            every,
            *({"selected": False, "text": value, "value": value} for value in values),
        ],
        "allValue": ".*",
        "includeAll": True,
        "multi": True,
        "hide": 0,
        "skipUrlSync": False,
    }


def one_of(name: str, label: str, values: Mapping[str, str]) -> Json:
    """One of the values by the name that people know it by; the first one at first."""
    options = [
        {"selected": number == 0, "text": text, "value": value}
        for number, (text, value) in enumerate(values.items())
    ]
    return choice(name, label, ()) | {
        "query": ",".join(
            f"{text} : {value}".replace(",", r"\,") for text, value in values.items()
        ),
        "current": options[0],
        "options": options,
        "includeAll": False,
        "multi": False,
    }


def text_box(name: str, label: str) -> Json:
    """A field to type into, empty at first."""
    empty = {"selected": True, "text": "", "value": ""}
    return {
        "type": "textbox",
        "name": name,
        "label": label,
        "query": "",
        "current": empty,
        "options": [empty],
        "hide": 0,
        "skipUrlSync": False,
    }


def _links_to_siblings(sla: Sla) -> Json:
    return {
        "type": "dashboards",
        "title": "Dashboards",
        "tags": [siblings_tag(sla)],
        "asDropdown": False,
        "icon": "external link",
        "includeVars": False,
        "keepTime": True,
        "targetBlank": False,
        "tooltip": "",
        "url": "",
    }
