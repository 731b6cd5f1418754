"""Panels of classic Grafana dashboards: only the kinds and settings that otelkit uses.

A panel is the JSON object that Grafana reads. It knows its size; :mod:`.frame` gives it an id and
a place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

Json = dict[str, Any]

PROMETHEUS: Final = "prometheus"
LOKI: Final = "loki"
TEMPO: Final = "tempo"

FULL_WIDTH: Final = 24
NO_DATA: Final = "No data"


def datasource(kind: str) -> Json:
    """A reference to the dashboard's variable for data sources of this kind."""
    return {"type": kind, "uid": f"${{{kind}_datasource}}"}


# --- queries -------------------------------------------------------------------------------


def prometheus(expr: str, legend: str = "__auto", *, instant: bool = False) -> Json:
    """A PromQL query; an instant one answers as a table of its labels and value."""
    return {
        "datasource": datasource(PROMETHEUS),
        "editorMode": "code",
        "expr": expr,
        "format": "table" if instant and legend == "__auto" else "time_series",
        "instant": instant,
        "legendFormat": legend,
        "range": not instant,
    }


def buckets(expr: str) -> Json:
    """A PromQL query for histogram buckets, one series for each ``le``, as a heatmap reads them."""
    return prometheus(expr, "{{le}}") | {"format": "heatmap"}


def loki(expr: str, *, instant: bool = False) -> Json:
    """A LogQL query, newest lines first."""
    return {
        "datasource": datasource(LOKI),
        "direction": "backward",
        "editorMode": "code",
        "expr": expr,
        "queryType": "instant" if instant else "range",
    }


def tempo(query: str) -> Json:
    """A TraceQL query, or a trace id, which Tempo's data source takes in the same place."""
    return {
        "datasource": datasource(TEMPO),
        "filters": [],
        "query": query,
        "queryType": "traceql",
    }


# --- what values look like -----------------------------------------------------------------


def thresholds(*steps: tuple[float | None, str]) -> Json:
    """Colours from values on; the first step has no value and is what all others start from."""
    return {
        "mode": "absolute",
        "steps": [{"value": value, "color": color} for value, color in steps],
    }


def words(meaning: Mapping[int, tuple[str, str]]) -> list[Json]:
    """Value mappings: a word and a colour for each number, and for no number at all."""
    numbers = {
        str(value): {"text": word, "color": color, "index": index}
        for index, (value, (word, color)) in enumerate(meaning.items())
    }
    absent = {"match": "null+nan", "result": {"text": NO_DATA, "color": "text"}}
    return [{"type": "value", "options": numbers}, {"type": "special", "options": absent}]


def link(title: str, url: str) -> Json:
    """A data link that stays in the same tab."""
    return {"title": title, "url": url, "targetBlank": False}


def override(field: str, **properties: object) -> Json:
    """Settings for the columns whose whole name the regular expression ``field`` matches."""
    return {
        "matcher": {"id": "byRegexp", "options": f"/^({field})$/"},
        "properties": [{"id": name, "value": value} for name, value in properties.items()],
    }


def joined(by: str, columns: Mapping[str, str], queries: int) -> list[Json]:
    """Transformations that join the tables of several instant queries into one.

    ``columns`` are the titles of its columns, in order, by their names as Grafana gives them:
    a query's value is ``Value #A``, and so on.
    """
    times = dict.fromkeys(("Time", *(f"Time {n}" for n in range(1, queries + 1))), True)
    return [
        {"id": "joinByField", "options": {"byField": by, "mode": "outer"}},
        {
            "id": "organize",
            "options": {
                "excludeByName": times,
                "indexByName": {name: index for index, name in enumerate(columns)},
                "renameByName": dict(columns),
            },
        },
    ]


# --- panels --------------------------------------------------------------------------------


def stat(
    title: str, description: str, targets: Sequence[Json], *, named: bool = False, **more: Any
) -> Json:
    """Large values, one for each series, ``named`` or not. ``more`` goes to :func:`_panel`."""
    options = {
        "colorMode": "background",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "value_and_name" if named else "value",
    }
    return _panel("stat", title, description, targets, options, **more)


def timeseries(title: str, description: str, targets: Sequence[Json], **more: Any) -> Json:
    """Lines over time. A gap in the data stays a gap."""
    options = {
        "legend": {
            "displayMode": "table",
            "placement": "bottom",
            "showLegend": True,
            "calcs": ["lastNotNull"],
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    line = {"drawStyle": "line", "fillOpacity": 5, "lineWidth": 1, "showPoints": "never"}
    custom = line | {"spanNulls": False} | more.pop("custom", {})
    return _panel("timeseries", title, description, targets, options, custom=custom, **more)


def bars(title: str, description: str, targets: Sequence[Json], **more: Any) -> Json:
    """Stacked bars over time: for counts of events."""
    custom = {"drawStyle": "bars", "fillOpacity": 60, "stacking": {"mode": "normal", "group": "A"}}
    return timeseries(title, description, targets, custom=custom, **more)


def state_timeline(title: str, description: str, targets: Sequence[Json], **more: Any) -> Json:
    """Bands of words over time, one for each series."""
    options = {
        "alignValue": "left",
        "legend": {
            "displayMode": "list",
            "placement": "bottom",
            "showLegend": False,
            "calcs": [],
        },
        "mergeValues": True,
        "rowHeight": 0.8,
        "showValue": "auto",
        "tooltip": {"mode": "single", "sort": "none"},
    }
    custom = {"fillOpacity": 80, "lineWidth": 0, "spanNulls": False}
    return _panel("state-timeline", title, description, targets, options, custom=custom, **more)


def heatmap(title: str, description: str, target: Json, **more: Any) -> Json:
    """Ready-made buckets over time; the unit is that of their bounds."""
    unit = more["unit"]
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {
            "mode": "scheme",
            "scheme": "Oranges",
            "fill": "dark-orange",
            "reverse": False,
            "steps": 32,
            "exponent": 0.5,
        },
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": True},
        "yAxis": {"axisPlacement": "left", "unit": unit},
    }
    return _panel("heatmap", title, description, [target], options, **more)


def table(title: str, description: str, targets: Sequence[Json], **more: Any) -> Json:
    """Rows and columns; ``transformations`` decide which."""
    options = {"cellHeight": "sm", "showHeader": True}
    custom = {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True}
    return _panel("table", title, description, targets, options, custom=custom, **more)


def logs(title: str, description: str, target: Json, *, height: int = 12) -> Json:
    """Log lines. Nothing in them leads out of the dashboard."""
    options = {
        "dedupStrategy": "none",
        "enableLogDetails": True,
        "prettifyLogMessage": False,
        "showCommonLabels": False,
        "showLabels": False,
        "showTime": True,
        "sortOrder": "Ascending",
        "wrapLogMessage": True,
    }
    return _panel("logs", title, description, [target], options, unit="none", height=height)


def trace(title: str, description: str, target: Json) -> Json:
    """One trace as a waterfall of its spans."""
    return _panel("traces", title, description, [target], {}, unit="none", height=14)


def text(title: str, description: str, markdown: str, *, height: int = 3) -> Json:
    """Words for whoever opens the dashboard for the first time."""
    return {
        "type": "text",
        "title": title,
        "description": description,
        "options": {"mode": "markdown", "content": markdown},
        "gridPos": {"w": FULL_WIDTH, "h": height},
    }


def row(title: str) -> Json:
    """A heading."""
    return {
        "type": "row",
        "title": title,
        "collapsed": False,
        "panels": [],
        "gridPos": {"w": FULL_WIDTH, "h": 1},
    }


def _panel(
    kind: str,
    title: str,
    description: str,
    targets: Sequence[Json],
    options: Json,
    *,
    unit: str,
    width: int = FULL_WIDTH,
    height: int = 8,
    limits: Json | None = None,
    mappings: Sequence[Json] = (),
    links: Sequence[Json] = (),
    overrides: Sequence[Json] = (),
    transformations: Sequence[Json] = (),
    custom: Json | None = None,
    floor: float | None = None,
    empty: str = NO_DATA,
) -> Json:
    defaults: Json = {
        "color": {"mode": "thresholds" if limits is not None else "palette-classic"},
        "custom": custom or {},
        "links": list(links),
        "mappings": list(mappings),
        "noValue": empty,
        "thresholds": limits or thresholds((None, "text")),
        "unit": unit,
    }
    if floor is not None:
        defaults["min"] = floor
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": targets[0]["datasource"],
        "targets": [
            {"refId": chr(ord("A") + number)} | dict(target)
            for number, target in enumerate(targets)
        ],
        "options": options,
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
        "transformations": list(transformations),
        "gridPos": {"w": width, "h": height},
    }
