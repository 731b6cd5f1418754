"""What an alert tells the person it wakes: a sentence, the details, and where to go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from otelkit.generate.scope import dashboard_uid
from otelkit.model import Sla

_LOOK_BACK_MS: Final = 3_600_000
"""The linked dashboard opens on the hour before the alert."""


def alert_annotations(
    sla: Sla,
    alert: str,
    *,
    dashboard: str,
    variables: Mapping[str, str],
    summary: str,
    description: str,
) -> dict[str, str]:
    """The annotations of an alert; links are left out where the file names no place for them."""
    found = {"summary": summary, "description": description}
    if sla.links.runbook is not None:
        found["runbook_url"] = sla.links.runbook.replace("{alert}", quote(alert))
    if sla.links.grafana is not None:
        found["dashboard_url"] = _dashboard_url(sla, sla.links.grafana, dashboard, variables)
    return found


def listing(query: str, each: str, by: Sequence[str] = ()) -> str:
    """A template that prints ``each`` for every sample of a query, comma-separated.

    Says "unknown" where there is none, so that an alert never ends in the middle of a sentence.
    Of a selector, only the series are asked for that share the alert's labels ``by``. The query
    must not hold a backtick.
    """
    asked = f"`{query}`"
    if by:
        own = "".join(f",{name}=%q" for name in by)
        values = " ".join(f"$labels.{name}" for name in by)
        asked = f"(printf `{query[:-1].replace('%', '%%')}{own}}}` {values})"
    return (
        f"{{{{ range $i, $_ := query {asked} }}}}{{{{ if $i }}}}, {{{{ end }}}}"
        f"{{{{ with $_ }}}}{each}{{{{ end }}}}"
        "{{ else }}unknown{{ end }}"
    )


def _dashboard_url(sla: Sla, grafana: str, dashboard: str, variables: Mapping[str, str]) -> str:
    uid = dashboard_uid(sla, dashboard)
    chosen = "".join(f"&var-{name}={quote(value, safe='')}" for name, value in variables.items())
    now = _milliseconds("time() * 1000")
    start = _milliseconds(f"time() * 1000 - {_LOOK_BACK_MS}")
    return f"{grafana.rstrip('/')}/d/{uid}?from={start}&to={now}{chosen}"


def _milliseconds(query: str) -> str:
    return f'{{{{ with query "{query}" }}}}{{{{ . | first | value | printf "%.0f" }}}}{{{{ end }}}}'
