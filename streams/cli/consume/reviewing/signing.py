"""`callwarden reviews keygen`, and the key that signs a verdict."""

from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.options import Json
from streams.cli.outputs import print_json

if TYPE_CHECKING:
    from streams.reviews.signatures import SigningKey
    from streams.settings.load import Settings


def keygen(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The name that vouches for the reviews, such as `li-min`.")
    ],
    folder: Annotated[
        str, typer.Option("--out", "-o", metavar="DIR", help="The folder of the new file NAME.pem.")
    ] = ".",
    as_json: Json = False,
) -> None:
    """Make a key that signs reviews: the private key as the file NAME.pem, and the line that workers need of it.

    The line goes into the file of CALLWARDEN_REVIEW_KEYS_FILE, below `keys:`. Only the file's owner can read NAME.pem.

    Exit status: 2 the file exists, or cannot be written.
    """
    from pathlib import Path

    from streams.cli.inputs import fail
    from streams.reviews.signatures import KeyFileError, make_key

    try:
        key, path = make_key(name, Path(folder))
    except KeyFileError as error:
        fail(str(error))
    if as_json:
        print_json({"name": key.name, "public_key": key.public_text, "file": str(path)})
        return
    typer.echo(f"{path}: the private key; keep it to yourself", err=True)
    typer.echo(f"  {key.name}: {key.public_text}")


def signing_key(settings: "Settings") -> "SigningKey | None":
    """The key that signs verdicts. Fails if it cannot be used, or if the workers, as far as known, would reject it."""
    from streams.cli.inputs import fail
    from streams.reviews.signatures import KeyFileError, load_signing_key

    path, known = settings.reviews_signing_key_file, settings.review_keys()
    if path is None:
        if known:
            fail("the workers accept signed verdicts only (CALLWARDEN_REVIEW_KEYS_FILE); expected --key FILE")
        return None
    try:
        key = load_signing_key(path)
    except KeyFileError as error:
        fail(str(error))
    if known and known.get(key.name) != key.public_text:
        what = "has another key with the name" if key.name in known else "has no key with the name"
        fail(f"{path}: {settings.review_keys_file} {what} {key.name}, and the workers would reject the verdict")
    return key
