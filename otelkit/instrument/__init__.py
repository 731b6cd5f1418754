"""What a service imports: spans, metrics, logs and order events of one process.

``init`` is told what to set up, ``telemetry`` does it and ``runtime`` holds it; ``observe``,
``asgi``, ``wsgi``, ``outgoing``, ``pika`` and ``orders`` use it, each alone. Nothing here ever
raises into the service.
"""
