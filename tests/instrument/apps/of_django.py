"""Under gunicorn ``instrument.apps.of_django:app``, and under uvicorn ``...:asgi_app``."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path, re_path

import otelkit
from instrument.apps import work

work.start()
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="of a test")


def look(_: Any, **_parameters: str) -> Any:
    return HttpResponse(work.look())


def take(_: Any) -> Any:
    return HttpResponse(work.take())


def broken(_: Any) -> Any:
    raise ValueError("broken")


def stream(_: Any) -> Any:
    return StreamingHttpResponse(work.parts())


urlpatterns = [
    path("orders/<str:order_id>", look),
    path("look", look),
    path("take", take),
    path("broken", broken),
    re_path(r"^stream$", stream),
]
sources: dict[str, Any] = {
    "order_header": "X-Order-Id",
    "order_parameter": "order_id",
    "partner_header": "X-Partner",
}
app = otelkit.WSGIMiddleware(get_wsgi_application(), **sources)
asgi_app = otelkit.ASGIMiddleware(get_asgi_application(), **sources)
