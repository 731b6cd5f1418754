"""Collectors for tests: real processes, each with a store of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from collecting import StartCollector
from shop.services import Collector


@pytest.fixture
def start_collector(tmp_path: Path) -> Iterator[StartCollector]:
    """``start_collector(settings, config)`` starts the shop's collector; it ends with the test."""
    with ExitStack() as stack:

        def start(settings: Mapping[str, str] | None = None, config: str = "") -> Collector:
            folder = tmp_path / f"collector-{uuid4().hex[:8]}"
            collector = Collector(folder, settings or {}, config)
            stack.callback(collector.process.kill)
            collector.start()
            return collector

        yield start
