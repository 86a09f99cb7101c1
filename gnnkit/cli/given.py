"""Which options a command line spells out, for commands where some do not go together."""

from collections.abc import Collection

import typer

from gnnkit.cli.command import BadUsageError


def given_flags(context: typer.Context, *, besides: Collection[str] = ()) -> list[str]:
    """Names of the options and arguments that were typed, as they are typed, in the order of ``--help``.

    Args:
        context: The command's.
        besides: Parameters that do not count.
    """
    found = []
    for each in context.command.params:
        source = context.get_parameter_source(each.name or "")
        if source is not None and source.name == "COMMANDLINE" and each.name not in besides:
            found.append(each.opts[0] if each.param_type_name == "option" else str(each.metavar))
    return found


def refuse(context: typer.Context, names: Collection[str], why: str) -> None:
    """Refuse options that would do nothing here.

    Args:
        context: The command's.
        names: The parameters that have no use.
        why: What they are for, and what to do: the end of the message.

    Raises:
        BadUsageError: Naming those that were typed.
    """
    besides = {each.name for each in context.command.params if each.name not in names}
    if given := given_flags(context, besides={name for name in besides if name}):
        raise BadUsageError(f"{', '.join(given)} {why}")
