"""Business time, against a walk minute by minute through the local calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelkit.calendars import ALWAYS, build
from otelkit.model import Calendar, Hours

ZONES = ("UTC", "Europe/Berlin", *sorted(available_timezones()))
WORKDAY = ((540, 1080),)


def weekdays(zone: str, **more: object) -> Calendar:
    hours = (WORKDAY,) * 5 + ((), ())
    return Calendar("c", zone, hours, **more)  # type: ignore[arg-type]


def unix(text: str, zone: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def is_open_by_the_clock(calendar: Calendar, at: float) -> bool:
    """What a person with a wall calendar and a watch would say."""
    local = datetime.fromtimestamp(at, ZoneInfo(calendar.timezone))
    minute = local.hour * 60 + local.minute
    day = local.date()
    if day in calendar.opened:
        spans = calendar.opened[day]
    else:
        spans = () if day in calendar.closed else calendar.hours[local.weekday()]
    return any(a <= minute < b for a, b in spans)


def _spans(edges: set[int]) -> Hours:
    ordered = sorted(15 * edge for edge in edges)
    return tuple(zip(ordered[::2], ordered[1::2], strict=False))


DAYS = st.sets(st.integers(0, 96), max_size=6).map(_spans)
"""Hours of a day in whole quarters, none of them too."""


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    hours = [draw(DAYS) for _ in range(7)]
    if not any(hours):
        hours[2] = WORKDAY
    dates = st.dates(date(2026, 1, 1), date(2026, 12, 31))
    closed = draw(st.frozensets(dates, max_size=20))
    opened = draw(st.dictionaries(dates, DAYS, max_size=20))
    return Calendar("c", draw(st.sampled_from(ZONES)), tuple(hours), None, closed, opened)


YEAR_START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
INSTANTS = st.integers(0, 365 * 24 * 60).map(lambda minute: float(YEAR_START + 60 * minute))


@given(calendars(), INSTANTS, st.integers(1, 60 * 60 * 100))
def test_a_deadline_is_as_far_away_as_it_was_set(calendar: Calendar, at: float, d: int) -> None:
    time = build(calendar)
    assert time.elapsed(at, time.add(at, d)) == pytest.approx(d, abs=1e-3)


@given(calendars(), INSTANTS, st.integers(0, 300_000), st.integers(0, 300_000))
def test_a_longer_allowance_never_ends_sooner(
    calendar: Calendar, at: float, a: int, b: int
) -> None:
    time = build(calendar)
    short, long = sorted((a, b))
    assert time.add(at, short) <= time.add(at, long)


@given(calendars(), INSTANTS)
def test_what_is_not_open_opens_next_after_no_open_time(calendar: Calendar, at: float) -> None:
    time = build(calendar)
    opens = time.next_open(at)
    assert time.is_open(opens)
    assert time.elapsed(at, opens) == 0
    assert (opens == at) == time.is_open(at)


@settings(max_examples=40)
@given(calendars(), INSTANTS, st.integers(1, 5 * 24 * 60))
def test_elapsed_equals_a_walk_minute_by_minute(calendar: Calendar, at: float, n: int) -> None:
    walked = 60 * sum(is_open_by_the_clock(calendar, at + 60 * i) for i in range(n))
    time = build(calendar)
    assert time.elapsed(at, at + 60 * n) == walked
    assert time.is_open(at) == is_open_by_the_clock(calendar, at)


def test_sixteen_hours_over_the_berlin_change_of_clocks() -> None:
    time = build(weekdays("Europe/Berlin"))
    start = unix("2026-03-27T15:00", "Europe/Berlin")
    assert time.add(start, 16 * 3600) == unix("2026-03-31T13:00", "Europe/Berlin")


def test_what_opens_or_closes_at_a_time_that_clocks_skip_does_so_as_they_skip_it() -> None:
    breaks = Calendar("c", "Europe/Berlin", (((0, 150), (165, 170), (180, 360)),) * 7)
    late = Calendar("c", "Europe/Berlin", (((150, 360),),) * 7)
    night, morning = (unix(f"2026-03-29T{at}", "Europe/Berlin") for at in ("00:00", "06:00"))
    for calendar, hours in ((breaks, 2 + 3), (late, 3)):
        time = build(calendar)
        assert time.elapsed(night, morning) == hours * 3600, "the night has five hours"
        assert time.add(night, hours * 3600) == morning


def test_a_deadline_is_the_same_to_the_last_digit_however_many_years_are_known() -> None:
    calendar = Calendar("c", "UTC", (((0, 1440),),) * 7, closed=frozenset({date(2026, 12, 25)}))
    time = build(calendar)
    starts = [1_790_000_000 + n / 7 for n in range(100)]
    before = [time.add(start, 86_400 * n) for n, start in enumerate(starts)]
    time.elapsed(starts[0] - 18 * 365 * 86_400, starts[0])
    assert [time.add(start, 86_400 * n) for n, start in enumerate(starts)] == before


def test_holidays_and_closed_days_are_not_counted() -> None:
    time = build(weekdays("Europe/Berlin", holidays="DE", closed=frozenset({date(2026, 12, 28)})))
    start = unix("2026-12-24T17:00", "Europe/Berlin")  # then Christmas, a weekend, a closed Monday
    assert time.add(start, 2 * 3600) == unix("2026-12-29T10:00", "Europe/Berlin")


def test_a_part_of_a_country_has_holidays_of_its_own() -> None:
    epiphany = unix("2026-01-06T12:00", "Europe/Berlin")
    assert not build(weekdays("Europe/Berlin", holidays="DE-BY")).is_open(epiphany)
    assert build(weekdays("Europe/Berlin", holidays="DE-BE")).is_open(epiphany)


def test_a_day_with_hours_of_its_own_opens_whatever_day_it_is() -> None:
    christmas = {date(2026, 12, 25): ((600, 720),)}
    time = build(weekdays("Europe/Berlin", holidays="DE", opened=christmas))
    start = unix("2026-12-24T17:00", "Europe/Berlin")
    assert time.add(start, 2 * 3600) == unix("2026-12-25T11:00", "Europe/Berlin")


@pytest.mark.parametrize(
    ("start", "days", "deadline"),
    [
        ("2026-11-20T15:00", 5, "2026-11-27T15:00"),
        ("2026-11-21T12:00", 1, "2026-11-24T09:00"),  # Saturday counts as Monday's opening
        ("2026-11-20T15:00", 1, "2026-11-23T15:00"),
    ],
)
def test_business_days_keep_the_time_of_day(start: str, days: int, deadline: str) -> None:
    time = build(weekdays("Europe/Berlin"))
    assert time.add_days(unix(start, "Europe/Berlin"), days) == unix(deadline, "Europe/Berlin")


def test_a_calendar_that_is_asked_over_many_new_years_knows_each_as_a_new_one_does() -> None:
    calendar = weekdays("Europe/Berlin", holidays="DE-BY")
    time = build(calendar)
    for year in range(2026, 2066):
        eve = unix(f"{year}-12-31T17:30", "Europe/Berlin")
        fresh = build(calendar)
        assert time.add(eve, 16 * 3600) == fresh.add(eve, 16 * 3600) > eve + 86_400
        assert time.add_days(eve, 5) == fresh.add_days(eve, 5)
        assert time.next_open(eve + 3600) == fresh.next_open(eve + 3600)
        assert time.elapsed(eve, eve + 9e6) == fresh.elapsed(eve, eve + 9e6)
        assert not time.is_open(unix(f"{year + 1}-01-01T12:00", "Europe/Berlin"))


def test_a_deadline_beyond_the_horizon_is_refused_with_a_sentence() -> None:
    rare = Calendar("rare", "UTC", (((0, 1),), (), (), (), (), (), ()))
    with pytest.raises(ValueError, match="calendar 'rare' does not open often enough"):
        build(rare).add(0.0, timedelta(days=3650).total_seconds())


def test_a_calendar_that_never_closes_is_wall_clock_time() -> None:
    around = build(Calendar("a", "Europe/Berlin", (((0, 1440),),) * 7))
    for time in (ALWAYS, around):
        assert time.add(10.0, 5.0) == 15.0
        assert time.elapsed(10.0, 5.0) == 0.0
    start, end = (unix(f"2026-{day}T15:00", "Europe/Berlin") for day in ("03-27", "04-01"))
    assert around.add_days(start, 5) == end == start + 5 * 86_400 - 3600
