"""Many mutants in one rule file, side by side, so that what none of them changes is evaluated once.

Each mutant has a copy, under names of its own, of the rule that it changes and of all rules that
read it, directly or through others; copies stand beside their originals, since the order in a group
matters. The expectations of a test are copied likewise. Rules that no copy reads are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from mutation.mutants import Mutant, Rule, RuleFile, name_of, seconds

RULES: Final = "mutants.rules.yml"
"""The name of the rule file that proofs read from their own folder."""
_MARK: Final = ":mutant"
_WORD: Final = re.compile(r"[\w:]+")
_FAILED: Final = re.compile(rf"^ +(?:expr|alertname): .*?{_MARK}(\d+)\b", re.MULTILINE)
_BROKEN: Final = re.compile(rf"^ +rule: .*?{_MARK}(\d+), .*err: .*$", re.MULTILINE)
_REFUSED: Final = re.compile(rf'^.*rule \d+, ".*?{_MARK}(\d+)".*$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Copy:
    """One mutant, and the names of the rules that are copied for it; the control has no mutant."""

    number: int
    mutant: Mutant | None
    names: frozenset[str]

    def of(self, index: int, rule: Rule) -> Rule | None:
        """The copy of a rule; None where there is none, or it is deleted."""
        changed = self.mutant.changed if self.mutant and index == self.mutant.index else rule
        if changed is None or name_of(rule) not in self.names:
            return None
        renamed: Rule = self.renamed(changed)
        return renamed

    def renamed(self, part: Any) -> Any:
        """A part of a rule or of a test, with the names of copies for those of originals."""
        return _mapped(part, lambda text: _WORD.sub(self._marked, text))

    def _marked(self, word: re.Match[str]) -> str:
        name = word.group()
        return f"{name}{_MARK}{self.number}" if name in self.names else name


@dataclass(frozen=True, slots=True)
class Trial:
    """Mutants of one file that are tried together, and last the control: copies of all as they are.

    A test that fails on the control would fail on any mutant.
    """

    file: RuleFile
    copies: tuple[Copy, ...]

    @classmethod
    def of(cls, file: RuleFile, mutants: Iterable[Mutant]) -> Trial:
        readers = {name_of(rule): _readers(file.rules, name_of(rule)) for rule in file.rules}
        named = [(m, readers[name_of(file.rules[m.index])]) for m in mutants]
        found = [Copy(number, mutant, names) for number, (mutant, names) in enumerate(named)]
        every = frozenset[str]().union(*(names for _, names in named))
        return cls(file, (*found, Copy(len(found), None, every)))

    def rules(self) -> str:
        """The file: what the copies read, and the copies."""
        found = list[Rule]()
        read = self._read()
        for index, rule in enumerate(self.file.rules):
            if name_of(rule) in read:
                found.append(rule)
            copied = (copy.of(index, rule) for copy in self.copies)
            found += [copy for copy in copied if copy is not None]
        return self.file.written(found)

    def _read(self) -> set[str]:
        """The names of the originals that copies read, directly or not."""
        known = {name_of(rule): set[str]() for rule in self.file.rules}
        for rule in self.file.rules:
            known[name_of(rule)] |= _asked(rule)
        words = set[str]()
        for copy in self.copies:
            changed = copy.mutant.changed if copy.mutant else None
            own = [known[name] for name in copy.names] + ([_asked(changed)] if changed else [])
            words |= set[str]().union(*own) - copy.names
        found = set[str]()
        while new := (words & known.keys()) - found:
            found |= new
            words = {word for name in new for word in known[name]}
        return found

    def is_unsound(self, said: str) -> bool:
        """Whether a test fails on the control, or nobody knows why."""
        failing = _FAILED.findall(said)
        return str(self.copies[-1].number) in failing or bool(said) != bool(failing)

    def failed(self, said: str) -> dict[Mutant, str]:
        """The mutants on which an expectation fails, by what promtool says of a test."""
        return self._told(_FAILED, said)

    def broken(self, said: str) -> dict[Mutant, str]:
        """The mutants that promtool cannot evaluate on the series of a test, and its words."""
        return self._told(_BROKEN, said)

    def refused(self, said: str) -> dict[Mutant, str]:
        """The mutants that promtool does not load, and its words."""
        return self._told(_REFUSED, said)

    def _told(self, pattern: re.Pattern[str], said: str) -> dict[Mutant, str]:
        found = {self.copies[int(one[1])]: one[0].strip() for one in pattern.finditer(said)}
        return {copy.mutant: words for copy, words in found.items() if copy.mutant}


@dataclass(frozen=True, slots=True)
class Test:
    """One test of a proof in promtool's own notation, and what the proof says for all of them."""

    name: str
    own: Mapping[str, Any]
    common: Mapping[str, Any]

    @property
    def steps(self) -> int:
        """How often it evaluates the rules."""
        parts = ("promql_expr_test", "alert_rule_test")
        ends = [seconds(one["eval_time"]) for part in parts for one in self.own.get(part, ())]
        return max(ends) // seconds(self.common["evaluation_interval"]) + 1

    def of(self, trial: Trial) -> str:
        """A proof of this test, of all mutants of a trial."""
        own = dict(self.own)
        for part in ("promql_expr_test", "alert_rule_test", "input_series"):
            given = [(one, frozenset(_words(one))) for one in self.own.get(part, ())]
            own[part] = [] if part != "input_series" else [one for one, _ in given]
            for copy in trial.copies:
                own[part] += [copy.renamed(one) for one, words in given if words & copy.names]
        return json.dumps({**self.common, "rule_files": [RULES], "tests": [own]})


def tests(proof: str) -> Iterator[Test]:
    """The tests of a proof file. Each alert that one expects is told by its name."""
    document: Mapping[str, Any] = yaml.load(proof, Loader=yaml.CSafeLoader)
    common = {key: value for key, value in document.items() if key != "tests"}
    for test in document["tests"]:
        for one in test.get("promql_expr_test", ()):
            if "ALERTS" in one["expr"] and 'alertname="' not in one["expr"]:
                raise ValueError(f"{one['expr']} would see alerts of several mutants")
        yield Test(test["name"], test, common)


def _readers(rules: Sequence[Rule], name: str) -> frozenset[str]:
    """The name, and those of all rules that read it, directly or through others."""
    found = {name}
    while new := {name_of(rule) for rule in rules if found & _asked(rule)} - found:
        found |= new
    return frozenset(found)


def _asked(rule: Rule) -> set[str]:
    """All words that a rule may read a series by."""
    return set(_words([rule["expr"], rule.get("annotations", {})]))


def _words(part: Any) -> list[str]:
    """All words in the strings of a part of a rule or a test."""
    match part:
        case str():
            return _WORD.findall(part)
        case Mapping():
            return [word for value in part.values() for word in _words(value)]
        case list():
            return [word for value in part for word in _words(value)]
    return []


def _mapped(part: Any, change: Callable[[str], str]) -> Any:
    """The same with each string changed that is no key."""
    match part:
        case str():
            return change(part)
        case Mapping():
            return {key: _mapped(value, change) for key, value in part.items()}
        case list():
            return [_mapped(value, change) for value in part]
    return part
