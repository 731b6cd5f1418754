"""``otelkit check``: every mistake of an SLA file at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelkit import spec
from otelkit.cli import live
from otelkit.cli.output import FAILED, NO, Json, SlaFile, Stop, note, plural, print_json
from otelkit.cli.server import MaybeAddress, Token
from otelkit.errors import Problem, SpecError

if TYPE_CHECKING:
    from otelkit.model import Sla

EXAMPLE: Final = "Example: otelkit check sla.yaml --prometheus http://prometheus:9090"


def check(
    sla: SlaFile, prometheus: MaybeAddress = None, token: Token = None, as_json: Json = False
) -> None:
    """Say all that is wrong or doubtful in an SLA file.

    Of one that can be used, also what it holds. Warnings stop nothing: the file can be used, but
    hardly says what was meant. With --prometheus, also whether that has the series, labels and
    buckets that the rules read: exit 2 where not.
    """
    try:
        checked = spec.check(sla)
    except SpecError as error:
        _refuse(sla, error.problems, as_json=as_json)
        raise Stop(FAILED) from error
    found = checked.sla
    asked = live.ask(found, prometheus, token, quiet=as_json) if prometheus else None
    if as_json:
        told = [asdict(warning) for warning in checked.warnings]
        answer = {"file": str(sla), "ok": not (asked and asked.missing), "problems": []}
        answer |= {"warnings": told, "holds": _counts(found)}
        print_json(answer | ({"prometheus": asked.answer()} if asked else {}))
    else:
        for warning in checked.warnings:
            print(f"warning: {warning}")
        print(f"{sla}: fine. System {found.system}: {_holds(found)}.")
        if asked:
            asked.say()
    if asked and asked.missing:
        raise Stop(NO)


def _refuse(sla: Path, problems: Sequence[Problem], *, as_json: bool) -> None:
    if as_json:
        told = [asdict(problem) for problem in problems]
        print_json({"file": str(sla), "ok": False, "problems": told, "warnings": []})
        return
    for problem in problems:
        print(problem)
    note(f"{plural(len(problems), 'problem')} in {sla}; mend them and check again")


def _counts(sla: Sla) -> dict[str, int]:
    return {
        "objective": len(sla.objectives),
        "service": len(sla.services),
        "process": len(sla.processes),
        "queue": len(sla.queues),
        "calendar": len(sla.calendars),
    }


def _holds(sla: Sla) -> str:
    return ", ".join(_count(count, noun) for noun, count in _counts(sla).items() if count)


def _count(count: int, noun: str) -> str:
    return f"{count} processes" if noun == "process" and count > 1 else plural(count, noun)
