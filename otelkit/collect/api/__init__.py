"""What is read of orders: answers over HTTP, and the metrics."""
