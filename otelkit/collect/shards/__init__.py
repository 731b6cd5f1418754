"""A collector's share of the orders: one shard with all of them, or some of many."""
