"""Queries as people write them, and the counters or the share that they come to."""

from __future__ import annotations

import pytest

from otelkit.migrate import ratio
from otelkit.migrate.ratio import Ratio, Share

W = "[{{.window}}]"
GUARD = "`or vector(0)` is left out: otelkit knows what no events are"


def told(found: Ratio | Share) -> str:
    if isinstance(found, Share):
        return f"query {found.query} by {','.join(found.by)}"
    kinds = ((kind, getattr(found, kind)) for kind in ("good", "bad", "total"))
    return " ".join(f"{kind} {counter}" for kind, counter in kinds if counter is not None) + (
        f" by {','.join(found.by)}" if found.by else ""
    )


@pytest.mark.parametrize(
    ("bad", "total", "said"),
    [
        (f'sum(rate(r{{c=~"5.."}}{W}))', f"sum(rate(r{W}))", 'bad r{c=~"5.."} total r'),
        ("(sum(increase(e[{{- .window -}}])))", f"sum(rate(t{W}))", "bad e total t"),
        (f'sum(rate({{__name__="e",a="b"}}{W}))', f"sum(rate(t{W}))", 'bad e{a="b"} total t'),
        (f"sum(rate(t{W})) - sum(rate(g{W}))", f"sum(rate(t{W}))", "good g total t"),
        (f"sum(rate(e{W}))", f"sum(rate(g{W})) + sum(rate(e{W}))", "good g bad e"),
        (f"sum by (r)(rate(e{W}))", f"sum(rate(t{W})) by (r)", "bad e total t by r"),
        (f"sum(rate(e{W})) or vector(0)", f"sum(rate(t{W})) > 0", "bad e total t"),
        (f"rate(e{W})", f"rate(t{W})", "bad e total t"),
        # What no two selectors say stays a query.
        (
            f"sum(rate(e{W} offset 1h))",
            f"sum(rate(t{W}))",
            "query 1 - ((sum(rate(e[5m] offset 1h))) or vector(0)) / (sum(rate(t[5m]))) by ",
        ),
        (
            f"sum by (r)(irate(e{W}))",
            f"sum by (r)(rate(t{W}))",
            (
                "query 1 - ((sum by (r)(irate(e[5m]))) or 0 * (sum by (r)(rate(t[5m])))) / "
                "(sum by (r)(rate(t[5m]))) by r"
            ),
        ),
        (
            f"sum(rate(e{W})) or vector(1)",  # no errors known: all of them
            f"sum(rate(t{W}))",
            "query 1 - ((sum(rate(e[5m])) or vector(1)) or vector(0)) / (sum(rate(t[5m]))) by ",
        ),
        (
            f"sum(rate(u{W})) - sum(rate(g{W}))",  # of other events than the total's
            f"sum(rate(t{W}))",
            (
                "query 1 - ((sum(rate(u[5m])) - sum(rate(g[5m]))) or vector(0)) / "
                "(sum(rate(t[5m]))) by "
            ),
        ),
    ],
)
def test_bad_events_over_all_events(bad: str, total: str, said: str) -> None:
    assert told(ratio.events(bad, total, bad=True)) == said


@pytest.mark.parametrize(
    ("query", "bad", "said"),
    [
        (f"sum(rate(e{W})) / sum(rate(t{W}))", True, "bad e total t"),
        (f"1 - (sum(rate(e{W})) / sum(rate(t{W})))", False, "bad e total t"),
        (f"1 - sum(rate(g{W})) / sum(rate(t{W}))", True, "good g total t"),
        ("1 - (avg(x))", True, "query avg(x) by "),
        ("avg(x) - 1", True, "query 1 - (avg(x) - 1) by "),
        (
            f"sum by (r)(a{{}}) / on (r) sum by (r)(b) # {W}",
            False,
            "query sum by (r)(a{}) / on (r) sum by (r)(b) # [5m] by r",
        ),
    ],
)
def test_a_ratio_in_one_query(query: str, bad: bool, said: str) -> None:
    assert told(ratio.share(query, bad=bad)) == said


def test_counters_without_a_range_are_counted_where_the_file_says_that_they_are() -> None:
    found = ratio.events('sum(r{c="2"})', "r", bad=False, counters=True)
    assert told(found) == 'good r{c="2"} total r'
    assert found.changed == ("all series of the selector are counted together",)
    assert told(ratio.events("sum(r)", "sum(s)", bad=False)).startswith("query (sum(r)) / (sum(s))")


def test_a_comment_swallows_nothing_of_what_is_put_around_it() -> None:
    found = ratio.share("avg(x) # the average", bad=True)
    assert told(found) == "query 1 - (\n  avg(x) # the average\n) by "


def test_what_is_left_out_of_a_query_is_said() -> None:
    found = ratio.events(f"sum(rate(e{W})) or vector(0)", f"sum(rate(t{W}))", bad=True)
    assert found.changed == (GUARD,)


@pytest.mark.parametrize(
    ("bad", "total", "said"),
    [
        ("sum(", "t", "this is not PromQL: unclosed left parenthesis"),
        ("", "t", "this is not PromQL: no expression found in input"),
        ("nope(e)", "t", "this is not PromQL: unknown function with name 'nope'"),
        ("{{.labels}}", "t", "the query holds a template; write it out, with {{.window}} at most"),
        (
            f"sum by (r)(rate(e{W}))",
            f"sum(rate(t{W}))",
            "the labels of what this yields cannot be told; sum both sides by the same labels",
        ),
        (
            f"sum without (r)(rate(e{W}))",
            f"sum without (r)(rate(t{W}))",
            "the labels of what this yields cannot be told; sum both sides by the same labels",
        ),
        (
            f"sum(rate(e{W}))",
            f"sum(rate(e{W}))",
            "both queries count the same events; nothing could ever be bad, or good",
        ),
    ],
)
def test_what_no_sla_file_can_say_is_refused(bad: str, total: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        ratio.events(bad, total, bad=True)
    assert str(caught.value) == said


@pytest.mark.parametrize("query", ['"a"', "a[5m]", "avg(x)[5m:1m]"])
def test_a_share_is_a_number(query: str) -> None:
    with pytest.raises(ValueError, match="yields no numbers to judge"):
        ratio.share(query, bad=False)
