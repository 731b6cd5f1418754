"""The ``otelkit`` command: its subcommands, and what becomes of errors."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import Annotated, Final, NoReturn

from otelkit.errors import MissingExtraError, OtelkitError

try:
    import typer
except ImportError:  # a service may have installed otelkit alone
    sys.exit(f"otelkit: {MissingExtraError('the command line', 'cli')}")

from otelkit.cli import (
    check,
    collect,
    generate,
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
app.command("collect", epilog=collect.EXAMPLE)(collect.collect)
app.command("order", epilog=order.EXAMPLE)(order.order)
app.add_typer(orders.app, name="orders")
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
    sys.exit(_code())


def _code() -> int:
    try:
        app(prog_name="otelkit")
    except Stop as stop:
        return stop.code
    except OtelkitError as error:
        print(f"otelkit: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain about it once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except SystemExit as stop:
        # Click says 2 for wrong usage, which here is an answer that says no.
        return FAILED if stop.code == _CLICK_USAGE else int(stop.code or 0)
    return 0
