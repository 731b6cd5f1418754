"""The work on orders: batches of events and ticks, each one transaction, counted once."""
