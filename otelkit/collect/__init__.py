"""The collector: order events and dead letters become SLA metrics and answers about orders.

Data flows one way. :mod:`.sources` (and :mod:`.api`, over HTTP) hand bytes to the :mod:`.engine`,
which decodes them, lets the pure :mod:`.clocks` decide, and commits the outcome to the
:mod:`.storage`; :mod:`.api` reads. :mod:`.shards` puts these together for each part of the orders,
and :mod:`.run` is the process. Imports point down only: clocks, storage, engine, sources, api,
shards, run.
"""
