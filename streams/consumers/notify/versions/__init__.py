"""The notifier's migrations, in the order of their numbers. A migration that was released never changes."""
