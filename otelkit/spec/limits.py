"""Objectives about dead-letter queues: how much may lie there, and for how long."""

from __future__ import annotations

from otelkit.model import QueueLimit
from otelkit.spec import quantities as q
from otelkit.spec.draft import Draft


def queue_limit(draft: Draft) -> QueueLimit | None:
    """Two limits of a queue, of which one may be left out."""
    fields = draft.fields
    queue = draft.parts.queues.get_named(fields["queue"], "queue")
    messages = fields["max_messages"].parse(q.whole) if "max_messages" in fields else None
    age = fields["max_age"].parse(q.duration) if "max_age" in fields else None
    owner = draft.owner(queue.owner if queue else None)
    if not {"max_messages", "max_age"} & set(fields):
        draft.at.problem("nothing is limited; add `max_messages:`, `max_age:` or both")
    if queue is None or owner is None or (messages is None and age is None):
        return None
    return QueueLimit(draft.name, owner, queue, messages, age)
