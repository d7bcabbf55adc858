"""A command that says what to do with an argument that begins like an option."""

import re
from typing import Any

from typer.core import TyperCommand


class Command(TyperCommand):
    """Its numbers are 0 or more, and `-5` is none of them; an id such as `-5a` is an argument behind `--`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As every command; what it says of an unknown option is what would be right."""
        arguments = [each for each in self.params if each.param_type_name == "argument"]
        try:
            return super().parse_args(ctx, args)
        except Exception as error:  # of any class: typer has its own copy of click's, under a private name
            name = getattr(error, "option_name", "")
            if arguments and type(error).__name__ == "NoSuchOption" and re.match("-[^-]", name):
                numbers = [str(each.metavar) for each in arguments if getattr(each, "min", None) == 0]
                right = "for an argument that begins so, `--` before it would be right"
                if numbers and name[1:].isdigit():
                    right = f"0 or more would be right for {' and '.join(numbers)}"
                error.message = f"No such option: {name}; {right}"  # type: ignore[attr-defined]
            raise
