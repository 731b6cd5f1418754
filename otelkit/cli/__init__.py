"""The command line: one module for each command, and the only place that prints or exits.

Exit codes: 0 fine; 1 wrong usage, wrong input, failure, a failed proof; 2 an answer that says no;
3 unknown; 130 on Ctrl-C.
"""

from __future__ import annotations

from otelkit.cli.app import app, main

__all__ = ["app", "main"]
