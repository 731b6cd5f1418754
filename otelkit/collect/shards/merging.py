"""One list by deadline out of the lists of all shards, a page at a time.

Alarms come in the order of (instant, shard, number), and an ``after`` names all three: whatever
happens between two pages, an alarm behind it is given and one before it is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace
from starlette.exceptions import HTTPException

from otelkit.collect.api import orderanswers, requests
from otelkit.collect.storage.alarms import LAST_NUMBER, Alarm

Place = tuple[float, int, int]
"""An instant, a shard, and the number of an order there."""


def cursor(text: str | None, shards: Sequence[int]) -> dict[int, dict[str, str]]:
    """What each shard is asked for by an ``after``."""
    if text is None:
        return {shard: {} for shard in shards}
    instant, _, rest = text.partition(",")
    shard, _, number = rest.partition(",")
    if shard not in map(str, shards):
        raise HTTPException(400, f"after={text[:40]!r}; give what `next` said")
    last = requests.cursor(f"{instant},{number}")
    return {one: {"after": orderanswers.cursor(_after(last, int(shard), one))} for one in shards}


def _after(last: Alarm, shard: int, asked: int) -> Alarm:
    """Where a shard goes on behind the last alarm, which another may have given."""
    if asked == shard:
        return last
    return last[0], LAST_NUMBER if asked < shard else 0


def merged(pages: Mapping[int, orderanswers.Orders], limit: int) -> orderanswers.Orders:
    """The first of what all shards found. It ends where some shard may know of more."""
    found = sorted(
        ((_place(one.after, shard), one) for shard, page in pages.items() for one in page.orders),
        key=lambda placed: placed[0],
    )
    ends = [_place(page.next, shard) for shard, page in pages.items() if page.next is not None]
    last = min(ends, default=None)
    if len(found) > limit:
        last = min(last or found[limit - 1][0], found[limit - 1][0])
    orders = [
        replace(one, after=_told(place)) for place, one in found if last is None or place <= last
    ]
    return orderanswers.Orders(orders, None if last is None else _told(last))


def _place(after: str, shard: int) -> Place:
    instant, number = requests.cursor(after)
    return instant, shard, number


def _told(place: Place) -> str:
    instant, shard, number = place
    return f"{instant!r},{shard},{number}"
