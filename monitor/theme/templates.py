"""Templates of pages. Whatever they show is escaped, and an unknown name is an error."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment_of(package: str, folder: str = "templates") -> Environment:
    """The templates in that folder of a package; each is compiled once."""
    return Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
