"""What events make of orders: states, clocks, policies, counts. Pure; time comes with events."""
