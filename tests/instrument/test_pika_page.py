"""docs/pika.md shows what the tests demand of otelkit and what was measured of its peer."""

from __future__ import annotations

import conformance
from instrument.behaviours import BEHAVIOURS


def test_the_table_of_the_page_is_that_of_the_tests() -> None:
    measured, text = conformance.found(), conformance.PAGE_FILE.read_text()
    assert measured["version"] == conformance.PEER_VERSION, "run make conformance"
    assert list(measured["outcomes"]) == list(BEHAVIOURS), "run make conformance"
    assert text == conformance.page(text, measured["version"], measured["outcomes"])
