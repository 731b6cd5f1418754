"""Every name that otelkit puts on a wire, once.

Services, the collector, rules, dashboards and the metric reference in ``docs/`` all read
their names here, so a renamed label cannot be renamed in one place only.

Metric and label names follow the Prometheus naming rules and, where one exists, the
OpenTelemetry semantic convention with dots turned into underscores.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram", "gaugehistogram"]
Emitter = Literal["service", "collector"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as it stands on ``/metrics``: counters end in ``_total``, durations are seconds."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    emitter: Emitter


# --- what services expose ------------------------------------------------------------------

HTTP_SERVER_DURATION: Final = Metric(
    "http_server_request_duration_seconds",
    "histogram",
    ("http_request_method", "http_route", "http_response_status_code"),
    "Duration of HTTP server requests.",
    "service",
)
OPERATION_DURATION: Final = Metric(
    "otelkit_operation_duration_seconds",
    "histogram",
    ("operation", "error_type"),
    "Duration of observed operations; error_type is empty when the operation succeeded.",
    "service",
)
MESSAGING_PROCESS_DURATION: Final = Metric(
    "messaging_process_duration_seconds",
    "histogram",
    ("messaging_system", "messaging_destination_name", "messaging_operation_name", "error_type"),
    "Duration of processing one received message; error_type is empty when it succeeded.",
    "service",
)
MESSAGING_SENT: Final = Metric(
    "messaging_client_sent_messages_total",
    "counter",
    ("messaging_system", "messaging_destination_name", "messaging_operation_name", "error_type"),
    "Messages published, by exchange, or by queue on the default exchange.",
    "service",
)
MESSAGING_CONSUMED: Final = Metric(
    "messaging_client_consumed_messages_total",
    "counter",
    ("messaging_system", "messaging_destination_name", "messaging_operation_name"),
    "Messages delivered to the service, by queue.",
    "service",
)
TELEMETRY_DROPPED: Final = Metric(
    "otelkit_telemetry_dropped_total",
    "counter",
    ("signal", "reason"),
    "Spans, log records, order events and scrapes of a collector that were lost.",
    "service",
)

# What Prometheus' own client exposes of a process, unless it cannot read /proc.
PROCESS_CPU: Final = Metric(
    "process_cpu_seconds_total",
    "counter",
    (),
    "Total user and system CPU time spent in seconds.",
    "service",
)
PROCESS_MEMORY: Final = Metric(
    "process_resident_memory_bytes",
    "gauge",
    (),
    "Resident memory size in bytes.",
    "service",
)
PROCESS_OPEN_FILES: Final = Metric(
    "process_open_fds", "gauge", (), "Number of open file descriptors.", "service"
)
PROCESS_MAX_FILES: Final = Metric(
    "process_max_fds", "gauge", (), "Maximum number of open file descriptors.", "service"
)
PROCESS_THREADS: Final = Metric(
    "process_thread_count",
    "gauge",
    (),
    "Threads of the process, those of libraries too.",
    "service",
)
GC_PAUSES: Final = Metric(
    "otelkit_gc_pause_seconds_total",
    "counter",
    ("generation",),
    "Time that garbage collections have stopped the process for.",
    "service",
)
EVENT_LOOP_LAG: Final = Metric(
    "otelkit_event_loop_lag_seconds",
    "histogram",
    (),
    "How late a timer of the event loop fires: for so long it was busy with something else.",
    "service",
)

# --- what the collector exposes ------------------------------------------------------------

ORDERS_OPEN: Final = Metric(
    "otelkit_orders_open",
    "gauge",
    ("system", "process", "stage", "tier"),
    "Orders that are neither done nor cancelled.",
    "collector",
)
ORDERS_PAUSED: Final = Metric(
    "otelkit_orders_paused",
    "gauge",
    ("system", "process", "stage", "tier"),
    "Open orders whose clocks stand still, by the stage they paused in.",
    "collector",
)
ORDERS_OVERDUE: Final = Metric(
    "otelkit_orders_overdue",
    "gauge",
    ("system", "objective", "stage", "tier", "acknowledged"),
    "Orders past their deadline.",
    "collector",
)
ORDERS_AT_RISK: Final = Metric(
    "otelkit_orders_at_risk",
    "gauge",
    ("system", "objective", "stage", "tier"),
    "Orders not yet overdue that are at risk by what the objective says.",
    "collector",
)
ORDER_STAGE_AGE: Final = Metric(
    "otelkit_order_stage_age_seconds",
    "gaugehistogram",
    ("system", "process", "stage", "tier"),
    "Wall-clock time that open orders have been in their stage.",
    "collector",
)
ORDER_STAGE_DURATION: Final = Metric(
    "otelkit_order_stage_duration_seconds",
    "histogram",
    ("system", "process", "stage", "tier"),
    "Wall-clock time that orders spent in a stage they have left.",
    "collector",
)
ORDER_CLOCKS: Final = Metric(
    "otelkit_order_clocks_total",
    "counter",
    ("system", "objective", "tier", "agreement", "outcome"),
    "Order clocks by outcome; a breach counts when it happens.",
    "collector",
)
ORDER_CLOCK_CORRECTIONS: Final = Metric(
    "otelkit_order_clock_corrections_total",
    "counter",
    ("system", "objective", "tier", "from", "to"),
    "Outcomes that a late event turned over after they had been counted.",
    "collector",
)
ORDER_EARLIEST_DEADLINE: Final = Metric(
    "otelkit_order_earliest_deadline_timestamp_seconds",
    "gauge",
    ("system", "objective", "stage", "tier"),
    "The next deadline that an order in this stage has to meet, rounded up to the minute.",
    "collector",
)
ORDER_OVERDUE_DEADLINE: Final = Metric(
    "otelkit_order_overdue_deadline_timestamp_seconds",
    "gauge",
    ("system", "objective", "stage", "order_id"),
    "Deadlines of the longest overdue orders, at most five a stage; for annotations only.",
    "collector",
)
ORDER_EVENTS: Final = Metric(
    "otelkit_order_events_total",
    "counter",
    ("system", "source", "outcome"),
    "Order events received, by configured source and what became of them.",
    "collector",
)
ORDERS_OUTDATED: Final = Metric(
    "otelkit_orders_outdated",
    "gauge",
    ("system", "process"),
    "Open orders with a clock that follows another SLA file than the one in force.",
    "collector",
)
CALENDAR_OPEN: Final = Metric(
    "otelkit_calendar_open",
    "gauge",
    ("system", "calendar"),
    "1 while the calendar is open, else 0.",
    "collector",
)
DLQ_MESSAGES: Final = Metric(
    "otelkit_dlq_messages",
    "gauge",
    ("system", "queue"),
    "Messages in a dead-letter queue.",
    "collector",
)
DLQ_OLDEST_MESSAGE: Final = Metric(
    "otelkit_dlq_oldest_message_timestamp_seconds",
    "gauge",
    ("system", "queue"),
    "When the oldest message of a dead-letter queue arrived there; absent when it is empty.",
    "collector",
)
DLQ_ARRIVALS: Final = Metric(
    "otelkit_dlq_arrivals_total",
    "counter",
    ("system", "queue", "source_queue", "reason"),
    "Messages that arrived in a dead-letter queue.",
    "collector",
)
COLLECTOR_TICK: Final = Metric(
    "otelkit_collector_tick_timestamp_seconds",
    "gauge",
    ("system", "shard"),
    "When the shard last looked for deadlines that have passed.",
    "collector",
)
COLLECTOR_DRIFT: Final = Metric(
    "otelkit_collector_drift",
    "gauge",
    ("system",),
    "By how much counts were wrong when the collector last counted all orders; it mends them.",
    "collector",
)
COLLECTOR_REFUSED: Final = Metric(
    "otelkit_collector_refused_requests_total",
    "counter",
    ("system", "status"),
    "Requests that the collector refused since it started, by the HTTP status of its answer.",
    "collector",
)
SOURCE_UP: Final = Metric(
    "otelkit_source_up",
    "gauge",
    ("system", "source"),
    "1 while the collector reads from the source, else 0.",
    "collector",
)

METRICS: Final[tuple[Metric, ...]] = tuple(
    value for value in list(globals().values()) if isinstance(value, Metric)
)
"""Every metric that otelkit emits, in the order of this file."""

# Bucket bounds in seconds. HTTP and messaging: the OpenTelemetry semantic conventions'
# advice for http.server.request.duration, which messaging.process.duration shares.
DURATION_BUCKETS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
# From what nobody notices to what a client gives up on.
LAG_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
# Stages last from seconds to weeks: powers that people name (1 m, 1 h, 1 d, 1 w).
STAGE_BUCKETS: Final = (
    1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0,
    172800.0, 432000.0, 604800.0, 1209600.0, 2592000.0,
)  # fmt: skip

# --- values of labels ----------------------------------------------------------------------

OUTCOME_MET: Final = "met"
OUTCOME_BREACHED: Final = "breached"
OUTCOME_CANCELLED: Final = "cancelled"
CLOCK_OUTCOMES: Final = (OUTCOME_MET, OUTCOME_BREACHED, OUTCOME_CANCELLED)

NAMED_A_STAGE: Final = 5
"""Overdue orders that ``/metrics`` names for each objective and stage, and an alert in all."""

SEVERITY_PAGE: Final = "page"
SEVERITY_TICKET: Final = "ticket"

DEFAULT_ENVIRONMENT: Final = "default"
"""The ``environment`` label of rules from a file that declares no environments."""

# --- recorded series -----------------------------------------------------------------------

GOOD: Final = "otelkit:objective_good:increase"
TOTAL: Final = "otelkit:objective_total:increase"
BAD: Final = "otelkit:objective_bad:increase"
"""Prefixes of recorded increases; a window such as ``5m`` or ``1h`` completes them."""

ERROR_BUDGET_REMAINING: Final = "otelkit:objective_error_budget_remaining:ratio"
BURN_RATE: Final = "otelkit:objective_burn_rate:ratio"
TARGET: Final = "otelkit:objective_target:ratio"
BUDGET_EVENTS: Final = "otelkit:objective_error_budget:events"
HISTORY_HOURS: Final = "otelkit:objective_history:hours"
PERIOD: Final = "otelkit:objective_period:current"
"""1, with the Unix time at which the calendar period began as its label ``period``."""
OF_PERIOD: Final = "_of_period"
"""Ends the name of an hourly increase that carries the label ``period`` as well."""
PERIOD_HOURS_LEFT: Final = "otelkit:objective_period:hours_left"
RULES_EVALUATED: Final = "otelkit:rules_evaluated:timestamp_seconds"

# --- alerts --------------------------------------------------------------------------------

ALERT_ERROR_BUDGET_BURN: Final = "ErrorBudgetBurn"
ALERT_ORDERS_OVERDUE: Final = "OrdersOverdue"
ALERT_ORDERS_AT_RISK: Final = "OrdersAtRisk"
ALERT_DEAD_LETTERS: Final = "DeadLetters"
ALERT_COLLECTOR_STALE: Final = "CollectorStale"
ALERT_OBJECTIVE_NO_DATA: Final = "ObjectiveNoData"
ALERT_RULES_NOT_EVALUATING: Final = "RulesNotEvaluating"

# --- span and log attributes ---------------------------------------------------------------

ATTR_ORDER_ID: Final = "order.id"
ATTR_ORDER_PROCESS: Final = "order.process"
ATTR_ORDER_STAGE: Final = "order.stage"
ATTR_ORDER_TIER: Final = "order.tier"
ATTR_ORDER_PARTNER: Final = "order.partner"

# --- log records of the collector ----------------------------------------------------------

COLLECTOR_SERVICE: Final = "otelkit-collector"
"""The collector's own ``service.name``."""

ATTR_EVENT_NAME: Final = "event.name"
EVENT_ORDER_MOVED: Final = "order.moved"
EVENT_ORDER_OVERDUE: Final = "order.overdue"
ATTR_OVERDUE_SECONDS: Final = "overdue_seconds"
ATTR_OBJECTIVE: Final = "objective"
ATTR_SYSTEM: Final = "system"
"""An ``order.overdue`` record carries ``system``, ``objective``, ``order.id``, ``order.process``,
``order.stage`` and ``overdue_seconds``, how long the order is past its deadline."""


def log_label(attribute: str) -> str:
    """The name under which Loki keeps an attribute: its label names hold no dots."""
    return attribute.replace(".", "_")


# --- messaging -----------------------------------------------------------------------------

ORDERS_EXCHANGE: Final = "otelkit.orders"
"""Durable topic exchange that services publish order events to; routing key: the process."""

ORDERS_QUEUE: Final = "otelkit.orders"
"""Durable quorum queue from which the collector reads them, in order, one collector at a time."""

SHARDS_EXCHANGE: Final = "otelkit.orders.shards"
"""Where collectors share the work: durable direct exchange, bound to the one above, that leads an
order's events to the queue of its shard, such as ``otelkit.orders.07``."""

UNSORTED_EXCHANGE: Final = "otelkit.orders.unsorted"
"""Its alternate exchange: what does not tell its slot goes to the queue above all the same."""

QUORUM_ARGUMENTS: Final = {"x-queue-type": "quorum", "x-delivery-limit": 2**31 - 1}
"""Of a queue that loses nothing. RabbitMQ 4 deletes what was given out twenty times, as it is to a
collector whose disk is full, unless it is told a limit; to 3.x a negative one would mean once."""

ORDERS_QUEUE_ARGUMENTS: Final = {**QUORUM_ARGUMENTS, "x-single-active-consumer": True}
"""Both ends declare the queue, and RabbitMQ refuses a declaration that differs."""

ATTR_MESSAGE_SETTLED: Final = "otelkit.message.settled"
SETTLED_ACK: Final = "ack"
SETTLED_REQUEUE: Final = "requeue"
SETTLED_REJECT: Final = "reject"
"""What has become of a message, on its process span and on the span that settles it. A rejected
one goes to the dead-letter exchange of its queue, or nowhere."""

ATTR_MESSAGE_REDELIVERED: Final = "otelkit.message.redelivered"
ATTR_MESSAGE_WAITED: Final = "otelkit.message.waited_seconds"
ATTR_MESSAGE_DEATH_REASON: Final = "otelkit.message.death.reason"
ATTR_MESSAGE_DEATH_QUEUE: Final = "otelkit.message.death.queue"
ATTR_MESSAGE_DEATH_COUNT: Final = "otelkit.message.death.count"
"""Why a message is here again: delivered once before, or dead-lettered (the latest of its reasons
and queues, and how often there), and the time since it was published."""

HEADER_ORDER_ID: Final = "otelkit-order-id"
HEADER_ORDER_PROCESS: Final = "otelkit-order-process"
HEADER_ORDER_TIER: Final = "otelkit-order-tier"
HEADER_ORDER_PARTNER: Final = "otelkit-order-partner"
HEADER_SOURCE: Final = "otelkit-source"
"""On events that a collector hands on to a shard: the name of the source that they came from."""

ORDER_HEADERS: Final = (
    HEADER_ORDER_ID,
    HEADER_ORDER_PROCESS,
    HEADER_ORDER_TIER,
    HEADER_ORDER_PARTNER,
)
"""Headers of AMQP and HTTP that carry the order in hand beside ``traceparent``."""

# --- dashboards ----------------------------------------------------------------------------

DASHBOARD_OVERVIEW: Final = "sla-overview"
DASHBOARD_FLOW: Final = "order-flow"
DASHBOARD_JOURNEY: Final = "order-journey"
DASHBOARD_SERVICE: Final = "service"


def dashboard_uid(system: str, dashboard: str) -> str:
    """The uid of a generated dashboard, at most 40 characters as Grafana demands.

    Where the system's name is too long for that, a digest keeps its dashboards apart.
    """
    uid = f"otelkit-{system}-{dashboard}"
    if len(uid) <= 40:
        return uid
    return f"{uid[:31]}-{hashlib.sha256(uid.encode()).hexdigest()[:8]}"
