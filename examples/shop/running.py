"""A running demo: what it has shown so far, and whether that is all it promises."""

from __future__ import annotations

from collections.abc import Mapping

from otelkit import names
from shop import picture
from shop.picture import Alert, Picture
from shop.prometheus import Alertmanager
from shop.services import Collector, Shop


class Running:
    """Without an ``alertmanager`` it shows overdue orders only, and no alert."""

    def __init__(
        self,
        shop: Shop,
        collector: Collector,
        alertmanager: Alertmanager | None,
        addresses: Mapping[str, str],
    ) -> None:
        self.shop = shop
        self.collector = collector
        self.picture: Picture | None = None
        self.addresses = {
            "Shop": f"{shop.url}/docs",
            "Overdue orders": f"{collector.url}/orders",
            "Metrics": f"{collector.url}/metrics",
            **addresses,
        }
        self._alertmanager = alertmanager
        self._were_overdue: set[str] = set()
        self.overdue_alert: Alert | None = None
        self.letters_alert: Alert | None = None
        self._overdue_measured = False

    @property
    def with_servers(self) -> bool:
        return self._alertmanager is not None

    def look(self) -> None:
        """Take a new picture, and remember what was waited for."""
        now = picture.take(self.collector, self._alertmanager)
        if now is None:
            return
        self.picture = now
        self._were_overdue |= {str(order["id"]) for order in now.overdue}
        self._overdue_measured |= now.overdue_on_metrics > 0 and bool(now.overdue)
        for alert in now.alerts:
            if alert.name == names.ALERT_ORDERS_OVERDUE and self._named(alert):
                self.overdue_alert = alert
            if alert.name == names.ALERT_DEAD_LETTERS and "mes.orders (rejected)" in (
                alert.description
            ):
                self.letters_alert = alert

    @property
    def complete(self) -> bool:
        """Whether all that a demo promises has been seen."""
        if self.with_servers:
            return self.overdue_alert is not None and self.letters_alert is not None
        return self._overdue_measured

    def summary(self) -> str:
        """What has been seen, and what has not."""
        if not self.with_servers:
            ids = ", ".join(sorted(self._were_overdue)) or "none"
            measured = "and on /metrics" if self._overdue_measured else "but not on /metrics"
            return f"overdue in the collector's API, {measured}: {ids}"
        wanted = {
            names.ALERT_ORDERS_OVERDUE: self.overdue_alert,
            names.ALERT_DEAD_LETTERS: self.letters_alert,
        }
        lines = ["Alertmanager received from Prometheus:"]
        for name, alert in wanted.items():
            lines.append(f"  {alert}" if alert else f"  {name}: not in time")
        return "\n".join(lines)

    def _named(self, alert: Alert) -> bool:
        """Whether an alert names an order that is, or was, overdue."""
        return any(f"{order_id} in " in alert.description for order_id in self._were_overdue)
