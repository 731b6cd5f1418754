"""SLA files: what they become, and what is said of those that are wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelkit import spec
from otelkit.errors import Problem, SpecError
from otelkit.model import (
    DEFAULT_POLICY,
    AlertPolicy,
    Allowance,
    Availability,
    BudgetShare,
    Clock,
    HttpMetrics,
    Latency,
    Links,
    NewBreaches,
    Owner,
    QueueLimit,
    Release,
    Selectors,
    Sla,
    Unit,
    Window,
)

DATA = Path(__file__).parent / "data"
FULL = DATA / "full.yaml"
SMALL = """\
version: 1
system: s
services: {api: {}}
objectives:
  - {name: a, service: api, availability: 99.95%}
"""


@pytest.fixture(scope="module")
def full() -> Sla:
    return spec.load(FULL)


def problems(text: str) -> list[str]:
    """What is said of a file, as ``line:column: path: message``."""
    with pytest.raises(SpecError) as caught:
        spec.loads(text, "sla.yaml")
    return [
        f"{p.line}:{p.column}: {p.path}: {p.message}".replace(": : ", ": ")
        for p in caught.value.problems
    ]


# --- what is right -------------------------------------------------------------------------


def test_four_keys_make_a_file_and_the_rest_has_defaults() -> None:
    sla = spec.loads(SMALL, "sla.yaml")
    (objective,) = sla.objectives
    assert isinstance(objective, Availability)
    assert (objective.target, objective.window) == (Decimal("0.9995"), Window(timedelta(days=30)))
    assert objective.service.match == {"job": "api"}
    assert sla.owners[objective.owner] == Owner("default", "default", "default")


def test_parts_of_the_full_file(full: Sla) -> None:
    assert full.links == Links("https://grafana.example", "https://wiki.example/{alert}")
    assert full.labels == {"division": "commerce"}
    workshop = full.calendars["workshop"]
    assert workshop.hours == (*[((540, 1080),)] * 5, ((600, 900),), ())
    assert (workshop.holidays, workshop.closed) == ("RU", frozenset({date(2026, 12, 31)}))
    crm = full.services["crm"]
    assert crm.http == HttpMetrics("http_request_seconds", "code", "uri")
    assert crm.foreign
    order = full.processes["order"]
    assert order.optional == {"approved"}
    assert order.default_tier == "standard"
    assert "waiting_for_customer" in order.statuses
    assert full.queues["orders.dlq"].owner == "plant"


def test_objectives_of_the_full_file(full: Sla) -> None:
    by_name = {objective.name: objective for objective in full.objectives}
    latency, checkout = by_name["api-latency"], by_name["checkout"]
    assert isinstance(latency, Latency)
    assert latency.below == Decimal("0.25")
    assert isinstance(checkout, Selectors)
    assert checkout.good == 'checkout_total{outcome="ok"}'
    limit = by_name["no-dead-letters"]
    assert isinstance(limit, QueueLimit)
    assert (limit.max_messages, limit.max_age) == (0, timedelta(minutes=15))
    assert {o.name: o.owner for o in full.objectives}["crm-availability"] == "web"


def test_clocks_of_the_full_file(full: Sla) -> None:
    stage, whole = full.clocks
    assert isinstance(stage, Clock)
    assert (stage.starts, stage.stops, stage.calendar) == (
        "manufacturing", None, full.calendars["workshop"],
    )  # fmt: skip
    assert stage.within == (
        Allowance(14400, Unit.OPEN, partner="acme", agreement="acme-gold"),
        Allowance(28800, Unit.OPEN, tier="vip"),
        Allowance(57600, Unit.OPEN),
    )
    assert stage.at_risk == Decimal("0.25")
    assert stage.overdue == {
        "page": NewBreaches(10, timedelta(hours=1)),
        "ticket": NewBreaches(1, timedelta(hours=1)),
    }
    assert (whole.starts, whole.stops) == ("submitted", "shipped")
    assert whole.within == (Allowance(5 * 86400, Unit.ELAPSED),)
    assert whole.overdue == {"ticket": NewBreaches(1, timedelta(hours=1))}


def test_the_whole_file_with_what_it_includes() -> None:
    sla = spec.load(DATA / "whole.yaml")
    by_name = {objective.name: objective for objective in sla.budgets}
    assert list(by_name)[-2:] == ["made-on-time", "delivered"], "included objectives come last"
    assert sla.release == Release(Decimal("0.1"))
    api, checkout = by_name["api-availability"], by_name["checkout"]
    assert api.window == Window(timedelta(days=30), "month")
    assert (api.by, api.during) == (("http_route",), sla.calendars["workshop"])
    assert api.exclude[0].end - api.exclude[0].start == timedelta(hours=3)
    assert api.policy == replace(DEFAULT_POLICY, min_bad_events=3)
    assert checkout.policy == AlertPolicy((), ())
    assert by_name["api-latency"].policy == AlertPolicy(
        (BudgetShare(Decimal("0.14"), timedelta(hours=6)),),
        (BudgetShare(Decimal("0.2"), timedelta(days=1)),),
        3,
    )
    assert isinstance(checkout, Selectors)
    assert (checkout.good, checkout.bad) == (None, 'checkout_total{outcome="failed"}')


def test_an_environment_has_its_own_objectives() -> None:
    prod, staging = spec.load(DATA / "whole.yaml").in_environments()
    assert [one.environment.name for one in (prod, staging) if one.environment] == [
        "prod", "staging",
    ]  # fmt: skip
    there = {objective.name: objective for objective in staging.budgets}
    assert "checkout" in {o.name for o in prod.budgets} - there.keys()
    assert there["api-availability"].target == Decimal("0.99")
    assert there["api-availability"].policy.page == ()
    (clock, _) = staging.clocks
    assert clock.overdue == {"ticket": NewBreaches(5, timedelta(hours=1))}
    assert prod.clocks[0].overdue != clock.overdue


def test_hours_over_midnight_go_on_the_next_day_and_hours_that_touch_are_one() -> None:
    calendar = (
        "calendars: {night: {timezone: UTC, hours: {sun: '22:00-06:00', mon: '06:00-08:00'}}}"
    )
    night = spec.loads(f"{calendar}\n{SMALL}", "sla.yaml").calendars["night"]
    assert night.hours == (((0, 480),), *[()] * 5, ((1320, 1440),))


def test_norway_is_a_country_and_ten_o_clock_a_time() -> None:
    calendar = "calendars: {c: {timezone: UTC, holidays: NO, hours: {mon: 10:00-12:00}}}"
    found = spec.loads(f"{calendar}\n{SMALL}", "sla.yaml").calendars["c"]
    assert (found.holidays, found.hours[0]) == ("NO", ((600, 720),))


def test_a_comment_in_a_selector_does_not_reach_the_rules() -> None:
    text = SMALL + "  - {name: b, good: 'a_total{x=\"1\"} # ok', total: a_total, target: 99%}\n"
    found = spec.loads(text, "sla.yaml").objectives[1]
    assert isinstance(found, Selectors)
    assert found.good == 'a_total{x="1"}'


# --- what is wrong -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["broken", "wrong", "overrides", "rare", "none", "once"])
def test_every_mistake_is_told_at_once_with_its_place_and_what_to_write(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(DATA)
    with pytest.raises(SpecError) as caught:
        spec.load(Path(f"{name}.yaml"))
    assert f"{caught.value}\n" == Path(f"{name}.txt").read_text()


def test_what_is_doubtful_is_told_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DATA)
    warnings = spec.check(Path("doubtful.yaml")).warnings
    assert "".join(f"{one}\n" for one in warnings) == Path("doubtful.txt").read_text()


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ("2025-02-01T00:00", ["this begins more than a year from now; correct the year, or wait"]),
        ("2025-03-01T00:00", []),
        ("2026-03-31T23:59", []),
        ("2026-04-02T00:00", ["this is over for longer than the budget looks back; remove it"]),
    ],
)
def test_a_time_excluded_from_a_month_is_doubtful_when_no_month_has_it(
    now: str, said: list[str]
) -> None:
    told = spec.check(DATA / "whole.yaml", datetime.fromisoformat(f"{now}+00:00")).warnings
    assert [warning.message for warning in told] == said


@pytest.mark.parametrize("path", [FULL, DATA / "whole.yaml"], ids=lambda path: path.name)
def test_a_file_that_says_what_it_means_has_no_warnings(path: Path) -> None:
    assert spec.check(path, datetime(2026, 3, 1, tzinfo=UTC)).warnings == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: the file is empty; `otelkit init` writes one to start from"),
        ("# nothing\n", "1:1: the file is empty; `otelkit init` writes one to start from"),
        ("just text", "1:1: this is a single value; write a mapping of keys to values"),
        ("- 1", "1:1: this is a list; write a mapping of keys to values"),
        ("a: b\n---\nc: d", "2:1: a second document begins here; write one document a file"),
        ("a: &x b", "1:4: anchors and aliases are not read; write the value out"),
        ("a: *x", "1:4: anchors and aliases are not read; write the value out"),
        ("? [a]\n: b", "1:3: a key has to be a word; quote it if it holds brackets"),
        ("a:\n\tb: c", "2:1: this is not YAML: a tab begins the line; indent with spaces"),
        ("a: [b", "2:1: this is not YAML: did not find expected ',' or ']'"),
        ("[" * 5000, "1:32: nested more than 30 levels deep; write it flatter"),
        ("a: b\nü: \x00", "2:4: this character is no text; remove it"),
        ("a: b\nü: \ud800", "2:4: this character is no text; remove it"),
    ],
)  # fmt: skip
def test_text_that_is_no_document_is_told_with_its_place(text: str, said: str) -> None:
    assert problems(text) == [said]


def test_a_key_that_stands_twice_is_told_once() -> None:
    assert problems(SMALL.replace("name: a,", "name: a, name: b,")) == [
        "5:15: objectives[0].name: this key stands here a second time; keep one of them"
    ]


def test_names_that_a_template_would_swallow_are_refused() -> None:
    told = "Prometheus would take {{ and ` for a template; write it without them"
    for name in ("{{ $value }}", "a`b"):
        text = SMALL + f"queues: {{'{name}': {{}}}}"
        assert problems(text) == [f"6:10: queues.{name}: {told}"]


def test_a_long_line_is_shown_around_its_mistake_and_a_long_value_by_its_ends() -> None:
    text = SMALL.replace(
        "services: {", "services: {" + "".join(f"s{n}: {{}}, " for n in range(999))
    )
    text = text.replace("api: {}", "api: {hppt: {}}").replace("99.95%", "9" * 10_000)
    with pytest.raises(SpecError) as caught:
        spec.loads(text, "sla.yaml")
    lines = str(caught.value).splitlines()
    assert max(map(len, lines)) < 600
    assert lines[1][lines[2].index("^") :] == "h"
    assert lines[1].endswith("s998: {}, api: {h")
    assert lines[4][lines[5].index("^") :].startswith("999")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"version: 1\nsystem: caf\xe9\n", ":2:1: is not UTF-8 here; save it as UTF-8"),
        (b"#" * (4 * 1024 * 1024 + 1), ":1:1: is larger than 4194304 bytes; such a file is never"),
    ],
    ids=["latin-1", "huge"],
)
def test_bytes_that_are_no_sla_file_are_told(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "sla.yaml").write_bytes(data)
    with pytest.raises(SpecError) as caught:
        spec.load(tmp_path / "sla.yaml")
    assert str(caught.value).startswith(f"{tmp_path}/sla.yaml{said}")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    for path, why in (
        (tmp_path, "is a folder; name a file in it"),
        (tmp_path / "no", "cannot be read: No such file or directory"),
    ):
        with pytest.raises(SpecError) as caught:
            spec.load(path)
        assert str(caught.value) == f"{path}:1:1: {why}"


def test_a_file_and_what_it_includes_as_one_text_mean_the_same() -> None:
    path = DATA / "whole.yaml"
    text = spec.text_of(path)
    assert spec.loads(text, "one") == spec.load(path)
    assert problems("include: /etc/*.yaml\n" + SMALL) == [
        "1:10: include: there is no folder to find this in; write everything into one file"
    ]


# --- whatever is written -------------------------------------------------------------------

WORDS = st.sampled_from(
    [*FULL.read_text().split(), "{", "}", "[", "]", ":", "- ", "\n", "\n  ", "\t", '"', "&a", "*a"]
)


@given(st.one_of(st.text(), st.lists(WORDS).map(" ".join)))
def test_no_text_raises_anything_but_a_spec_error(text: str) -> None:
    assert_told_or_read(text)


@given(st.data())
def test_no_damage_to_a_right_file_raises_anything_but_a_spec_error(data: st.DataObject) -> None:
    """A piece of the full file is replaced by any text, or by a word from elsewhere in it."""
    text = FULL.read_text()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 30)))
    piece = data.draw(st.one_of(st.text(max_size=10), WORDS))
    assert_told_or_read(text[:start] + piece + text[end:])


def assert_told_or_read(text: str) -> None:
    found: tuple[Problem, ...] = ()
    try:
        spec.loads(text, "sla.yaml")
    except SpecError as error:
        found = error.problems
        if not found:
            pytest.fail("a file is refused, and nobody says why")
    assert len({str(problem) for problem in found}) == len(found), "told twice"
    assert all(1 <= problem.line <= len(text.splitlines()) + 1 for problem in found)
