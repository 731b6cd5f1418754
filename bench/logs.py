"""What a log call costs the code that makes it, until the record is queued."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from bench.figure import Figure

ROUNDS: Final = 9
CALLS: Final = 4000
PREAMBLE: Final = """
import io, json, logging, sys, time
log = logging.getLogger("bench")
def measure():
    start = time.process_time()
    for n in range({calls}):
        log.info("order %d priced in %d ms by %s", n, n % 7, "m-3", extra={{"stage": "priced"}})
    return time.process_time() - start
"""
OURS: Final = """
import otelkit
from otelkit.instrument import queues
queues.SendQueue._start = lambda self: None
sys.stdout, out = io.StringIO(), sys.stdout
telemetry = otelkit.init(service="bench", endpoint="http://127.0.0.1:9")
"""
"""Both deliver nothing while they are measured: what a thread sends is not the call's cost."""
PEER: Final = """
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, InMemoryLogRecordExporter
class Json(logging.Formatter):
    def format(self, record):
        line = {{"time": self.formatTime(record), "level": record.levelname, "logger": record.name,
                "message": record.getMessage(), "stage": record.stage}}
        return json.dumps(line)
out = sys.stdout
handler = logging.StreamHandler(io.StringIO())
handler.setFormatter(Json())
provider = LoggerProvider()
class Nothing(InMemoryLogRecordExporter):
    def export(self, batch): return None
provider.add_log_record_processor(
    BatchLogRecordProcessor(Nothing(), schedule_delay_millis=10**7, max_queue_size=10**6,
                            max_export_batch_size=10**6))
root = logging.getLogger()
root.setLevel(logging.INFO)
root.addHandler(handler)
root.addHandler(LoggingHandler(logger_provider=provider))
"""
ENDING: Final = """
measure()
print(measure(), file=out, flush=True)
import os; os._exit(0)
"""


def measure() -> Iterator[Figure]:
    """JSON lines and OTLP with redaction, against a JSON formatter and OTel's handler."""
    pairs = [(seconds(OURS), seconds(PEER)) for _ in range(ROUNDS)]
    ours, peers = (statistics.median(side) / CALLS * 1e6 for side in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    measured = f"{ours:.1f} us against {peers:.1f} us a call"
    yield Figure("log call to the queue", "JSON formatter + OTel's handler", ratio, 1.2, measured)


def seconds(setup: str) -> float:
    """Processor time of so many calls in a process of their own, after as many to warm up."""
    code = (PREAMBLE + setup + ENDING).format(calls=CALLS)
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)
