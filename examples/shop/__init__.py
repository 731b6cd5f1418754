"""A shop of three processes, its SLA file, and the demo that runs them."""
