"""A text column that accepts U+0000, which ids may contain and PostgreSQL cannot store."""

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator


class AnyText(TypeDecorator[str]):
    """Text in which U+0000 is stored as a backslash and 0, and a backslash as two. Equality is preserved."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value if value is None else value.replace("\\", "\\\\").replace("\0", "\\0")

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or "\\" not in value:
            return value
        return "\\".join(part.replace("\\0", "\0") for part in value.split("\\\\"))
