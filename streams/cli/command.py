"""A command whose message says what is expected: of a wrong number, and of an argument that begins with a dash."""

import re
from typing import Any, Final

from typer.core import TyperCommand

_WHOLE: Final = ("IntParamType", "IntRange")
_NUMBERS: Final = (*_WHOLE, "FloatParamType", "FloatRange")


class Command(TyperCommand):
    """An id such as `-5a` is an argument after `--`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as usual; the error for an unknown option says how to pass such an argument, and that for a number
        which one is expected."""
        arguments = [each for each in self.params if each.param_type_name == "argument"]
        try:
            return super().parse_args(ctx, args)
        except Exception as error:  # of any class: typer has its own copy of click's, under a private name
            name = getattr(error, "option_name", "")
            if arguments and type(error).__name__ == "NoSuchOption" and re.match("-[^-]", name):
                expected = "expected `--` before an argument that begins with a dash"
                error.message = f"No such option: {name}; {expected}"  # type: ignore[attr-defined]
            kind = getattr(getattr(error, "param", None), "type", None)
            if type(error).__name__ == "BadParameter" and type(kind).__name__ in _NUMBERS:
                given = error.message.partition(" is not ")[0]  # type: ignore[attr-defined]
                error.message = f"{given} is not allowed; expected {_number(kind)}"  # type: ignore[attr-defined]
            raise


def _number(kind: Any) -> str:
    """What a number of click's type must be."""
    what = "a whole number" if type(kind).__name__ in _WHOLE else "a number"
    least, most = getattr(kind, "min", None), getattr(kind, "max", None)
    if least is None or most is None:
        return what if least is None else f"{what} of at least {least:,}"
    return f"{what} from {least:,} to {most:,}"
