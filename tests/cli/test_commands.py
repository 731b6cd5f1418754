"""The installed command as a process: exit codes, what it says and where, and how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from conftest import missing
from shop.servers import MissingServerError, find_program
from shop.waiting import until

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "examples" / "shop" / "sla.yaml"
OTELKIT = Path(sys.executable).with_name("otelkit")
COMMANDS = (
    "init", "check", "generate", "prove", "explain", "diff", "backtest", "gate", "import sloth",
    "import openslo", "collect", "backup", "divide", "order", "orders overdue", "orders load",
    "orders ack", "orders erase", "clocks plan", "clocks apply", "clocks show", "schema",
)  # fmt: skip
FREE = "http://127.0.0.1:1"
FIVE = """\
version: 1
system: my shop
services: {api: {}}
objectives:
  - {name: a, service: apj, availability: 99%}
  - {name: b, service: api, availability: 101%}
  - {name: c, service: api, latency: {below: 300ms, target: 99%}}
  - {name: d, service: api, availability: 99%, sevrity: page}
"""
DOUBTFUL = """\
objectives:
  - {name: sums, good: a_sum, total: a_total, target: 99%}
"""


class Done:
    """How a run of the command ended; nothing that it says is ever a traceback."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code, self.out, self.err = done.returncode, done.stdout or "", done.stderr or ""
        assert "Traceback" not in self.out + self.err
        assert "Exception ignored" not in self.err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def otelkit(*arguments: str | bytes | Path, **options: Any) -> Done:
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    command = [OTELKIT, *arguments]
    return Done(subprocess.run(command, check=False, text=True, timeout=120, **options))


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.yaml"
    path.write_text(FIVE)
    return path


# --- usage ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "Usage: otelkit"),
        ("nope", "No such command 'nope'"),
        ("--nope", "No such option: --nope"),
        ("gate --nope", "No such option: --nope"),
        ("generate --nope", "No such option: --nope"),
        ("generate x.yaml", "Missing option '--output'"),
        ("check", "Missing argument 'SLA'"),
        ("check a b", "Got unexpected extra argument(s) (b)"),
        ("orders", "Usage: otelkit orders"),
        ("orders overdue --limit many", "Invalid value for '--limit'"),
        ("orders overdue --limit 0", "Invalid value for '--limit'"),
        ("order A-1 --collector u:secret@host", "no address; write one such as http://host:9090"),
        ("gate x.yaml --prometheus host:9090", "no address; write one such as http://host:9090"),
    ],
)
def test_wrong_usage_exits_1_and_says_on_stderr_what_is_wrong(arguments: str, said: str) -> None:
    done = otelkit(*arguments.split())
    assert (done.code, said in done.out + done.err) == (1, True), done.err
    assert "secret" not in done.err
    assert not arguments.startswith("-") or done.out == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = otelkit(*command.split(), "--help")
    assert (done.code, done.err) == (0, "")
    assert f"Example: otelkit {command}" in " ".join(done.out.split()).replace(
        "Example: OTELKIT_COLLECTOR_AMQP=amqp://user:password@rabbitmq", "Example:"
    )


def test_the_commands_are_those_tested_here() -> None:
    listed = otelkit("--help").out.partition("Commands:")[2].split("\n\n")[0].split("\n")[1:]
    assert {line.split()[0] for line in listed} == {command.split()[0] for command in COMMANDS}


@pytest.mark.parametrize("group", ["", "orders", "clocks", "import"])
def test_the_list_of_commands_says_whole_sentences(group: str) -> None:
    listed = otelkit(*group.split(), "--help").out.partition("Commands:")[2].splitlines()
    assert [line for line in listed if line.endswith("...")] == []


def test_the_version_is_the_packages() -> None:
    from otelkit import __version__

    assert otelkit("--version").out == f"otelkit {__version__}\n"


def test_a_checkout_has_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "cli.py", "check", SHOP], check=False, capture_output=True
    )
    assert done.returncode == 0


# --- init and check ------------------------------------------------------------------------


def test_init_writes_a_file_that_check_and_generate_take(tmp_path: Path) -> None:
    done = otelkit("init", tmp_path / "deep" / "down")
    path = tmp_path / "deep" / "down" / "sla.yaml"
    assert (done.code, done.err) == (0, "")
    assert done.out == f"wrote {path}\nnext: otelkit check {path}\n"
    done = otelkit("check", path)
    assert done.out.startswith(f"{path}: fine. System shop: 5 objectives, 1 service, 1 process")
    assert otelkit("generate", path, "-o", tmp_path / "out").code == 0


def test_init_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "sla.yaml").write_text("mine")
    done = otelkit("init", tmp_path)
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        f"otelkit: {tmp_path}/sla.yaml is there already; edit it, or name another folder\n"
    )
    assert (tmp_path / "sla.yaml").read_text() == "mine"


@pytest.mark.parametrize("folder", ["/proc/nowhere", "/dev/null"])
def test_init_where_nothing_can_be_written_is_a_sentence(folder: str) -> None:
    done = otelkit("init", folder)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"otelkit: cannot write {folder}/sla.yaml: ")
    assert done.err.endswith("; name another folder\n")


def test_check_reports_five_mistakes_with_their_lines(broken: Path) -> None:
    done = otelkit("check", broken)
    assert done.code == 1
    told = [line for line in done.out.splitlines() if line.startswith(str(broken))]
    assert [line.removeprefix(f"{broken}:").split(": ")[:2] for line in told] == [
        ["2:9", "system"],
        ["5:24", "objectives[0].service"],
        ["6:43", "objectives[1].availability"],
        ["7:46", "objectives[2].latency.below"],
        ["8:48", "objectives[3].sevrity"],
    ]
    assert done.err == f"5 problems in {broken}; mend them and check again\n"


def test_check_answers_programs_as_json(broken: Path) -> None:
    done = otelkit("check", broken, "--json")
    assert (done.code, done.err, done.json["ok"]) == (1, "", False)
    assert done.json["problems"][2] == {
        "file": str(broken),
        "line": 6,
        "column": 43,
        "path": "objectives[1].availability",
        "message": "101% is above 100%; write a share such as 99.9%",
        "source": "  - {name: b, service: api, availability: 101%}",
    }
    done = otelkit("check", SHOP, "--json")
    assert (done.code, done.json["ok"], done.json["problems"]) == (0, True, [])
    assert done.json["holds"]["objective"] == 6


def test_check_tells_what_is_doubtful_and_exits_0(tmp_path: Path) -> None:
    path = tmp_path / "sla.yaml"
    path.write_text(FIVE.partition("objectives:")[0].replace("my shop", "shop") + DOUBTFUL)
    said = "a_sum: this is a sum of what was measured, not a count of events"
    done = otelkit("check", path)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"warning: {path}:5:24: objectives[0].good: {said}")
    assert done.out.endswith(f"{path}: fine. System shop: 1 objective, 1 service.\n")
    done = otelkit("check", path, "--json")
    assert (done.code, done.json["ok"], done.json["problems"]) == (0, True, [])
    (warning,) = done.json["warnings"]
    assert (warning["line"], warning["path"]) == (5, "objectives[0].good")


# --- generate ------------------------------------------------------------------------------


def test_generate_writes_then_compares(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    done = otelkit("generate", SHOP, "-o", folder, "--check")
    assert (done.code, folder.exists()) == (2, False)
    assert "32 new; run it without --check to write them" in done.err
    done = otelkit("generate", SHOP, "-o", folder)
    assert done.code == 0
    assert done.out.splitlines()[0] == "+ alert_rules/shop.api-availability.rules.yml"
    assert done.err == f"{folder}: 32 files, 32 new\n"
    done = otelkit("generate", SHOP, "-o", folder, "--check")
    assert (done.code, done.out, done.err) == (0, "", f"{folder}: 32 files, all up to date\n")


def test_generate_check_says_what_would_change_and_changes_nothing(tmp_path: Path) -> None:
    otelkit("generate", SHOP, "-o", tmp_path)
    edited = tmp_path / "alert_rules" / "shop.checkout.rules.yml"
    edited.write_text("edited")
    (tmp_path / "collectors" / "shop.routes.yml").unlink()
    left = tmp_path / "proofs" / "shop.gone.test.yml"
    shutil.copy(tmp_path / "proofs" / "shop.sli.test.yml", left)
    done = otelkit("generate", SHOP, "-o", tmp_path, "--check", "--json")
    assert (done.code, done.err) == (2, "")
    assert {key: value for key, value in done.json.items() if key != "files"} == {
        "folder": str(tmp_path),
        "written": False,
        "added": ["collectors/shop.routes.yml"],
        "changed": ["alert_rules/shop.checkout.rules.yml"],
        "removed": ["proofs/shop.gone.test.yml"],
    }
    assert len(done.json["files"]) == 32
    assert edited.read_text() == "edited"
    assert left.exists()
    assert not (tmp_path / "collectors" / "shop.routes.yml").exists()


def test_generate_writes_nothing_of_a_broken_file(broken: Path, tmp_path: Path) -> None:
    done = otelkit("generate", broken, "-o", tmp_path / "out")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"{broken}:2:9: system: ")
    assert not (tmp_path / "out").exists()


def test_generate_into_a_folder_that_cannot_be_written_is_a_sentence() -> None:
    done = otelkit("generate", SHOP, "-o", "/proc/nowhere")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "otelkit: cannot write to /proc/nowhere: No such file or directory; "
        "choose another folder with -o\n"
    )


def test_a_file_name_that_is_no_text_stays_out_of_the_files(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff\nrules: [].yaml"
    shutil.copy(os.fsencode(SHOP), name)
    assert otelkit("check", name).code == 0
    assert otelkit("generate", name, "-o", tmp_path / "out").code == 0
    rules = (tmp_path / "out" / "alert_rules" / "shop.sli.rules.yml").read_text()
    assert r"# Generated by otelkit from '\udcff\nrules: [].yaml'." in rules


# --- prove ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def promtool() -> str:
    try:
        return find_program("promtool", "prometheus")
    except MissingServerError as error:
        missing(error)


@pytest.mark.usefixtures("promtool")
def test_prove_runs_every_proof_of_the_shop() -> None:
    done = otelkit("prove", SHOP, "--json")
    assert (done.code, done.err) == (0, "")
    assert {one["proof"] for one in done.json["proofs"]} == {
        path.name for path in (ROOT / "proofs").iterdir()
    }
    assert done.json["ok"]
    assert all(one["passed"] and one["seconds"] > 0 for one in done.json["proofs"])


def test_prove_without_promtool_is_a_sentence(tmp_path: Path) -> None:
    done = otelkit("prove", SHOP, env={"PATH": str(tmp_path)})
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "otelkit: promtool is not on the PATH, and proofs are run by it; "
        "install Debian's package prometheus, or a Prometheus release\n"
    )


def test_prove_says_which_proof_fails_and_exits_1(tmp_path: Path, promtool: str) -> None:
    """A promtool that hides one rule file's alerts stands in for rules that are wrong."""
    wrapper = tmp_path / "promtool"
    wrapper.write_text(
        "#!/bin/sh\n"
        'case "$1 $3" in check*) ;; *no-dead-letters*)\n'
        "  sed -i 's/ > 0$/ > 5/' ../alert_rules/shop.no-dead-letters.rules.yml ;;\n"
        "*) exit 0; esac\n"
        f'exec {promtool} "$@"\n'
    )
    wrapper.chmod(0o755)
    done = otelkit("prove", SHOP, env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert (done.code, done.err) == (1, "17 of 18 proofs hold\n")
    failed = done.out[done.out.index("FAILS  shop.no-dead-letters.test.yml") :]
    assert 'alertname="DeadLetters"' in failed


@pytest.fixture
def proving(promtool: str, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`otelkit prove` with promtools under way; its temporary files lie in ``tmp_path``."""
    with subprocess.Popen(
        [OTELKIT, "prove", SHOP],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert until(lambda: promtools(process.pid, promtool), 20), "no promtool was started"
        yield process
        process.kill()


def promtools(pid: int, program: str) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(pid).children():
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            if child.cmdline()[:3] == [program, "test", "rules"]:
                found.append(child)
    return found


def test_ctrl_c_ends_prove_at_once_and_its_promtools_with_it(
    proving: subprocess.Popen[str], promtool: str, tmp_path: Path
) -> None:
    """Only otelkit gets the signal, as from a supervisor; a terminal sends it to all."""
    children = promtools(proving.pid, promtool)
    proving.send_signal(signal.SIGINT)
    _, err = proving.communicate(timeout=10)
    assert proving.returncode == 130
    assert "Traceback" not in err
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_is_ctrl_c_before_the_first_command_is_known_too(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")  # while it is being imported
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    done = otelkit("schema", env={**os.environ, "PYTHONPATH": path})
    assert (done.code, done.out, done.err) == (130, "", "")


# --- output --------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["schema"], ["--help"], ["check", str(SHOP)]])
def test_a_reader_that_goes_away_is_no_error_to_tell(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    assert otelkit(*arguments, stdout=writing).err == ""
    os.close(writing)


@pytest.mark.parametrize("arguments", [["schema"], ["--help"], ["check", str(SHOP)]])
def test_a_full_disk_is_a_sentence(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = otelkit(*arguments, stdout=full)
    assert (done.code, done.err) == (
        1,
        "otelkit: cannot write the answer: No space left on device\n",
    )


@pytest.mark.parametrize("closed", [1, 2])
def test_what_a_closed_stream_would_say_comes_out_of_no_other(closed: int) -> None:
    done = otelkit(
        "explain", str(SHOP), "--objective", "api-availability", preexec_fn=lambda: os.close(closed)
    )
    assert done.code == 0
    assert (done.out == "", done.err == "") == (closed == 1, closed == 2)


@pytest.mark.parametrize("asked", [("order", b"\xff"), ("orders", "overdue", "--stage", b"\xff")])
def test_what_is_no_text_on_the_command_line_is_a_sentence(asked: tuple[str | bytes, ...]) -> None:
    done = otelkit(*asked)
    told = "otelkit: an argument holds what is no text; write it as UTF-8\n"
    assert (done.code, done.out, done.err) == (1, "", told)


@pytest.mark.parametrize("asked", [("order", "A-1"), ("gate", str(SHOP))])
def test_a_token_that_no_header_can_hold_is_not_repeated(asked: tuple[str, ...]) -> None:
    done = otelkit(*asked, "--token", "sec\nret", env={**os.environ, "OTELKIT_PROMETHEUS": FREE})
    assert (done.code, done.out) == (1, "")
    assert "this is no token; write one without line breaks" in done.err
    assert "ret" not in done.err


def test_the_line_break_after_a_token_in_a_file_is_no_part_of_it() -> None:
    done = otelkit("order", "A-1", "--collector", FREE, "--token", "secret\n")
    assert "no collector answers" in done.err
    assert "Connection refused" in done.err


@pytest.mark.parametrize(("option", "title"), [([], "otelkit SLA file"), (["--event"], "order")])
def test_schema_prints_a_json_schema(option: list[str], title: str) -> None:
    done = otelkit("schema", *option)
    assert (done.code, done.err) == (0, "")
    assert title in json.dumps(done.json)
    assert done.json["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_no_collector_is_a_sentence() -> None:
    done = otelkit("order", "A-1", "--collector", "http://127.0.0.1:1")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("otelkit: no collector answers at http://127.0.0.1:1 (")
    assert "start one with `otelkit collect`" in done.err
