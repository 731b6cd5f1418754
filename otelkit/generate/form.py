"""The forms in which rules and routes are written."""

from __future__ import annotations

from enum import StrEnum


class Form(StrEnum):
    """Files for Prometheus and Alertmanager, or resources for the Prometheus operator."""

    PROMETHEUS = "prometheus"
    OPERATOR = "prometheus-operator"
