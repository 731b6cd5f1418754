"""``otelkit diff``, as people and scripts run it."""

from __future__ import annotations

from pathlib import Path

from .test_commands import SHOP, otelkit


def test_diff_exits_2_and_says_what_changes_by_objective_and_owner(tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"
    new.write_text(SHOP.read_text().replace("max_age: 5m", "max_age: 15m"))
    done = otelkit("diff", SHOP, new)
    assert (done.code, done.err) == (2, "1 change for those on call\n")
    assert "│ no-dead-letters │ plant │ pages on a letter older than 15m instead of " in done.out
    done = otelkit("diff", SHOP, new, "--json")
    assert (done.code, done.err) == (2, "")
    (change,) = done.json["changes"]
    assert change == {
        "environment": "default",
        "owner": "plant",
        "objective": "no-dead-letters",
        "text": "pages on a letter older than 15m instead of a letter older than 5m",
    }


def test_diff_of_what_means_the_same_exits_0(tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"
    new.write_text("# moved\n" + SHOP.read_text().replace("99.9%", "'99.90%'"))
    done = otelkit("diff", SHOP, new)
    assert (done.code, done.out, done.err) == (0, "", "nothing changes for anyone\n")
    assert otelkit("diff", SHOP, new, "--json").json["changes"] == []


def test_diff_with_a_broken_file_is_a_failure_not_a_change(tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"
    new.write_text(SHOP.read_text().replace("version: 1", "version: 2"))
    done = otelkit("diff", SHOP, new)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"{new}:3:10: version: ")
    assert otelkit("diff", tmp_path / "none.yaml", SHOP).code == 1
