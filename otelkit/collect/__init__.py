"""The collector: order events and dead letters become SLA metrics and answers about orders.

Data flows one way: sources (:mod:`.rabbitmq`, :mod:`.sqlsource`, :mod:`.api`,
:mod:`.deadletters`) hand bytes to the :mod:`.engine`, which decodes them, lets the pure
:mod:`.clock` decide, and commits the outcome to the :mod:`.store`; :mod:`.exposition` and
:mod:`.api` read. Another SLA file comes into force for open orders by :mod:`.changeover`.
"""
