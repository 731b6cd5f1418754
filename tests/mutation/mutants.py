"""Mutants: a rule file with one thing changed, as somebody could have written it by mistake."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import promql_parser
import yaml

from mutation.joins import fixes, is_doubled
from mutation.syntax import AGGREGATIONS, ARITHMETIC, COMPARISONS, SETS, Listed, Node, Token, parse

Rule = Mapping[str, Any]

_INVERSE: Final = dict(zip(ARITHMETIC, "-+/*", strict=True))
_NEGATED: Final = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}
_ALIKE: Final = (
    AGGREGATIONS,
    ("sum_over_time", "count_over_time", "max_over_time", "last_over_time"),
    ("clamp_min", "clamp_max"),
    ("increase", "delta", "rate"),
    ("absent_over_time", "present_over_time"),
)
"""Functions that take the same arguments."""
_LONG: Final = 120
"""Characters of a site that are told; what is longer is told by its two ends."""
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True, eq=False)
class Mutant:
    """One change to one rule of a file; two of them are never the same."""

    file: str
    rule: str
    """The name of the rule, with the labels that tell it from others of that name."""
    site: str
    """The part that is changed, as it was."""
    what: str
    index: int
    changed: Rule | None
    """What stands in the rule's place; None where it is deleted."""

    @property
    def kind(self) -> str:
        return self.what.split(":", maxsplit=1)[0]

    def __str__(self) -> str:
        return f"{self.file} | {self.rule} | {self.site} | {self.what}"


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A file of one group of rules."""

    name: str
    group: str
    rules: tuple[Rule, ...]

    @classmethod
    def read(cls, name: str, text: str) -> RuleFile:
        (group,) = yaml.safe_load(text)["groups"]
        return cls(name, group["name"], tuple(group["rules"]))

    def written(self, rules: Sequence[Rule]) -> str:
        """The file as promtool reads it, JSON being YAML, with other rules."""
        return json.dumps({"groups": [{"name": self.group, "rules": rules}]})


def name_of(rule: Rule) -> str:
    """What a rule records, or the alert that it raises."""
    name: str = rule.get("record") or rule["alert"]
    return name


def mutants(file: RuleFile) -> Iterator[Mutant]:
    """All mutants of a file; those of which one reads as another come once."""
    windows = _Windows.of(file)
    for index, (rule, name) in enumerate(zip(file.rules, _names(file.rules), strict=True)):
        seen = set[str]()
        for site, what, changed in _changes(rule, windows):
            text = json.dumps(changed)
            if text not in seen:
                seen.add(text)
                yield Mutant(file.name, name, site, what, index, changed)


def _names(rules: Sequence[Rule]) -> list[str]:
    """Names that tell rules apart: with those labels that are not the same in all of a name."""
    named = [name_of(rule) for rule in rules]
    found = []
    for name, rule in zip(named, rules, strict=True):
        alike = [r.get("labels", {}) for n, r in zip(named, rules, strict=True) if n == name]
        own = {k: v for k, v in rule["labels"].items() if any(a.get(k) != v for a in alike)}
        said = ",".join(f"{label}={value}" for label, value in own.items())
        found.append(_short(name) + (f"{{{said}}}" if said else ""))
    return found


def _short(text: str) -> str:
    """PromQL in one short line: without what all recorded names and selectors have in common."""
    text = text.replace("otelkit:objective_", "")
    text = re.sub(r'(system|environment|objective)="[^"]*",?', "", text)
    text = re.sub(r"\s+", " ", text.replace("{}", ""))
    return text if len(text) <= _LONG else f"{text[: _LONG // 2]}...{text[-_LONG // 2 :]}"


# --- what can be changed -------------------------------------------------------------------

Change = tuple[str, str, Rule | None]
"""Where, what, and the rule that comes of it."""


def _changes(rule: Rule, windows: _Windows) -> Iterator[Change]:
    yield "rule", "rule: deleted", None
    for label, value in rule.get("labels", {}).items():
        rest = {k: v for k, v in rule["labels"].items() if k != label}
        if not fixes(parse(rule["expr"]), label):
            yield f"labels {label}", "label: deleted", {**rule, "labels": rest}
        other = windows.other_label(value) if label == "window" else f"{value}-"
        changed = {**rule["labels"], label: other}
        yield f"labels {label}", f"label: {value} to {other}", {**rule, "labels": changed}
    for label in rule.get("annotations", {}):
        rest = {k: v for k, v in rule["annotations"].items() if k != label}
        yield f"annotations {label}", "annotation: deleted", {**rule, "annotations": rest}
    if "alert" in rule:
        yield from _waits(rule)
    yield from _expressions(rule, windows)


def _waits(rule: Rule) -> Iterator[Change]:
    if "for" in rule:
        yield "for", "for: deleted", {k: v for k, v in rule.items() if k != "for"}
        yield "for", "for: doubled", {**rule, "for": _duration(2 * seconds(rule["for"]))}
    else:
        yield "for", "for: added", {**rule, "for": "1m"}


def _expressions(rule: Rule, windows: _Windows) -> Iterator[Change]:
    text = rule["expr"]
    for label in rule.get("labels", {}):
        changed = _everywhere(text, label)
        if changed != text:
            yield "everywhere", f"matcher: {label} dropped", {**rule, "expr": changed}
    seen = Counter[tuple[str, str]]()
    for node, start, end, what, new in _edits(text, windows):
        changed = text[:start] + new + text[end:]
        if _is_valid(changed):
            site = _short(text[node.start : node.end])
            seen[site, what] += 1
            nth = f" #{seen[site, what]}" if seen[site, what] > 1 else ""
            yield f"{site}{nth}", what, {**rule, "expr": changed}


def _everywhere(text: str, label: str) -> str:
    """An expression in which no selector asks for a label any more."""
    nodes = [path[-1] for path in parse(text).walk()]
    lists = [listed for node in nodes if node.kind == "selector" for listed in node.listed]
    for listed in sorted(lists, key=lambda listed: -listed.start):
        kept = [item for item in listed.items if item[0].text != label]
        said = ",".join(text[item[0].start : item[-1].end] for item in kept)
        text = f"{text[: listed.start]}{{{said}}}{text[listed.end :]}"
    return text


def _is_valid(expression: str) -> bool:
    try:
        promql_parser.parse(expression)
    except ValueError:
        return False
    return True


Edit = tuple[Node, int, int, str, str]
"""The node that is changed or whose part is, a span, what it is about, and the new text there."""


def _edits(text: str, windows: _Windows) -> Iterator[Edit]:
    for path in parse(text).walk():
        node, above = path[-1], path[-2] if len(path) > 1 else path[-1]
        match node.kind:
            case "binary":
                yield from _operators(text, node)
            case "call" | "aggregation":
                yield from _functions(text, node)
            case "number":
                for new in _numbers(node.signs[0].text):
                    yield (
                        above,
                        node.start,
                        node.end,
                        f"number: {node.signs[0].text} to {new}",
                        new,
                    )
            case "range" | "offset":
                yield from _durations(node, above, windows)
            case "selector":
                for listed in node.listed:
                    yield from _matchers(text, path, listed, windows)
        if node.kind != "selector":
            for listed in node.listed:
                yield from _clauses(text, node, listed)


def _operators(text: str, node: Node) -> Iterator[Edit]:
    sign = node.signs[0]
    for kind, signs in (("comparison", COMPARISONS), ("set", SETS)):
        if sign.text in signs:
            yield from _others(node, sign, signs, kind)
    if sign.text in ARITHMETIC:
        new = _INVERSE[sign.text]
        yield (node, sign.start, sign.end, f"arithmetic: {sign.text} to {new}", new)
    for modifier in node.signs[1:]:
        yield (node, modifier.start, modifier.end, "bool: dropped", "")
    if sign.text in SETS:
        for side, kept in zip(("right", "left"), node.children, strict=True):
            left = text[kept.start : kept.end]
            yield (node, node.start, node.end, f"clause: {side} of {sign.text} deleted", left)


def _others(node: Node, sign: Token, all_of: Iterable[str], kind: str) -> Iterator[Edit]:
    for other in all_of:
        if other != sign.text:
            yield (node, sign.start, sign.end, f"{kind}: {sign.text} to {other}", other)


def _functions(text: str, node: Node) -> Iterator[Edit]:
    name = node.signs[0]
    for alike in _ALIKE:
        if name.text in alike:
            yield from _others(node, name, alike, "function")
    if len(node.children) > 1:
        first = node.children[0]
        bare = text[first.start : first.end]
        yield (node, node.start, node.end, f"function: without {name.text}", bare)


def _numbers(text: str) -> list[str]:
    """A tenth less and a tenth more; there is no tenth of nothing."""
    if Decimal(text) == 0:
        return ["1"]
    return [
        f"{(Decimal(text) * share).normalize():f}" for share in (Decimal("0.9"), Decimal("1.1"))
    ]


def _durations(node: Node, above: Node, windows: _Windows) -> Iterator[Edit]:
    where = above if node.kind == "range" else node
    for sign, kind in zip(node.signs, ("window", "step"), strict=False):
        others = windows.beside(sign.text) if kind == "window" else _beside_none(sign.text)
        for new in others:
            yield (where, sign.start, sign.end, f"{kind}: {sign.text} to {new}", new)
    if node.kind == "offset":
        (of,) = node.children
        yield (node, of.end, node.end, "window: offset deleted", "")


def _matchers(text: str, path: Sequence[Node], listed: Listed, windows: _Windows) -> Iterator[Edit]:
    node = path[-1]
    for items, (label, sign, value) in zip(_without_each(text, listed), listed.items, strict=True):
        if not is_doubled(path, label.text):
            yield (node, listed.start, listed.end, f"matcher: {label.text} dropped", f"{{{items}}}")
        new = _NEGATED[sign.text]
        yield (node, sign.start, sign.end, f"matcher: {label.text}{sign.text} to {new}", new)
        for other in _values(label.text, sign.text, value.text.strip('"'), windows):
            what = f"matcher: {label.text} of {value.text} to {other}"
            yield (node, value.start, value.end, what, f'"{other}"')


def _values(label: str, sign: str, value: str, windows: _Windows) -> list[str]:
    if label == "window":
        return [windows.other_label(value)]
    parts = value.split("|")
    if sign in ("=~", "!~") and len(parts) > 1:
        return ["|".join(parts[:at] + parts[at + 1 :]) for at in range(len(parts))]
    return []


def _clauses(text: str, node: Node, listed: Listed) -> Iterator[Edit]:
    assert listed.head is not None
    head = listed.head.text
    if not listed.items:
        yield (node, listed.start, listed.end, f"labels: {head} () dropped", "")
    for items, (label,) in zip(_without_each(text, listed), listed.items, strict=True):
        what = f"labels: {label.text} dropped from {head}"
        yield (node, listed.start, listed.end, what, f"{head} ({items})")


def _without_each(text: str, listed: Listed) -> list[str]:
    """The list without its first item, without its second, and so on."""
    items = [text[item[0].start : item[-1].end] for item in listed.items]
    return [",".join(items[:at] + items[at + 1 :]) for at in range(len(items))]


# --- windows -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Windows:
    """The lengths that ranges and offsets of a file have, and the values of its `window` labels."""

    lengths: tuple[str, ...]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, file: RuleFile) -> _Windows:
        nodes = (path[-1] for rule in file.rules for path in parse(rule["expr"]).walk())
        found = {node.signs[0].text for node in nodes if node.kind in ("range", "offset")}
        labels = (rule.get("labels", {}).get("window") for rule in file.rules)
        return cls(
            tuple(sorted(found, key=seconds)),
            tuple(label for label in labels if label is not None),
        )

    def beside(self, length: str) -> list[str]:
        """The next shorter and the next longer one; half and double where the file has no other."""
        shorter = [one for one in self.lengths if seconds(one) < seconds(length)]
        longer = [one for one in self.lengths if seconds(one) > seconds(length)]
        return [*shorter[-1:], *longer[:1]] or _beside_none(length)

    def other_label(self, value: str) -> str:
        """The next of the values, and after the last one the first."""
        return self.labels[(self.labels.index(value) + 1) % len(self.labels)]


def _beside_none(length: str) -> list[str]:
    return [_duration(seconds(length) // 2), _duration(seconds(length) * 2)]


def seconds(length: str) -> int:
    """A duration of PromQL in whole seconds."""
    parts = re.findall(r"(\d+)([smhd])", length)
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def _duration(seconds: int) -> str:
    return f"{seconds}s"
