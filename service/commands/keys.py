"""The command `firstsight keys`: makes keys for `FIRSTSIGHT_KEYS_FILE`."""

from typing import Annotated

import typer

from service.keys.key import new_key

keys = typer.Typer()


@keys.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Whose it is; the audit log names it so.")],
    scopes: Annotated[str, typer.Option(help="Some of recall,write,admin.")],
) -> None:
    """Print a new key once, on standard error, and the line for the file of keys.

    The line holds a digest, so that `firstsight keys new shop --scopes recall >> keys` writes no
    secret.
    """
    text, line = new_key(name, scopes)
    typer.echo(f"the key of {name}, which is shown only now:\n{text}", err=True)
    typer.echo(line)


@keys.callback()
def _keys() -> None:
    """Make keys of the service; docs/security.md."""
