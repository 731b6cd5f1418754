"""PromQL that people wrote gains the matchers of an environment, in every selector."""

from __future__ import annotations

import pytest

from otelkit.spec.narrowing import narrow

PROD = {"env": "prod"}


@pytest.mark.parametrize(
    ("written", "narrowed"),
    [
        ("up", 'up{env="prod"}'),
        ("up{}", 'up{env="prod"}'),
        ('up{a="}",}', 'up{a="}",env="prod"}'),
        ('{__name__="up"}', '{__name__="up",env="prod"}'),
        ("max(up) by (env)", 'max(up{env="prod"}) by (env)'),
        ("rate(a[5m]) / on (r) group_left (z) b offset 5m > bool 1e3",
         'rate(a{env="prod"}[5m]) / on (r) group_left (z) b{env="prod"} offset 5m > bool 1e3'),
        ("avg_over_time(up[1m:10s] @ end())", 'avg_over_time(up{env="prod"}[1m:10s] @ end())'),
        ("up # not{this}\n or down", 'up{env="prod"} # not{this}\n or down{env="prod"}'),
        ("-up == NaN", '-up{env="prod"} == NaN'),
        ('label_replace(up, "a", "up", "", "")',
         'label_replace(up{env="prod"}, "a", "up", "", "")'),
    ],
)  # fmt: skip
def test_each_selector_is_narrowed_and_nothing_else(written: str, narrowed: str) -> None:
    assert narrow(written, PROD) == narrowed
    assert narrow(written, {}) == written


def test_what_cannot_be_narrowed_for_certain_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cannot put \{env=\"prod\"\} into every selector of"):
        narrow("sum by (offset) (bool)", PROD)  # a metric with the name of a keyword
