"""Collectors for tests: real processes, each with a store of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from collecting import StartCollector
from rigged import LAUNCHER
from shop.services import Collector


@pytest.fixture
def start_collector(tmp_path: Path) -> Iterator[StartCollector]:
    """``start_collector(settings, config)`` starts the shop's collector; it ends with the test.

    With ``clock=FILE`` its clock is what the file says, as :mod:`rigged` has it.
    """
    with ExitStack() as stack:

        def start(
            settings: Mapping[str, str] | None = None, config: str = "", clock: Path | None = None
        ) -> Collector:
            folder = tmp_path / f"collector-{uuid4().hex[:8]}"
            rigged = {} if clock is None else {"RIGGED_CLOCK": str(clock)}
            program = LAUNCHER if rigged else ()
            collector = Collector(folder, settings or {}, config, program=program, env=rigged)
            stack.callback(collector.process.kill)
            collector.start()
            return collector

        yield start
