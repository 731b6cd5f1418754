"""What events do to the clocks of an order, told as stories."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from otelkit import spec
from otelkit.collect.clocks.clock import replay
from otelkit.collect.clocks.decode import Event
from otelkit.collect.clocks.policies import terms
from otelkit.collect.clocks.policy import Policy
from otelkit.collect.clocks.state import Run, State

SLA = (Path(__file__).parent / "data" / "clocks.yaml").read_text()
START = 1_800_000_000.0


def policy(text: str = SLA) -> Policy:
    return terms(spec.loads(text, "sla.yaml")).policies["order"]


def event(at: float, status: str, *, tier: str | None = None, partner: str | None = None) -> Event:
    return Event(
        "test", f"{at}-{status}", "A-1", START + at, "order", status, tier, partner, None, {},
        None, START + at,
    )  # fmt: skip


def after(*events: Event, sla: str = SLA) -> State:
    return replay(policy(sla), events)


def runs(state: State, objective: str) -> list[Run]:
    return [run for run in state.runs if run.objective == objective]


def test_a_stage_clock_runs_while_the_order_is_in_the_stage() -> None:
    state = after(event(0, "submitted"), event(10, "making"), event(60, "packed"))
    (making,) = runs(state, "making")
    assert making.started == START + 10
    assert making.deadline == START + 110
    assert making.at_risk == START + 85
    assert (making.ended, making.outcome) == (START + 60, "met")


def test_a_stage_left_too_late_is_breached() -> None:
    (making,) = runs(after(event(0, "making"), event(100.001, "packed")), "making")
    assert making.outcome == "breached"


def test_an_order_that_leaves_at_the_deadline_has_met_it() -> None:
    (making,) = runs(after(event(0, "making"), event(100, "packed")), "making")
    assert making.outcome == "met"


def test_the_first_allowance_that_matches_holds() -> None:
    (acme,) = runs(after(event(0, "making", tier="vip", partner="acme")), "making")
    (vip,) = runs(after(event(0, "making", tier="vip")), "making")
    assert (acme.deadline, acme.agreement) == (START + 40, "acme-gold")
    assert (vip.deadline, vip.agreement) == (START + 20, "default")


def test_a_paused_clock_has_no_deadline_but_what_is_left() -> None:
    state = after(event(0, "making"), event(30, "waiting"))
    (making,) = runs(state, "making")
    assert (making.deadline, making.at_risk, making.left) == (None, None, 70.0)
    assert (state.paused, state.stage, state.status) == (True, "making", "waiting")


def test_a_resumed_clock_gets_what_was_left() -> None:
    state = after(event(0, "making"), event(30, "waiting"), event(1000, "making"))
    (making,) = runs(state, "making")
    assert (making.deadline, making.at_risk) == (START + 1070, START + 1045)
    assert state.since == START, "the order never left the stage"


def test_a_pause_that_ends_in_the_next_stage_ends_the_clock_as_met() -> None:
    state = after(event(0, "making"), event(99, "waiting"), event(5000, "packed"))
    assert [run.outcome for run in runs(state, "making")] == ["met"]


def test_what_is_overdue_cannot_be_paused_away() -> None:
    (making,) = runs(after(event(0, "making"), event(101, "waiting")), "making")
    assert making.deadline == START + 100


def test_a_skipped_optional_stage_and_an_unheard_one_start_the_whole_clock_once() -> None:
    state = after(event(0, "priced"), event(10, "making"), event(20, "priced"))
    (whole,) = runs(state, "whole")
    assert whole.started == START


def test_a_step_back_is_rework_and_runs_the_stage_clock_again() -> None:
    state = after(
        event(0, "making"), event(50, "packed"), event(60, "making"), event(500, "packed")
    )
    assert [(r.number, r.outcome) for r in runs(state, "making")] == [(0, "met"), (1, "breached")]


def test_a_reset_begins_the_clocks_anew_where_the_order_stands() -> None:
    state = after(event(0, "submitted"), event(10, "making"), event(60, "changed"))
    assert [(r.number, r.outcome, r.deadline) for r in runs(state, "making")] == [
        (0, "cancelled", START + 110),
        (1, "", START + 160),
    ]
    assert [run.deadline for run in runs(state, "whole")][-1] == START + 360
    assert (state.stage, state.since, state.status) == ("making", START + 10, "changed")


def test_a_reset_takes_back_no_breach() -> None:
    state = after(event(0, "making"), event(101, "changed"))
    assert [run.outcome for run in runs(state, "making")] == ["breached", ""]


def test_a_cancelled_order_cancels_what_still_runs_in_time() -> None:
    state = after(event(0, "submitted"), event(10, "making"), event(290, "cancelled"))
    assert [run.outcome for run in runs(state, "making")] == ["breached"]
    assert [run.outcome for run in runs(state, "whole")] == ["cancelled"]
    assert not state.open


def test_the_same_status_again_changes_no_clock() -> None:
    once = after(event(0, "submitted"), event(10, "making"))
    again = after(event(0, "submitted"), event(10, "making"), event(20, "making"))
    assert again.runs == once.runs
    assert again.since == once.since


def test_working_hours_do_not_pass_on_a_sunday_night() -> None:
    text = SLA.replace("stage: making", "stage: making\n    calendar: week")
    text += 'calendars:\n  week: {timezone: UTC, hours: {mon-fri: "09:00-17:00"}}\n'
    sunday_night = datetime(2027, 1, 31, 23, tzinfo=UTC).timestamp()
    state = after(event(sunday_night - START, "making"), sla=text)
    (making,) = runs(state, "making")
    monday_morning = datetime(2027, 2, 1, 9, tzinfo=UTC).timestamp()
    assert making.deadline == monday_morning + 100


def test_an_order_first_heard_of_while_it_waits_has_its_clocks_when_it_goes_on() -> None:
    state = after(event(0, "waiting"), event(1000, "submitted"))
    (whole,) = runs(state, "whole")
    assert whole.deadline == START + 1300
