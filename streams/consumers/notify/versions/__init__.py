"""The notifier's migrations, by number. A released migration never changes."""
