"""A command whose error says how to pass an argument that begins with a dash."""

import re
from typing import Any

from typer.core import TyperCommand


class Command(TyperCommand):
    """An id such as `-5a` is an argument after `--`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as usual; the error for an unknown option says how to pass such an argument."""
        arguments = [each for each in self.params if each.param_type_name == "argument"]
        try:
            return super().parse_args(ctx, args)
        except Exception as error:  # of any class: typer has its own copy of click's, under a private name
            name = getattr(error, "option_name", "")
            if arguments and type(error).__name__ == "NoSuchOption" and re.match("-[^-]", name):
                expected = "expected `--` before an argument that begins with a dash"
                error.message = f"No such option: {name}; {expected}"  # type: ignore[attr-defined]
            raise
