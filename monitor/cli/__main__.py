"""`python -m monitor.cli` is `callwarden`."""

from monitor.cli.app import main

main()
