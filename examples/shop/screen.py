"""The demo on a screen: one live page for people, a line for each piece of news otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self, TextIO

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from shop.picture import Picture
from shop.running import Running

_SHOWN = 8


class Screen:
    """A context: what it shows is there between entering and leaving."""

    def __init__(self, running: Running, out: TextIO) -> None:
        self._running = running
        self._console = Console(file=out)
        self._told: set[str] = set()
        self._live: Live | None = None
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        else:
            for name, address in self._running.addresses.items():
                self._say(f"{name}: {address}")
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self) -> None:
        """Bring it up to date."""
        now = self._running.picture
        if self._live is not None:
            self._live.update(self._page(now), refresh=True)
        elif now is not None:
            for line in _news(now):
                self._say(line)

    def _say(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._console.print(line, soft_wrap=True, markup=False, highlight=False)

    def _page(self, now: Picture | None) -> Panel:
        if now is None:
            return Panel("waiting for the collector")
        parts: list[RenderableType] = [
            Columns([_stages(now), _overdue(now)]),
            _alerts(now, with_servers=self._running.with_servers),
            _addresses(self._running),
            Text("Ctrl-C stops everything", "dim"),
        ]
        return Panel(Group(*parts), title="otelkit demo", title_align="left")


def _news(now: Picture) -> Iterator[str]:
    for order in now.overdue:
        yield f"overdue: {order['id']} in {order['stage']} ({order['objective']})"
    if now.dead_letters:
        yield "a message is in the dead-letter queue"
    for alert in now.alerts:
        yield f"alert: {alert.name} ({alert.severity}) {alert.objective}"


def _stages(now: Picture) -> Table:
    table = Table("stage", "open orders", title="Orders", title_justify="left")
    for stage, count in now.open.items():
        table.add_row(stage, str(count))
    table.add_section()
    for outcome, count in now.outcomes.items():
        table.add_row(f"clocks {outcome}", str(count))
    letters = "?" if now.dead_letters is None else str(now.dead_letters)
    table.add_row("dead letters", letters)
    return table


def _overdue(now: Picture) -> Table:
    table = Table("order", "stage", "clock", "late by", title="Overdue", title_justify="left")
    for order in now.overdue[:_SHOWN]:
        late = f"{order['overdue_seconds']:.0f} s"
        table.add_row(order["id"], order["stage"], order["objective"], Text(late, "red"))
    return table


def _alerts(now: Picture, *, with_servers: bool) -> Table:
    title = "Alerts in Alertmanager" if with_servers else "No alerts: there is no Prometheus"
    table = Table("alert", "to", "what it says", title=title, title_justify="left")
    for alert in sorted(now.alerts, key=lambda alert: (alert.name, alert.objective)):
        who = f"{alert.owner}\n{alert.severity}"
        table.add_row(f"{alert.name}\n{alert.objective}", who, alert.description)
    return table


def _addresses(running: Running) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, address in running.addresses.items():
        table.add_row(Text(name, "bold"), address)
    return table
