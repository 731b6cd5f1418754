"""Servers that do not do what servers do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from shop.servers import HOST


@contextmanager
def silent() -> Iterator[int]:
    """A port that accepts connections and never answers, whatever it is asked."""
    with socket.create_server((HOST, 0), backlog=64) as server:
        yield server.getsockname()[1]


@contextmanager
def full() -> Iterator[int]:
    """A port whose backlog is full: to connect to it takes for ever."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server((HOST, 0), backlog=0))
        address = server.getsockname()
        try:
            while True:
                stack.enter_context(socket.create_connection(address, timeout=0.2))
        except TimeoutError:
            yield address[1]


@contextmanager
def dead() -> Iterator[int]:
    """A port at which nobody listens, and nobody will."""
    with socket.socket() as held:
        held.bind((HOST, 0))
        yield held.getsockname()[1]
