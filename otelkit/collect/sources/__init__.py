"""Where events and dead letters come from: RabbitMQ, tables of others."""
