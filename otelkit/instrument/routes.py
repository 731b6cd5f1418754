"""Which route serves a request, asked of the framework that found it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

from otelkit.instrument.wrapping import wrap

_DJANGO: Final = "otelkit.django.match"
"""Where Django's match is kept: it stands on its request alone, which nobody outside sees."""
Environ = MutableMapping[str, Any]
"""An ASGI scope, or a WSGI environ."""


@dataclass(frozen=True, slots=True)
class Match:
    """The template of a route (``/orders/{id}``; empty where none was found), and what it took."""

    route: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)


def of_asgi(scope: Environ) -> Match:
    """As Starlette, FastAPI and Django leave it in the scope."""
    if _DJANGO in scope:
        return _of_django(scope[_DJANGO])
    return Match(_of_starlette(scope), scope.get("path_params") or {})


def of_wsgi(environ: Environ) -> Match:
    """As Flask and Django leave it in the environ."""
    if _DJANGO in environ:
        return _of_django(environ[_DJANGO])
    request = environ.get("werkzeug.request")
    rule = getattr(request, "url_rule", None)
    return Match(str(getattr(rule, "rule", "")), getattr(request, "view_args", None) or {})


def watch_django() -> None:
    """Have Django leave its match where we find it, in a process that uses Django."""
    base = sys.modules.get("django.core.handlers.base")
    if base is not None:
        wrap(base.BaseHandler, "resolve_request", _remembering)


def _remembering(original: Callable[..., Any]) -> Callable[..., Any]:
    def resolve_request(handler: Any, request: Any) -> Any:
        match = original(handler, request)
        # The one has an environ, the other a scope.
        for environ in (getattr(request, "environ", None), getattr(request, "scope", None)):
            if environ is not None:
                environ[_DJANGO] = match
        return match

    return resolve_request


def _of_django(match: Any) -> Match:
    return Match(f"/{match.route}", match.kwargs)


def _of_starlette(scope: Environ) -> str:
    route = scope.get("route")
    endpoint = scope.get("endpoint")
    if route is None and endpoint is not None:
        routes = getattr(scope.get("router"), "routes", ())
        route = next((r for r in routes if getattr(r, "endpoint", None) is endpoint), None)
    return str(getattr(route, "path_format", "") or getattr(route, "path", ""))
