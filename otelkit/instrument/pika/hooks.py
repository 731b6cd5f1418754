"""Where otelkit holds on to pika: methods of its channels, on the classes or on single objects."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from otelkit.instrument.pika import consuming, getting, publishing, settling
from otelkit.instrument.wrapping import Method, unwrap, wrap

log = logging.getLogger("otelkit")

Hooks = Mapping[str, Callable[[Method], Method]]

# The channel below all of pika's adapters. The methods with an underscore are where frames arrive;
# they are looked up for each one, so that consumers from before ``init`` are covered too.
_CHANNEL: Final[Hooks] = {
    "basic_publish": publishing.sending,
    "confirm_delivery": publishing.confirming,
    "_on_return": publishing.returning,
    "basic_consume": consuming.subscribing,
    "_on_deliver": consuming.delivering,
    "basic_get": getting.asking,
    "_on_getok": getting.receiving,
    "basic_ack": settling.acking,
    "basic_nack": settling.nacking,
    "basic_reject": settling.rejecting,
    "basic_recover": settling.recovering,
}
_BLOCKING_CHANNEL: Final[Hooks] = {
    "basic_publish": publishing.publishing,
    "basic_consume": consuming.registering,
    "_dispatch_events": consuming.dispatching,
    "consume": consuming.iterating,
    "cancel": consuming.cancelling,
}


def instrument_classes() -> bool:
    """Hook into all channels, those that exist included; False where pika is not installed."""
    try:
        for owner, hooks in _classes():
            _wrap(owner, hooks)
    except ImportError:
        return False
    return True


def uninstrument_classes() -> None:
    """Put pika's own methods back."""
    try:
        for owner, hooks in _classes():
            _unwrap(owner, hooks)
    except ImportError:
        return


def instrument(connection: Any) -> None:
    """Instrument the channels of one connection, present and future.

    For services that want no other; ``init`` does it for all. Nothing happens before ``init``.
    """
    impl = getattr(connection, "_impl", connection)
    if not _is_connection("instrument", impl):
        return
    for channel in list(impl._channels.values()):
        _each(channel, _wrap)
    # A blocking connection makes its own channels around those of the connection below it.
    owner = connection if hasattr(connection, "process_data_events") else impl
    _wrap(owner, {"channel": _opening})


def uninstrument(connection: Any) -> None:
    """Undo :func:`instrument`; what ``init`` does remains."""
    impl = getattr(connection, "_impl", connection)
    if not _is_connection("uninstrument", impl):
        return
    for channel in list(impl._channels.values()):
        _each(channel, _unwrap)
    for owner in (connection, impl):
        _unwrap(owner, {"channel": _opening})


def _is_connection(what: str, impl: Any) -> bool:
    if isinstance(getattr(impl, "_channels", None), dict):
        return True
    given = type(impl).__name__
    log.error("otelkit.pika.%s(%s) has no effect: pass a connection of pika", what, given)
    return False


def _classes() -> tuple[tuple[type, Hooks], ...]:
    from pika.adapters.blocking_connection import BlockingChannel
    from pika.channel import Channel

    return ((Channel, _CHANNEL), (BlockingChannel, _BLOCKING_CHANNEL))


def _opening(original: Method) -> Method:
    def channel(connection: Any, *args: Any, **kwargs: Any) -> Any:
        made = original(connection, *args, **kwargs)
        _each(getattr(made, "_impl", made), _wrap)
        return made

    return channel


def _each(channel: Any, change: Callable[[Any, Hooks], None]) -> None:
    """Change a channel, and the blocking one above it if there is one."""
    change(channel, _CHANNEL)
    above = channel._get_cookie()
    if above is not None:
        change(above, _BLOCKING_CHANNEL)


def _wrap(owner: Any, hooks: Hooks) -> None:
    for name, wrapper in hooks.items():
        wrap(owner, name, wrapper)


def _unwrap(owner: Any, hooks: Hooks) -> None:
    for name in hooks:
        unwrap(owner, name)
