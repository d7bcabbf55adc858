"""The console: a reviewer's pages in the browser, from a database of its own that follows the topics.

`intake` writes what the topics say into the tables; `cases` has the queue, claims and verdicts; `queries` reads for the
other pages. `pages` has one router a page, which `app` mounts; `templates` and `texts` have its HTML and its words. The
`outbox` writes to Kafka. It imports `streams.reviews`, `streams.consumers` and the layers below, never `streams.cli`.
"""
