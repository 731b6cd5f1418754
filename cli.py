"""Runs the command line from a checkout: ``python cli.py check sla.yaml``."""

from otelkit.cli import app, main

__all__ = ["app"]

if __name__ == "__main__":
    main()
