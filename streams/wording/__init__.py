"""What programs write of themselves for an operator, in Chinese and English: a table for each kind.

They write the English sentences, to `/readyz`, to records and to logs; the console shows both. It imports only
`monitor.text`.
"""
