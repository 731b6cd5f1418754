"""Children of a fork begin anew, and what they said last is delivered however they end."""

from __future__ import annotations

from pathlib import Path

import pytest

from instrument.conftest import StartChild
from instrument.otlp import OtlpEndpoint
from shop.waiting import until

START = """
import logging, signal
telemetry = otelkit.init(service="shop", logs=False)
@otelkit.observe
def work(name="work"):
    with telemetry.tracer.start_as_current_span(name): pass
def calls():
    from prometheus_client import REGISTRY
    labels = {"operation": "work", "error_type": ""}
    return REGISTRY.get_sample_value("otelkit_operation_duration_seconds_count", labels)
"""


def ran(child: StartChild, otlp: OtlpEndpoint, code: str) -> list[str]:
    """The lines that it printed."""
    return child(START + code, OTEL_EXPORTER_OTLP_ENDPOINT=otlp.url).end().splitlines()


def sent(otlp: OtlpEndpoint) -> list[str]:
    return sorted(span.name for _, span in otlp.spans if span.name != "work")


def test_counters_are_zero_in_a_child_and_untouched_in_its_parent(
    child: StartChild, otlp: OtlpEndpoint
) -> None:
    code = """
work()
if (pid := os.fork()) == 0:
    work(); work()
    print("child", calls(), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print("parent", calls())
"""
    assert ran(child, otlp, code) == ["child 2.0", "parent 1.0"]


def test_what_the_parent_has_queued_is_sent_once_and_the_child_sends_its_own(
    child: StartChild, otlp: OtlpEndpoint
) -> None:
    code = """
work("of the parent")
if (pid := os.fork()) == 0:
    work("of the child")
    sys.exit()
os.waitpid(pid, 0)
"""
    ran(child, otlp, code)
    assert sent(otlp) == ["of the child", "of the parent"]


def test_a_local_telemetry_begins_anew_in_a_child_like_that_of_the_process(
    child: StartChild, otlp: OtlpEndpoint
) -> None:
    code = """
with otelkit.local(service="part", endpoint=os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]) as part:
    def step(name):
        with otelkit.observe(name): pass
        part.metrics.dropped.labels("spans", "shutdown").inc()
        return part.metrics.dropped.labels("spans", "shutdown")._value.get()
    step("of the parent")
    if (pid := os.fork()) == 0:
        print(step("of the child"), part.flush(20), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
"""
    assert ran(child, otlp, code) == ["1.0 True"]
    assert sent(otlp) == ["of the child", "of the parent"]


def test_a_fork_while_every_lock_is_held_leaves_the_child_able_to_work(
    child: StartChild, otlp: OtlpEndpoint
) -> None:
    code = """
import threading
ended = threading.Event()
def busy():
    while not ended.wait(0.0005): work(); logging.getLogger("x").warning("busy")
threads = [threading.Thread(target=busy) for _ in range(3)]
for thread in threads: thread.start()
pids = []
for n in range(20):
    if (pid := os.fork()) == 0:
        work("of child %d" % n)
        print(telemetry.flush(20), flush=True)
        os._exit(0)
    pids.append(pid)
for pid in pids: assert os.waitpid(pid, 0)[1] == 0
ended.set()
"""
    assert ran(child, otlp, code) == ["True"] * 20
    assert sent(otlp) == sorted(f"of child {n}" for n in range(20))


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_a_child_of_multiprocessing_that_ends_by_os_exit_has_delivered_what_it_said(
    child: StartChild, otlp: OtlpEndpoint, tmp_path: Path, method: str
) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"""import sys, otelkit
{START}
if __name__ == "__main__":
    import multiprocessing
    context = multiprocessing.get_context("{method}")
    for n in range(2):
        started = context.Process(target=work, args=("of child %d" % n,))
        started.start()
        started.join()
""")
    code = f"os.execv(sys.executable, [sys.executable, {str(program)!r}])"
    child(code, OTEL_EXPORTER_OTLP_ENDPOINT=otlp.url).end()
    assert sent(otlp) == ["of child 0", "of child 1"]


def test_a_child_ended_by_os_exit_delivers_what_it_flushed(
    child: StartChild, otlp: OtlpEndpoint
) -> None:
    code = """
if (pid := os.fork()) == 0:
    work("of the child")
    print(telemetry.flush(), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
"""
    assert ran(child, otlp, code) == ["True"]
    assert sent(otlp) == ["of the child"]


def test_a_process_that_sigterm_ends_delivers_what_it_said_and_still_ends_by_the_signal(
    child: StartChild, otlp: OtlpEndpoint
) -> None:
    code = f"{START}work('the last'); print('said', flush=True); time.sleep(60)"
    ending = child(code, OTEL_EXPORTER_OTLP_ENDPOINT=otlp.url)
    assert ending.line() == "said"
    ending.process.terminate()
    assert ending.process.wait(10) == -15
    assert sent(otlp) == ["the last"]


def test_a_handler_of_the_service_for_sigterm_is_left_alone(
    child: StartChild, otlp: OtlpEndpoint
) -> None:
    code = """
def handle(*_): print("mine", flush=True)
signal.signal(signal.SIGTERM, handle)
telemetry.shutdown()
again = otelkit.init(service="shop", logs=False)
os.kill(os.getpid(), signal.SIGTERM)
print("lives")
"""
    assert ran(child, otlp, code) == ["mine", "lives"]


def test_a_celery_worker_delivers_what_its_prefork_children_said(
    child: StartChild, otlp: OtlpEndpoint, vhost: str
) -> None:
    code = f"""
import celery, threading
app = celery.Celery("shop", broker={vhost!r}, backend="rpc://")
@app.task
def price(): work("of a task")
"""
    program = f"""
{START}{code}
if (pid := os.fork()) == 0:
    app.worker_main(["worker", "--pool=prefork", "--concurrency=2", "--loglevel=ERROR",
                     "--without-gossip", "--without-mingle", "--without-heartbeat"])
    sys.exit()
for task in [price.delay() for _ in range(4)]: task.get(timeout=20)
os.kill(pid, signal.SIGTERM)
os.waitpid(pid, 0)
"""
    child(program, OTEL_EXPORTER_OTLP_ENDPOINT=otlp.url, OTEL_BSP_SCHEDULE_DELAY="60000").end(40)
    assert until(lambda: sent(otlp) == ["of a task"] * 4, 5)
