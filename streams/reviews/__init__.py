"""Reviews: people's verdicts on decisions, reserved in the ledger's database before they are sent.

`service` submits those of `callwarden reviews`: `reservations` stores them and `reservation_sender` writes them. The
console has tables and an outbox of its own, and uses `validation`, `signatures` and `rejections`. It imports
`streams.consumers`, `streams.ops` and the layers below.
"""
