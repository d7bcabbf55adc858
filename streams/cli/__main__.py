"""`python -m streams.cli` is `callwarden`."""

from streams.cli.app import main

main()
