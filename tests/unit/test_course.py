"""The minutes that generated proofs expect are those of a simulator that knows only the policy."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

import simulator
from otelkit import names
from otelkit.generate.course import Course, Reckoning, Stretch, Terms
from otelkit.model import AlertPolicy, BudgetShare, Selectors, Window

HOURS = st.sampled_from([1, 6, 24, 72])
SHARES = st.lists(
    st.tuples(st.sampled_from(["0.01", "0.02", "0.05", "0.1", "0.3"]), HOURS), max_size=2
)


@st.composite
def stretches(draw: st.DrawFn) -> Stretch:
    """Traffic of any density, of which nothing, some or all fails."""
    total = draw(st.sampled_from([0, 1, 2, 37, 500, 60_000]))
    bad = draw(st.sampled_from([0, 0, 1, total // 40, total // 2, total]))
    return Stretch(draw(st.integers(1, 200)), total, min(bad, total))


@settings(max_examples=150)
@given(
    target=st.sampled_from(["0.8", "0.9", "0.95", "0.99", "0.995", "0.999", "0.9999"]),
    days=st.sampled_from([7, 28, 30, 90]),
    page=SHARES,
    ticket=SHARES,
    least=st.integers(1, 12),
    traffic=st.lists(stretches(), min_size=1, max_size=6),
)
def test_a_course_alerts_in_the_minutes_of_the_simulator(
    target: str,
    days: int,
    page: list[tuple[str, int]],
    ticket: list[tuple[str, int]],
    least: int,
    traffic: list[Stretch],
) -> None:
    def shares(of: list[tuple[str, int]]) -> tuple[BudgetShare, ...]:
        return tuple(BudgetShare(Decimal(share), timedelta(hours=hours)) for share, hours in of)

    policy = AlertPolicy(shares(page), shares(ticket), least)
    objective = Selectors(
        "o",
        "web",
        Decimal(target),
        Window(timedelta(days=days)),
        "good",
        None,
        "all",
        policy=policy,
    )
    reckoned = Reckoning(Terms.of(objective), Course(*traffic))
    promise = simulator.Promise(
        float(target),
        days,
        tuple((float(share), hours) for share, hours in page),
        tuple((float(share), hours) for share, hours in ticket),
        least,
    )
    minutes = [(int(s.total - s.bad), int(s.bad)) for s in traffic for _ in range(s.minutes)]
    surely, perhaps = (
        simulator.firing(replace(promise, slack=slack), minutes) for slack in (1e-9, -1e-9)
    )
    for severity in (names.SEVERITY_PAGE, names.SEVERITY_TICKET):
        alerting = reckoned.firing(severity)
        assert set(surely[severity].minutes) <= alerting, severity
        assert alerting <= set(perhaps[severity].minutes), severity
