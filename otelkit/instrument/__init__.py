"""What a service imports: spans, metrics, logs and order events of one process.

``telemetry`` sets everything up and ``runtime`` holds it; ``observe``, ``http``, ``pika`` and
``orders`` use it, each alone. Nothing here ever raises into the service.
"""
