"""Customers: so many orders a second, the same ones for the same seed.

::

    python -m shop.load http://127.0.0.1:8000 --rate 2 --count 100
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from typing import Any

import httpx

from shop.mes import MODELS

WISHES = 0.04
"""Share of orders for something that nobody can make."""


def orders(seed: str) -> Iterator[dict[str, Any]]:
    """The orders that customers think of, without end."""
    luck = random.Random(f"load {seed}")
    while True:
        wish = luck.random() < WISHES
        yield {
            "model": "perpetual motion machine" if wish else luck.choice(MODELS),
            "amount": round(luck.lognormvariate(7, 1.2)) + 1,
            "tier": "vip" if luck.random() < 0.3 else "standard",
            "partner": luck.choice([None, None, "acme", "globex"]),
        }


def place(api: httpx.Client, order: dict[str, Any]) -> str | None:
    """The id that an order gets, or None when it is refused or the API does not answer."""
    try:
        answer = api.post("/orders", json=order)
    except httpx.HTTPError as error:
        print(f"the API does not answer: {error}", flush=True)
        return None
    return str(answer.json()["id"]) if answer.status_code == 201 else None


def main() -> None:
    parser = argparse.ArgumentParser(description="Places orders at the shop.")
    parser.add_argument("api", help="address of the shop's API")
    parser.add_argument("--rate", type=float, default=2.0, help="orders a second")
    parser.add_argument("--count", type=int, default=1000, help="orders in all")
    parser.add_argument("--seed", default="1")
    given = parser.parse_args()
    start = time.monotonic()
    with httpx.Client(base_url=given.api, timeout=5) as api:
        for number, order in zip(range(given.count), orders(given.seed), strict=False):
            time.sleep(max(start + number / given.rate - time.monotonic(), 0))
            place(api, order)


if __name__ == "__main__":
    main()
