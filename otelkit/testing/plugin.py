"""The pytest plugin: one fixture. It imports the rest when a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from otelkit.testing.recording import Recording


@pytest.fixture
def telemetry() -> Iterator[Recording]:
    """What the code under test emits; ``otelkit.init`` in it has no effect."""
    from otelkit.testing.recording import recorded

    with recorded() as recording:
        yield recording
