"""`callwarden reviews`: list decisions, uphold or overturn them, and approve or reject applications."""

import typer

from streams.cli.consume.reviewing.case_list import list_, show
from streams.cli.consume.reviewing.signing import keygen
from streams.cli.consume.reviewing.verdicts import approve, overturn, reject, uphold

app = typer.Typer()
app.command("list")(list_)
app.command()(show)
app.command()(uphold)
app.command()(approve)
app.command()(reject)
app.command()(overturn)
app.command()(keygen)
