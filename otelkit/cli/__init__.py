"""The command line: one module for each command, and the only place that prints or exits.

Exit codes: 0 fine; 1 wrong usage, wrong input, failure, a failed proof; 2 an answer that says no;
3 unknown; 130 on Ctrl-C.
"""

from __future__ import annotations

import sys

try:
    from otelkit.cli.app import app, main
except KeyboardInterrupt:  # this takes a while, on a busy machine a second
    sys.exit(130)

__all__ = ["app", "main"]
