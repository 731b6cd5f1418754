"""Where orders are kept: a store over SQLite or PostgreSQL, and the leases on parts of it."""
