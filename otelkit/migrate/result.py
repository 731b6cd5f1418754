"""From a draft to an SLA file that passes ``otelkit check``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from otelkit import spec
from otelkit.errors import Problem, SpecError
from otelkit.migrate.draft import Draft, Latency, Names, Objective, Owner, Service, identifier
from otelkit.migrate.foreign import Book, in_order, read, read_text
from otelkit.migrate.text import sla_text
from otelkit.spec.reader import Reader


@dataclass(frozen=True, slots=True)
class Imported:
    """The text of an SLA file, and what became of each field that it could not take over."""

    text: str
    notes: tuple[Problem, ...]
    objectives: int


Make = Callable[[list[Reader], Book, str], Draft]
"""What a make of files says, from their documents: ``sloth.draft``, ``openslo.draft``."""


def load(path: Path, make: Make) -> Imported:
    """The SLA file of a file of another make. Raises :class:`~otelkit.errors.SpecError`."""
    return _imported(*read(path, lambda documents, book: make(documents, book, path.stem)))


def loads(text: str, file: str, make: Make) -> Imported:
    """The same of a text; ``file`` is the name to use in notes."""
    stem = Path(file).stem
    return _imported(*read_text(text, file, lambda docs, book: make(docs, book, stem)))


def _imported(draft: Draft, book: Book) -> Imported:
    """The SLA file of a draft.

    An objective that the SLA file's own reader refuses is left out with what it says. Raises
    :class:`SpecError` with all notes where none is left.
    """
    named = owned(draft, book)
    found = [_accepted(named, objective, book) for objective in named.objectives]
    kept = tuple(objective for objective in found if objective is not None)
    if not kept:
        problems = book.notes.problems
        whole = Problem(book.notes.file, 1, 1, "", "no objective of this file can be imported", "")
        raise SpecError((*in_order(problems), whole))
    text = _text(named, kept)
    spec.loads(text, "the imported SLA file")
    return Imported(text, in_order(book.notes.problems), len(kept))


def owned(draft: Draft, book: Book) -> Draft:
    """The draft with owners and services of one name each."""
    return replace(draft, objectives=_distinct(tuple(_owned(draft.objectives, book)), book))


def _owned(objectives: tuple[Objective, ...], book: Book) -> Iterator[Objective]:
    """Objectives whose owners have a name each.

    Where one objective has an owner, all need one: ``default`` for those without.
    """
    owners = _owners(objective.owner for objective in objectives)
    taken = Names(book, set())
    called = {owner: taken.free(owner.name) for owner in owners}
    for objective in objectives:
        if not owners:
            yield objective
            continue
        if objective.owner is None:
            book.note(objective.at, "nobody owns this; it belongs to `default` in the SLA file")
        wanted = objective.owner or Owner("default")
        owner = next((known for known in owners if known.agrees_with(wanted)), wanted)
        name = called.setdefault(owner, owner.name)
        if name != wanted.name:
            book.note(objective.at, f"{wanted.name} has other receivers here; the owner is {name}")
        yield replace(objective, owner=replace(owner, name=name))


def _owners(all_owners: Iterable[Owner | None]) -> list[Owner]:
    """The owners, those that agree made one."""
    found: list[Owner] = []
    for owner in all_owners:
        if owner is None:
            continue
        at = next((i for i, known in enumerate(found) if known.agrees_with(owner)), None)
        if at is None:
            found.append(owner)
        else:
            found[at] = found[at].with_those_of(owner)
    return found


def _distinct(objectives: tuple[Objective, ...], book: Book) -> tuple[Objective, ...]:
    """Services of one name but of different series get a name each."""
    known: dict[Service, str] = {}
    taken = Names(book, set())
    found = []
    for objective in objectives:
        if isinstance(objective.sli, Latency):
            service = objective.sli.service
            if service not in known:
                known[service] = taken.free(service.name)
            named = replace(service, name=known[service])
            objective = replace(objective, sli=replace(objective.sli, service=named))  # noqa: PLW2901
        found.append(objective)
    return tuple(found)


def _accepted(draft: Draft, objective: Objective, book: Book) -> Objective | None:
    """The objective, with the default policy where its own is refused; None where it is itself."""
    said = _refusal(draft, objective)
    if said and objective.policy is not None:
        plain = replace(objective, policy=None)
        if not _refusal(draft, plain):
            book.note(objective.at, f"its alert policy is left out, for it is refused: {said}")
            return plain
    if said:
        book.note(objective.at, f"left out, for an SLA file refuses it: {said}")
        return None
    return objective


def _refusal(draft: Draft, objective: Objective) -> str:
    try:
        spec.loads(_text(draft, (objective,)), "")
    except SpecError as error:
        return "; ".join(dict.fromkeys(problem.message for problem in error.problems))
    return ""


def _text(draft: Draft, objectives: tuple[Objective, ...]) -> str:
    """The text of a file with these objectives, and the policies that are in force there."""
    used = {"default", *(o.policy for o in objectives)}
    policies = {name: policy for name, policy in draft.policies.items() if name in used}
    return sla_text(replace(draft, objectives=objectives, policies=policies))


def system_name(services: Mapping[str, Reader], stem: str, book: Book) -> str:
    """The name of the system: the only service's, or else the file's."""
    if len(services) != 1:
        return identifier(stem)
    ((service, at),) = services.items()
    return Names(book, set()).give(service, at)
