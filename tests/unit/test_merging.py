"""The lists of all shards as one, page by page."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException

from otelkit.collect.api import orderanswers, requests
from otelkit.collect.shards.front import Front
from otelkit.collect.shards.merging import cursor, merged

SHARDS = range(3)
Alarms = list[tuple[float, int]]
LISTED = orderanswers.Listed("", "", "", "", "", "", None, "", 0.0, None, "")


def page(alarms: Alarms, after: str | None, limit: int) -> orderanswers.Orders:
    """As a shard answers: at most ``limit``, and where the list goes on if there may be more."""
    behind = (float("-inf"), 0) if after is None else requests.cursor(after)
    found = [alarm for alarm in sorted(alarms) if alarm > behind][:limit]
    orders = [replace(LISTED, after=orderanswers.cursor(alarm)) for alarm in found]
    return orderanswers.Orders(orders, None if len(found) < limit else orders[-1].after)


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from((1.0, 2.5, 1e9 / 3)), st.integers(1, 9)), unique=True),
        min_size=3,
        max_size=3,
    ),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_pages_of_all_shards_are_the_whole_list_in_order(
    shards: list[Alarms], limit: int, own_limit: int
) -> None:
    """Also where shards answer with shorter pages than they were asked for."""
    found: list[tuple[float, int, int]] = []
    after = None
    while True:
        asked = cursor(after, SHARDS)
        pages = {n: page(shards[n], asked[n].get("after"), min(limit, own_limit)) for n in SHARDS}
        told = merged(pages, limit)
        assert len(told.orders) <= limit
        found += [place(one.after) for one in told.orders]
        after = told.next
        if after is None:
            break
    assert found == sorted((t, n, number) for n in SHARDS for t, number in shards[n])


def place(after: str) -> tuple[float, int, int]:
    instant, shard, number = after.split(",")
    return float(instant), int(shard), int(number)


@pytest.mark.parametrize(
    "after",
    [f"1.0,{'9' * 5000},1", "1.0,3,1", "1.0,-1,1", "1.0,\u0662,1", "1.0,01,1", "nan,1,1", "1"],
)
def test_a_place_that_no_page_named_is_refused(after: str) -> None:
    with pytest.raises(HTTPException) as refused:
        cursor(after, SHARDS)
    assert refused.value.status_code == 400


def test_a_shard_that_cannot_be_is_held_by_nobody() -> None:
    fleet: Any = SimpleNamespace(shards=SHARDS, held=lambda _: None)
    app = Front(fleet, cast("Any", None), CollectorRegistry(), None, lambda: False).app()

    async def ask(shard: str) -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            return (await client.get(f"http://front/shards/{shard}/orders")).status_code

    for shard in ("00", "03", "9" * 5000, "\u0660\u0660", ""):
        assert asyncio.run(ask(shard)) == 421
