"""A draft as the text of an SLA file, as a person would write it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import yaml

from otelkit.migrate.draft import OFF, Draft, Latency, Objective, Owner, Policy, Service
from otelkit.migrate.ratio import Ratio, Share

WIDTH: Final = 98
_PLAIN: Final = re.compile(r"[A-Za-z0-9_/(][^\n]*")


def sla_text(draft: Draft) -> str:
    """The text of the whole file."""
    owners = list(dict.fromkeys(o.owner for o in draft.objectives if o.owner is not None))
    lines = [
        *_comment(draft.said),
        "version: 1",
        f"system: {scalar(draft.system)}",
        *_links(draft),
        *_labels(draft.labels),
        *_owners(owners),
        *_alerting(draft.policies),
        *_services(draft, len(owners) > 1),
        "objectives:",
    ]
    for objective in draft.objectives:
        lines += _objective(objective, owned=len(owners) > 1)
    return "\n".join(lines) + "\n"


def _links(draft: Draft) -> Iterator[str]:
    if draft.runbook is not None:
        yield f"links: {{runbook: {scalar(draft.runbook, flow=True)}}}"


def _labels(labels: Mapping[str, str]) -> Iterator[str]:
    if labels:
        yield from _block("labels", labels.items())


def _owners(owners: list[Owner]) -> Iterator[str]:
    if owners:
        yield "owners:                                # Alertmanager receivers by severity"
        for owner in owners:
            page = owner.page or owner.ticket or owner.name
            pairs = {"page": page, "ticket": owner.ticket or page}
            yield f"  {scalar(owner.name)}: {_flow(pairs.items())}"


def _alerting(policies: Mapping[str, Policy]) -> Iterator[str]:
    if policies:
        yield "alerting:"
        for name, policy in policies.items():
            page, ticket = (_conditions(each) for each in (policy.page, policy.ticket))
            yield f"  {scalar(name)}: {{page: {page}, ticket: {ticket}}}"


def _conditions(conditions: tuple[str, ...]) -> str:
    return f"[{', '.join(conditions)}]" if conditions else OFF


def _services(draft: Draft, owned: bool) -> Iterator[str]:
    found: dict[Service, Owner | None] = {}
    for objective in draft.objectives:
        if isinstance(objective.sli, Latency):
            found.setdefault(objective.sli.service, objective.owner)
    if found:
        yield "services:"
    for service, owner in found.items():
        yield f"  {scalar(service.name)}:"
        if owned and owner is not None:
            yield f"    owner: {scalar(owner.name)}"
        if service.match != (("job", service.name),):
            yield f"    match: {_flow(service.match)}"
        yield f"    http: {{duration: {scalar(service.duration, flow=True)}}}"


def _objective(objective: Objective, *, owned: bool) -> Iterator[str]:
    for line in _comment([*objective.said, *map(_sentence, objective.sli.changed)]):
        yield f"  {line}"
    yield f"  - name: {scalar(objective.name)}"
    for line in _keys(objective, owned=owned):
        yield f"    {line}"


def _keys(objective: Objective, *, owned: bool) -> Iterator[str]:
    if owned and objective.owner is not None:
        yield f"owner: {scalar(objective.owner.name)}"
    if isinstance(objective.sli, Latency):
        yield f"service: {scalar(objective.sli.service.name)}"
        yield f"latency: {{below: {objective.sli.below}, target: {objective.target}}}"
    else:
        yield from _measured(objective.sli)
    if objective.sli.by:
        yield f"by: [{', '.join(scalar(label, flow=True) for label in objective.sli.by)}]"
    if not isinstance(objective.sli, Latency):
        yield f"target: {objective.target}"
    yield f"window: {objective.window}"
    alerting = [f"use: {scalar(objective.policy, flow=True)}"] if objective.policy else []
    alerting += [f"{severity}: {OFF}" for severity in objective.off]
    if alerting:
        yield f"alerting: {{{', '.join(alerting)}}}"


def _measured(sli: Ratio | Share) -> Iterator[str]:
    if isinstance(sli, Ratio):
        for kind in ("good", "bad", "total"):
            if getattr(sli, kind) is not None:
                yield f"{kind}: {scalar(str(getattr(sli, kind)))}"
    elif "\n" in sli.query and _is_block(sli.query):
        yield "query: |"
        for line in sli.query.splitlines():
            yield f"  {line}" if line.strip() else ""
    else:
        yield f"query: {scalar(sli.query)}"


def _is_block(text: str) -> bool:
    """Whether a literal block holds this text as it is."""
    return all(line.isprintable() for line in text.splitlines()) and not text.startswith(" ")


# --- YAML ----------------------------------------------------------------------------------


def scalar(text: str, *, flow: bool = False) -> str:
    """A text as YAML: plain where every reader takes it for that text, else quoted."""
    if _PLAIN.fullmatch(text) and text.isprintable() and not (flow and set(text) & set("{}[],:")):
        try:
            if yaml.safe_load(f"k: {text}") == {"k": text}:
                return text
        except yaml.YAMLError:
            pass
    return quoted(text)


def quoted(text: str) -> str:
    """A double-quoted YAML string."""
    found = "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in _slashed(text))
    return '"' + found.replace("\n", "\\n") + '"'


def _slashed(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _escaped(character: str) -> str:
    return f"\\U{ord(character):08x}"


def _flow(pairs: Iterable[tuple[str, str]]) -> str:
    return "{" + ", ".join(_pair(pair, flow=True) for pair in pairs) + "}"


def _block(key: str, pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    """A mapping on one line where it fits there."""
    several = list(pairs)
    line = f"{key}: {_flow(several)}"
    if len(line) <= WIDTH:
        yield line
        return
    yield f"{key}:"
    for pair in several:
        yield f"  {_pair(pair)}"


def _pair(pair: tuple[str, str], *, flow: bool = False) -> str:
    return f"{scalar(pair[0], flow=flow)}: {scalar(pair[1], flow=flow)}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _comment(paragraphs: Iterable[str]) -> Iterator[str]:
    for paragraph in paragraphs:
        text = "".join(c if c.isprintable() else " " for c in paragraph)
        for line in textwrap.wrap(text, WIDTH - 4, break_on_hyphens=False):
            yield f"# {line}"
