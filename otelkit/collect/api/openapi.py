"""The description of the API, from its operations and the types of their answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final

import msgspec

from otelkit import events
from otelkit.collect.api import answers, clockanswers, orderanswers
from otelkit.collect.api.requests import KINDS, MAX_PAGE, AckRequest

JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"
OPEN_PATHS: Final = ("/metrics", "/healthz", "/readyz", "/openapi.json")
"""What is answered without a token: nothing in it is secret to whoever may scrape."""
_REF: Final = "#/components/schemas/{name}"
_EVENT: Final = {"$ref": _REF.format(name="OrderMoved")}


@dataclass(frozen=True, slots=True)
class Operation:
    """A path and method, what may be asked, and the types of the answers by status.

    ``name`` is the method that answers it, of whatever serves the API. An answer of no type is
    text.
    """

    name: str
    path: str
    method: str
    summary: str
    answers: Mapping[int, type | None]
    parameters: tuple[Mapping[str, Any], ...] = ()
    body: Mapping[str, Any] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    """Other media types of the answer 200."""


def _query(name: str, description: str, **schema: Any) -> Mapping[str, Any]:
    return {
        "name": name,
        "in": "query",
        "description": description,
        "schema": {"type": "string", **schema},
    }


_LIMIT: Final = _query("limit", "How many at most.", type="integer", minimum=1, maximum=MAX_PAGE)
_FILTERS: Final = (
    _query("state", "`open` are all clocks that run.", enum=[*KINDS], default="overdue"),
    *(
        _query(name, f"Only this {name}.")
        for name in ("process", "objective", "stage", "tier", "partner")
    ),
    _query("acknowledged", "Only orders that are, or are not.", enum=["true", "false"]),
    _query("after", "The `next` of the page before."),
    _LIMIT,
)
_ORDER_ID: Final = {
    "name": "order_id",
    "in": "path",
    "required": True,
    "description": "Its id, or the name that another system gives it.",
    "schema": {"type": "string"},
}

_SLA: Final = {"application/yaml": {"schema": {"type": "string"}}}
_CHANGING: Final = {
    202: clockanswers.Clocks, 400: answers.Refusal, 409: answers.Refusal, 413: answers.Refusal,
    429: answers.Refusal, 503: answers.Refusal,
}  # fmt: skip

OPERATIONS: Final = (
    Operation(
        "metrics", "/metrics", "get",
        "The collector's metrics, for Prometheus.",
        {200: None},
    ),
    Operation(
        "healthz", "/healthz", "get",
        "Whether deadlines are looked for.",
        {200: None, 503: None},
    ),
    Operation(
        "readyz", "/readyz", "get",
        "Whether every source is read, and else why not.",
        {200: answers.Readiness, 503: answers.Readiness},
    ),
    Operation("openapi", "/openapi.json", "get", "This description.", {200: dict}),
    Operation(
        "post_events", "/events", "post",
        "Tell of order events: one CloudEvent, or an array of them.",
        {
            200: answers.Outcome, 202: answers.Accepted, 400: answers.Refusal,
            408: answers.Refusal, 413: answers.Refusal, 422: answers.Outcome,
            429: answers.Refusal, 503: answers.Refusal,
        },
        body={
            events.CONTENT_TYPE: {"schema": _EVENT},
            events.BATCH_CONTENT_TYPE: {"schema": {"type": "array", "items": _EVENT}},
        },
    ),
    Operation(
        "list_orders", "/orders", "get",
        "Clocks of open orders by deadline; as a stream, again when they change.",
        {200: orderanswers.Orders, 400: answers.Refusal, 429: answers.Refusal},
        _FILTERS,
        more={EVENT_STREAM: {"schema": {"type": "string"}}},
    ),
    Operation(
        "order", "/orders/{order_id}", "get",
        "Where an order is, how its clocks stand, how it came there.",
        {200: orderanswers.Found, 404: orderanswers.Unknown}, (_ORDER_ID,),
    ),
    Operation(
        "erase", "/orders/{order_id}", "delete",
        "Delete what is personal of an order.",
        {200: orderanswers.Erased, 404: orderanswers.Unknown}, (_ORDER_ID,),
    ),
    Operation(
        "acknowledge", "/acks", "post",
        "Take a late order as known for a while; `until` in the past ends that.",
        {
            200: orderanswers.Found, 400: answers.Refusal, 404: orderanswers.Unknown,
            409: answers.Refusal, 413: answers.Refusal,
        },
        body={JSON: {"schema": {"$ref": _REF.format(name="AckRequest")}}},
    ),
    Operation(
        "clocks", "/clocks", "get",
        "Which policies clocks follow; how far a plan or its application is.",
        {200: clockanswers.Clocks},
    ),
    Operation(
        "plan", "/clocks/plan", "post",
        "Begin to tell what an SLA file would change.",
        _CHANGING, body=_SLA,
    ),
    Operation(
        "apply", "/clocks/apply", "post",
        "Judge by an SLA file from now on, open orders too.",
        _CHANGING, body=_SLA,
    ),
    Operation(
        "quarantine", "/quarantine", "get",
        "What was no event, the latest first.",
        {200: answers.Quarantine, 400: answers.Refusal}, (_LIMIT,),
    ),
)  # fmt: skip


def document(*, guarded: bool) -> dict[str, Any]:
    """The OpenAPI 3.1 document. ``guarded`` tells whether a token is asked for."""
    types = {
        kind for one in OPERATIONS for kind in one.answers.values() if kind not in {None, dict}
    }
    told = sorted(types | {AckRequest, answers.Refusal}, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(told, ref_template=_REF)
    event = events.json_schema()
    del event["$schema"]
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method] = _operation(one, guarded=guarded)
    return {
        "openapi": "3.1.0",
        "info": {"title": "otelkit collector", "version": version("otelkit")},
        "paths": paths,
        "components": {
            "schemas": schemas | {"OrderMoved": event},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(one: Operation, *, guarded: bool) -> dict[str, Any]:
    found = dict(one.answers)
    asks = guarded and one.path not in OPEN_PATHS
    if asks:
        found[401] = answers.Refusal
    responses = {str(status): _answer(kind) for status, kind in sorted(found.items())}
    if one.more:
        responses["200"]["content"] |= one.more
    body = {} if one.body is None else {"requestBody": {"required": True, "content": one.body}}
    return {
        "operationId": one.name,
        "summary": one.summary,
        "parameters": list(one.parameters),
        "responses": responses,
        "security": [{"token": []}] if asks else [],
        **body,
    }


def _answer(kind: type | None) -> dict[str, Any]:
    if kind is None:
        return {
            "description": "As text.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
    schema = {"type": "object"} if kind is dict else {"$ref": _REF.format(name=kind.__name__)}
    said = "The document." if kind is dict else (kind.__doc__ or "").partition("\n")[0]
    return {"description": said, "content": {JSON: {"schema": schema}}}
