"""The shop's API: takes orders and hands them to the CRM."""

from __future__ import annotations

import itertools
import logging
import os
import secrets
from typing import Literal

import uvicorn
from fastapi import FastAPI, HTTPException
from prometheus_client import Counter
from pydantic import BaseModel, Field

import otelkit
from shop.line import CRM_QUEUE, Outbox, open_line
from shop.steps import version

RABBITMQ = "amqp://guest:guest@127.0.0.1:5672/%2F"
LARGEST_ORDER = 100_000

log = logging.getLogger("shop.api")


class NewOrder(BaseModel):
    model: str
    amount: int = Field(gt=0, description="in euros")
    tier: Literal["vip", "standard"] = "standard"
    partner: str | None = None


class Order(NewOrder):
    id: str


def create_app(outbox: Outbox) -> FastAPI:
    """The API. Its orders live in memory: where they are by now, the collector knows."""
    app = FastAPI(title="Shop")
    app.add_middleware(otelkit.ASGIMiddleware, order_parameter="order_id")
    checkouts = Counter("shop_checkouts", "Orders by what became of them.", ["outcome"])
    accepted, refused = checkouts.labels("accepted"), checkouts.labels("refused")
    orders: dict[str, Order] = {}
    run, numbers = secrets.randbelow(10**9), itertools.count(1)  # no other worker or start has it

    @app.post("/orders", status_code=201)
    def submit(new: NewOrder) -> Order:
        if new.amount > LARGEST_ORDER:
            refused.inc()
            raise HTTPException(422, f"orders above {LARGEST_ORDER} euros need a contract")
        order = Order(id=f"A-{run}-{next(numbers)}", **new.model_dump())
        orders[order.id] = order
        with otelkit.order(order.id, tier=order.tier, partner=order.partner) as moving:
            moving.moved_to("submitted", version=version("submitted"))
            log.info("submitted")
            outbox.send(CRM_QUEUE, order.model_dump())
        accepted.inc()
        return order

    @app.get("/orders/{order_id}")
    def get(order_id: str) -> Order:
        if order_id not in orders:
            raise HTTPException(404, f"there is no order {order_id}")
        return orders[order_id]

    return app


def serve() -> FastAPI:
    """The API with its telemetry, for a server with several workers.

    ::

        export PROMETHEUS_MULTIPROC_DIR=$(mktemp -d)
        uvicorn --factory shop.api:serve --workers 2
        gunicorn 'shop.api:serve()' --worker-class uvicorn.workers.UvicornWorker --workers 2
    """
    line = os.environ.get("SHOP_LINE", RABBITMQ)
    otelkit.init(service="shop-api", events=line, metrics_port=9101)
    return create_app(Outbox(open_line(line)))


def main() -> None:
    uvicorn.run(serve(), port=int(os.environ.get("SHOP_API_PORT", "8000")), log_config=None)


if __name__ == "__main__":
    main()
