"""The migrations of the console's database, by number."""
