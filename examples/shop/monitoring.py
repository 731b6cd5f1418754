"""Prometheus and Alertmanager for the shop: the committed rules, every second."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from otelkit import spec
from otelkit.generate import stack
from shop.prometheus import Alertmanager, Prometheus
from shop.servers import HOST
from shop.services import SLA_FILE
from shop.waiting import Pause


def alertmanager(folder: Path, pause: Pause = time.sleep) -> Alertmanager:
    """An Alertmanager with the routes that are generated for the shop."""
    return Alertmanager(folder, stack.alertmanager(spec.load(SLA_FILE), SLA_FILE.name), pause)


def prometheus(
    folder: Path,
    rules: Path,
    targets: Mapping[str, int],
    alertmanager: Alertmanager,
    pause: Pause = time.sleep,
) -> Prometheus:
    """A Prometheus that evaluates the rule files in ``rules``; ``targets`` are ports by job.

    Time runs fast in the shop, so everything happens every second.
    """
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [f"{rules.resolve()}/*.rules.yml"],
        "alerting": {"alertmanagers": [_targets(alertmanager.port)]},
        "scrape_configs": [{"job_name": job, **_targets(port)} for job, port in targets.items()],
    }
    # JSON is YAML, and paths with odd characters stay what they are.
    return Prometheus(folder, json.dumps(config, indent=2), pause=pause)


def _targets(port: int) -> dict[str, Any]:
    return {"static_configs": [{"targets": [f"{HOST}:{port}"]}]}


def alerts(alertmanager: Alertmanager) -> list[dict[str, Any]]:
    """The alerts that Alertmanager has received, the inhibited ones too."""
    try:
        answer = httpx.get(f"{alertmanager.url}/api/v2/alerts", timeout=5)
        return list(answer.raise_for_status().json())
    except (httpx.HTTPError, ValueError):
        return []
