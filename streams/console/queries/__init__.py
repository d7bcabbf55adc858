"""What the read pages and `/v1` show: queries on the console's tables, each bounded and on an index.

It imports the tables and the domain; it knows no web framework.
"""
