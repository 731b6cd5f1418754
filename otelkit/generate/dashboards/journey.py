"""Order journey: one order from its first event to where it is now, for support.

A viewer never has to leave the dashboard: the table of traces sets the variable that the trace
below it reads, and nothing leads to a page that viewers may not open.
"""

from __future__ import annotations

from collections.abc import Iterator

from otelkit import names
from otelkit.generate.dashboards import frame, panels
from otelkit.generate.dashboards.panels import Json
from otelkit.model import Sla

_HELP = """\
Type an order id above. **Click a trace** in the table to see it below, step by step, with the log \
lines of the whole order under it. A step that has not ended yet has no trace: \
`otelkit order ID` shows where such an order stands. Nothing found? Widen the time range: Tempo \
searches at most seven days at once.
"""
_SEARCH_LIMIT = 50
_SPANS_A_TRACE = 20


def journey(sla: Sla) -> Json:
    """The dashboard. It opens on the last week, the longest that Tempo searches at once."""
    about = frame.Frame(
        names.DASHBOARD_JOURNEY,
        "Order journey",
        "Where is order A-1042? Its traces, the steps of one, and its log lines.",
        since="7d",
        refresh="",
    )
    variables = [
        frame.datasource_variable(panels.TEMPO),
        frame.datasource_variable(panels.LOKI),
        frame.text_box("order_id", "Order id"),
        frame.text_box("trace_id", "Trace id"),
    ]
    return frame.dashboard(sla, about, variables, _panels(sla))


def _panels(sla: Sla) -> Iterator[Json]:
    yield panels.text("How to use this page", "For whoever opens it for the first time.", _HELP)
    yield _traces(sla)
    yield panels.trace(
        "Trace $trace_id",
        "The steps of the trace that was clicked above, or whose id stands in the field.",
        panels.tempo("$trace_id"),
    )
    yield _logs()
    yield _became_overdue(sla)


def _traces(sla: Sla) -> Json:
    attribute = f"span.{names.ATTR_ORDER_ID}"
    stage = f"span.{names.ATTR_ORDER_STAGE}"
    query = f"{{ {attribute} = ${{order_id:doublequote}} }} | select({stage}, span:status)"
    search = {"tableType": "traces", "limit": _SEARCH_LIMIT, "spss": _SPANS_A_TRACE}
    here = frame.url(
        sla,
        names.DASHBOARD_JOURNEY,
        "${order_id:queryparam}",
        "${tempo_datasource:queryparam}",
        "${loki_datasource:queryparam}",
        "var-trace_id=${__data.fields.traceID}",
    )
    return panels.table(
        "Traces of $order_id",
        "One for each step of the order, half a minute after it. Click one to see it below.",
        [panels.tempo(query) | search],
        unit="none",
        height=10,
        links=[panels.link("Show this trace below", here)],
        empty="No trace of this order in this time range",
    )


def _logs() -> Json:
    order = names.log_label(names.ATTR_ORDER_ID)
    query = f'{{service_name=~".+"}} | {order} = ${{order_id:doublequote}}'
    return panels.logs(
        "Log lines of $order_id",
        "What every service said while it worked on the order, the first line first.",
        panels.loki(query),
    )


def _became_overdue(sla: Sla) -> Json:
    label = names.log_label
    query = (
        f'{{service_name="{names.COLLECTOR_SERVICE}"}}'
        f' | {label(names.ATTR_EVENT_NAME)} = "{names.EVENT_ORDER_OVERDUE}"'
        f' | {label(names.ATTR_SYSTEM)} = "{sla.system}"'
    )
    return panels.logs(
        "Orders that became overdue",
        "All orders of the system, as the collector told of them: where to start when no order id "
        "is at hand.",
        panels.loki(query),
        height=8,
    )
