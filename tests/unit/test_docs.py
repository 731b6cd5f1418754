"""What the pages say is what the code does."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import typer

from otelkit import names, spec
from otelkit.cli import app
from otelkit.collect import settings

ROOT = Path(__file__).parents[2]
PAGES = {
    path.name: path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
}


def test_the_sla_file_of_the_readme_is_valid() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGES["README.md"], re.DOTALL)
    assert [o.name for o in spec.loads(text, "README.md").objectives] == ["manufacturing-on-time"]


def test_every_alert_has_its_line() -> None:
    told = set(re.findall(r"^\| `(\w+)` \|", PAGES["alerts.md"], re.MULTILINE))
    assert told == {value for name, value in vars(names).items() if name.startswith("ALERT_")}


def test_every_setting_of_the_collector_has_its_line_and_its_default() -> None:
    table = PAGES["collector.md"].split("## Events")[0]
    told = dict(re.findall(r"^\| `(\w+)` \| (\S+)", table, re.MULTILINE))
    assert set(told) == {field.name for field in fields(settings.Settings)}
    for name in ("store", "tick", "lateness", "batch", "listen"):
        given = (
            {}
            if told[name] == "none"
            else {f"OTELKIT_COLLECTOR_{name.upper()}": told[name].strip("`")}
        )
        assert settings.load(None, given) == settings.Settings(), name


def test_the_collectors_file_to_start_from_holds_settings() -> None:
    secret = {"OTELKIT_COLLECTOR_AMQP": "amqp://otelkit:secret@rabbitmq/%2F"}
    found = settings.load(ROOT / "collectors" / "collector.yaml", secret)
    assert found.store == Path("/var/lib/otelkit/orders.db")


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_a_page_names_exists(page: str) -> None:
    commands = set(getattr(typer.main.get_command(app), "commands", {}))
    assert set(re.findall(r"`otelkit ([a-z]+)", PAGES[page])) <= commands


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    folder = ROOT if page == "README.md" else ROOT / "docs"
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGES[page]):
        assert (folder / target).exists(), target
