"""SLO files of other makes become an SLA file, with a note for each field that it cannot hold.

One way: documents (:mod:`.foreign`), objectives by make (:mod:`.sloth`, :mod:`.openslo`), their
queries (:mod:`.ratio`), a draft (:mod:`.draft`), text (:mod:`.text`) that the SLA file's own
reader has accepted (:mod:`.result`).
"""
