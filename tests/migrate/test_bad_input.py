"""Files that are none: each gets a sentence with its place, and nothing else ever comes of it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelkit.errors import OtelkitError, SpecError
from otelkit.migrate import openslo, sloth
from otelkit.migrate.foreign import read_text
from otelkit.migrate.ratio import MINUTES
from otelkit.migrate.result import load, loads

DATA = Path(__file__).parent / "data"
TEXTS = {path.stem: path.read_text() for path in sorted(DATA.glob("*o*.yaml"))}
SLOTH = "version: prometheus/v1\nservice: s\nslos: "
SLO = "apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: a}\nspec: "
MEASURED = "indicator: {spec: {ratioMetric: {raw: {metricSource: {spec: {query: avg(x)}}}}}}}"


def problems(read: object, text: str) -> list[str]:
    make = sloth.draft if read == "sloth" else openslo.draft
    with pytest.raises(SpecError) as caught:
        loads(text, "slo.yaml", make)
    return [
        f"{p.line}:{p.column}: {p.path}: {p.message}".replace(": : ", ": ")
        for p in caught.value.problems
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: the file is empty; name one that holds objectives"),
        ("# nothing\n---\n", "1:1: the file is empty; name one that holds objectives"),
        ("a: [", "2:1: this is not YAML: did not find expected node content"),
        ("just words", "1:1: this is a single value; write a mapping of keys to values"),
        ("a: 1", "1:1: the key 'version' is missing; add it"),
        (
            "version: prometheus/v2",
            (
                "1:10: version: version 'prometheus/v2' is not known; "
                "Sloth's files have version: prometheus/v1"
            ),
        ),
        (
            "apiVersion: openslo/v1\nkind: SLO",
            "1:13: apiVersion: this is OpenSLO; run: otelkit import openslo FILE",
        ),
        (
            "apiVersion: sloth.slok.dev/v1\nkind: AlertWindows\nspec: {}",
            (
                "2:7: kind: 'AlertWindows' holds no SLOs; "
                "name a file with kind: PrometheusServiceLevel"
            ),
        ),
        (SLOTH + "[]", "3:7: slos: write a list with at least one SLO"),
        (SLOTH + "{a: 1}", "3:7: slos: write a list with at least one SLO"),
        (
            SLOTH + "[{name: a, objective: much, sli: {raw: {error_ratio_query: avg(x)}}}]",
            "3:29: slos[0].objective: 'much' is no number; write one such as 99.9",
        ),
        (
            SLOTH + "[{name: a, objective: 99, sli: {}}]",
            "3:38: slos[0].sli: write one of events, raw and plugin",
        ),
        (
            SLOTH + "[{name: a, objective: 99, sli: {events: {total_query: x}}}]",
            "3:47: slos[0].sli.events: the key 'error_query' is missing; add it",
        ),
    ],
)
def test_what_is_no_sloth_file_is_told_with_its_place(text: str, said: str) -> None:
    assert problems("sloth", text) == [said]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: the file is empty; name one that holds objectives"),
        ("- a\n", "1:3: [0]: this is a single value; write a mapping of keys to values"),
        (
            "apiVersion: openslo.com/v2alpha\nkind: SLO",
            (
                "1:13: apiVersion: 'openslo.com/v2alpha' is not known; "
                "write apiVersion: openslo/v1 or openslo/v1alpha"
            ),
        ),
        (
            "apiVersion: sloth.slok.dev/v1\nkind: PrometheusServiceLevel",
            "1:13: apiVersion: this is Sloth; run: otelkit import sloth FILE",
        ),
        (
            "apiVersion: openslo/v1\nkind: SLOs",
            "2:7: kind: OpenSLO has no kind 'SLOs'; did you mean 'SLO'?",
        ),
        (
            "apiVersion: openslo/v1\nkind: Service\nmetadata: {name: a}\nspec: {description: b}",
            "1:1: this file holds no SLO; name one with kind: SLO",
        ),
        (
            SLO + "{service: s, indicatorRef: b, objectives: [{target: 0.99}]}",
            "4:34: spec.indicatorRef: no SLI in this file is called 'b'; none is defined",
        ),
        (
            SLO + "{service: s, objectives: [{target: 0.99, targetPercent: 99}], " + MEASURED,
            ("4:33: spec.objectives[0]: write one of `target: 0.999` and `targetPercent: 99.9`"),
        ),
        (
            SLO
            + "{service: s, timeWindow: [{duration: 4 weeks}], objectives: [{target: 0.99}], "
            + MEASURED,
            (
                "4:44: spec.timeWindow[0].duration: '4 weeks' is no duration; "
                "OpenSLO writes one such as 1h, 4w or 1M"
            ),
        ),
    ],
)
def test_what_is_no_openslo_file_is_told_with_its_place(text: str, said: str) -> None:
    assert problems("openslo", text) == [said]


def test_a_key_without_a_value_says_nothing() -> None:
    text = SLOTH + (
        "[{name: a, objective: 99, description: '', labels: null, plugins: ~, nope: , "
        "sli: {raw: {error_ratio_query: avg(x)}, events: null}, alerting: {page_alert: null}}]"
    )
    draft, book = read_text(text, "slo.yaml", lambda docs, book: sloth.draft(docs, book, "slo"))
    assert [str(objective.sli.query) for objective in draft.objectives] == ["1 - (avg(x))"]  # type: ignore[union-attr]
    assert [note.message for note in book.notes.problems] == [MINUTES]


def test_a_folder_is_told_from_a_file(tmp_path: Path) -> None:
    for make in (sloth.draft, openslo.draft):
        with pytest.raises(SpecError, match="this is a folder; name one file of it"):
            load(tmp_path, make)
        with pytest.raises(SpecError, match="cannot be read: No such file or directory"):
            load(tmp_path / "none.yaml", make)


def outcome(text: str) -> None:
    for make in (sloth.draft, openslo.draft):
        with suppress(OtelkitError):
            loads(text, "slo.yaml", make)


@given(st.text())
def test_no_text_ends_in_anything_but_a_sentence(text: str) -> None:
    outcome(text)
    outcome(SLOTH + text)


ODD = (
    "", "{}", "[]", "~", "NaN", "1e999999", "-1", "0", "*x", "&x a", "<<: {}",
    '"\\ud800"', '"\\0"', "9" * 5000, "x" * 300, "a: b", "- a", "{{.window}}", "sum(", "a[5m]", "'",
)  # fmt: skip

CHANGE = st.tuples(
    st.integers(0),
    st.sampled_from(["cut", "odd", "swap", "flip"]),
    st.one_of(st.sampled_from(ODD), st.text(max_size=8)),
)


@given(
    st.sampled_from(sorted(TEXTS)),
    st.lists(CHANGE, min_size=1, max_size=4),
)
@settings(max_examples=300)
def test_no_change_to_a_file_ends_in_anything_but_a_sentence(
    name: str, changes: list[tuple[int, str, str]]
) -> None:
    lines = TEXTS[name].splitlines()
    for place, how, odd in changes:
        at = place % len(lines)
        key, colon, value = lines[at].partition(": ")
        if how == "cut":
            del lines[at]
        elif how == "odd":
            lines[at] = f"{key}{colon}{odd}"
        elif how == "swap":
            lines[at], lines[at - 1] = lines[at - 1], lines[at]
        else:
            lines[at] = f"{odd}{key}{colon}{value}"
        if not lines:
            break
    outcome("\n".join(lines))
