"""The contract's names, as far as Prometheus has a say in them."""

from __future__ import annotations

from typing import Final

from otelkit import names

OF_TARGETS: Final = {"service", "job", "env", "environment", "instance", "namespace", "pod"}
"""What scrape configurations call their targets by: of two alike, one becomes ``exported_...``."""


def test_no_metric_has_a_label_that_targets_have() -> None:
    assert [metric.name for metric in names.METRICS if OF_TARGETS & set(metric.labels)] == []
