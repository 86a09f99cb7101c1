"""Which options a command line spells out, for commands where some do not go together."""

from collections.abc import Collection

import typer


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
