"""An SLA file as text becomes :class:`otelkit.model.Sla`, or all that is wrong with it.

The only part of otelkit that knows YAML. Parsing is one way: text, located tree
(:mod:`.document`), fields (:mod:`.reader`), values (:mod:`.quantities`), dataclasses.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otelkit.model import Sla
    from otelkit.spec.file import Checked


def load(path: Path) -> Sla:
    """The SLA file at ``path``. Raises :class:`~otelkit.errors.SpecError` with every problem."""
    from otelkit.spec.file import load as load_file

    return load_file(path)


def check(path: Path, now: datetime | None = None) -> Checked:
    """The SLA file at ``path`` with its warnings. Raises as :func:`load` does.

    Excluded times are held against ``now`` (aware, the present where it is left out).
    """
    from otelkit.spec.file import check as check_file

    return check_file(path, now or datetime.now(UTC))


def loads(text: str, file: str) -> Sla:
    """The SLA file with this text; ``file`` is the name to use in problems.

    It includes no other, since a text stands in no folder.
    """
    from otelkit.spec.file import loads as load_text

    return load_text(text, file)


def text_of(path: Path) -> str:
    """The SLA file at ``path`` and those it includes as one text, for :func:`loads`.

    Raises as :func:`load` does.
    """
    from otelkit.spec.file import whole

    return whole(path)


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the SLA file, for editors."""
    from otelkit.spec.schema import json_schema as schema

    return schema()
