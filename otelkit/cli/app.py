"""The ``otelkit`` command: its subcommands, and what becomes of errors."""

from __future__ import annotations

import io
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final, NoReturn, TextIO

from otelkit.errors import MissingExtraError, OtelkitError, SpecError

try:
    import typer
except ImportError:  # a service may have installed otelkit alone
    sys.exit(f"otelkit: {MissingExtraError('the command line', 'cli')}")

from otelkit.cli import (
    backtest,
    backup,
    check,
    clocks,
    collect,
    diff,
    divide,
    explain,
    gate,
    generate,
    import_,
    init,
    order,
    orders,
    prove,
    schema,
)
from otelkit.cli.output import FAILED, INTERRUPTED, Stop

_CLICK_USAGE: Final = 2

app = typer.Typer(
    name="otelkit",
    help="SLA control plane: rules, proofs and dashboards from one SLA file, and order clocks.",
    epilog="Start with: otelkit init my-sla",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("init", epilog=init.EXAMPLE)(init.init)
app.command("check", epilog=check.EXAMPLE)(check.check)
app.command("generate", epilog=generate.EXAMPLE)(generate.generate)
app.command("prove", epilog=prove.EXAMPLE)(prove.prove)
app.command("explain", epilog=explain.EXAMPLE)(explain.explain)
app.command("diff", epilog=diff.EXAMPLE)(diff.diff)
app.command("backtest", epilog=backtest.EXAMPLE)(backtest.backtest)
app.command("gate", epilog=gate.EXAMPLE)(gate.gate)
app.command("collect", epilog=collect.EXAMPLE)(collect.collect)
app.command("backup", epilog=backup.EXAMPLE)(backup.backup)
app.command("divide", epilog=divide.EXAMPLE)(divide.divide)
app.command("order", epilog=order.EXAMPLE)(order.order)
app.add_typer(orders.app, name="orders")
app.add_typer(clocks.app, name="clocks")
app.add_typer(import_.app, name="import")
app.command("schema", epilog=schema.EXAMPLE)(schema.schema)


def _version(asked: bool) -> None:
    if asked:
        print(f"otelkit {version('otelkit')}")
        raise typer.Exit


@app.callback()
def _otelkit(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


def main() -> NoReturn:
    """Run the command line of this process, and exit with its code."""
    # None where a stream is closed; what is printed to it would go to the other one.
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name may be no text
    sys.exit(_code())


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _code() -> int:
    try:
        code = _run()
        sys.stdout.flush()  # now, while what goes wrong can still be told
    except UnicodeEncodeError:
        # No server can be asked for it. It is not repeated: it may be an address with a password.
        _tell("an argument holds what is no text; write it as UTF-8")
        return FAILED
    except BrokenPipeError:
        _give_up_stdout()
        return FAILED
    except OSError as error:
        _give_up_stdout()
        _tell(f"cannot write {error.filename or 'the answer'}: {error.strerror or error}")
        return FAILED
    return code


def _run() -> int:
    try:
        app(prog_name="otelkit")
    except Stop as stop:
        return stop.code
    except SpecError as error:
        print(error, file=sys.stderr)  # begins with file and line, where editors look for them
        return FAILED
    except OtelkitError as error:
        _tell(str(error))
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as stop:
        # Click says 2 for wrong usage, which here is an answer that says no.
        return FAILED if stop.code == _CLICK_USAGE else int(stop.code or 0)
    return 0


def _give_up_stdout() -> None:
    """Nobody can read what is still to be written; Python would complain of it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell(text: str) -> None:
    print(f"otelkit: {text}", file=sys.stderr)
