"""The notifier's migrations: frozen, each after the one that it names."""
