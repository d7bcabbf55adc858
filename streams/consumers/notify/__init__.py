"""The notifier: tells people of alerts and decisions as they happen, each once, whatever happens to it meanwhile.

`rules` decides what is worth saying, `words` says it, `digest` keeps a flood short: these are free of I/O and of the
clock. `store` keeps what they know and the outbox in one transaction, `sender` empties it, `channels` speak to those
who are told.
"""
