"""The line over RabbitMQ."""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import TYPE_CHECKING

import pika
from pika.exceptions import AMQPError

from otelkit.errors import UnavailableError
from shop.line import CRM_QUEUE, DEAD_LETTERS, MES_QUEUE, Handle, Message, Rejected

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel
    from pika.spec import Basic

DEAD_LETTER_EXCHANGE = "orders.dead"

log = logging.getLogger(__name__)
logging.getLogger("pika").setLevel(logging.CRITICAL)  # it tells of a lost broker in tracebacks


class RabbitLine:
    """Durable queues; what is rejected goes to the dead-letter queue."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._sender: BlockingChannel | None = None

    def send(self, queue: str, message: Message) -> None:
        body = json.dumps(message).encode()
        properties = pika.BasicProperties(delivery_mode=2, content_type="application/json")
        with self._lock:
            try:
                self._sender = self._sender or self._open()
                self._sender.basic_publish("", queue, body, properties, mandatory=True)
            except (AMQPError, OSError) as error:
                self._sender = None
                raise UnavailableError(f"RabbitMQ did not take a message for {queue}") from error

    def serve(self, queue: str, handle: Handle) -> None:
        def on_message(
            channel: BlockingChannel,
            method: Basic.Deliver,
            _properties: pika.BasicProperties,
            body: bytes,
        ) -> None:
            try:
                handle(json.loads(body))
            except Rejected as reason:
                log.error("rejected: %s", reason)
                channel.basic_nack(method.delivery_tag, requeue=False)
            else:
                channel.basic_ack(method.delivery_tag)

        while True:
            try:
                channel = self._open()
                channel.basic_qos(prefetch_count=1)
                channel.basic_consume(queue, on_message)
                channel.start_consuming()
            except (AMQPError, OSError, UnavailableError):
                log.warning("RabbitMQ is away; trying again")
                time.sleep(1)

    def _open(self) -> BlockingChannel:
        parameters = pika.URLParameters(self._url)
        parameters.heartbeat = 0  # a thread that works on an order for long answers none
        channel = pika.BlockingConnection(parameters).channel()
        channel.confirm_delivery()
        channel.exchange_declare(DEAD_LETTER_EXCHANGE, "fanout", durable=True)
        channel.queue_declare(DEAD_LETTERS, durable=True)
        channel.queue_bind(DEAD_LETTERS, DEAD_LETTER_EXCHANGE)
        for name in (CRM_QUEUE, MES_QUEUE):
            arguments = {"x-dead-letter-exchange": DEAD_LETTER_EXCHANGE}
            channel.queue_declare(name, durable=True, arguments=arguments)
        return channel
