"""``gnnkit data``: the data sets that have a name; fetch them, and check what is there."""

from typing import Annotated, Any

import typer

from gnnkit.cli.command import FAILED, BadUsageError, JsonOption, command
from gnnkit.cli.graph_argument import DataRootOption
from gnnkit.cli.printing import detail, note, show, show_json
from gnnkit.storage.text import printable

data = typer.Typer(help="List, download and verify data sets.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="One of `gnnkit data list`.", show_default=False)]


@data.command("list")
@command
def list_data(data_root: DataRootOption = None, json: JsonOption = False) -> None:
    """List the data sets, their sizes, and whether their files are there."""
    from gnnkit.data.registry import DATASETS
    from gnnkit.data.registry import data_root as chosen_root

    root = chosen_root(data_root)
    entries: list[dict[str, Any]] = []
    for info in DATASETS.values():
        folders = info.folders(root)
        present = not info.files or any(
            all((folder / file.name).is_file() for file in info.files) for folder in folders
        )
        where = "embedded" if not info.files else "present" if present else "absent"
        sizes = {field: getattr(info, field) for field in ("num_nodes", "num_edges", "num_features", "num_classes")}
        entries.append({"name": info.name, "title": info.title, **sizes, "files": where})
    if json:
        show_json({"data_root": str(root), "datasets": entries})
        return
    titles = ["name", "nodes", "edges", "features", "classes", "files", "what it is"]
    columns = ["name", "num_nodes", "num_edges", "num_features", "num_classes", "files", "title"]
    table = [titles, *([str(entry[column]) for column in columns] for entry in entries)]
    widths = [max(len(row[column]) for row in table) for column in range(len(titles) - 1)]
    for row in table:
        cells = [
            cell.rjust(width) if 1 <= column <= 4 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        show("  ".join([*cells, row[-1]]))
    note(f"files are looked for under {root}; --data-root or GNNKIT_DATA names another place")


@data.command()
@command
def download(
    name: NameArgument,
    data_root: DataRootOption = None,
    mirror: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="An https address that has the files under their own names.", show_default=False
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Fetch a data set's files that are not there yet; a broken transfer is continued."""
    from gnnkit.data.download import download_dataset

    fetched: set[str] = set()

    def tell(file: str, done: int, total: int | None) -> None:
        if file not in fetched:
            fetched.add(file)
            note(f"fetching {file}")
        detail(f"{file}: {done} of {total or 'unknown'} bytes")

    paths = download_dataset(_known(name), data_root, base_url=mirror, progress=tell)
    if json:
        show_json({"dataset": name, "files": [str(path) for path in paths], "fetched": sorted(fetched)})
    elif not paths:
        show(f"{printable(name)} is part of gnnkit; there is nothing to fetch")
    else:
        show(f"{printable(name)}: {len(fetched)} of {len(paths)} files fetched, into {printable(paths[0].parent)}")


@data.command()
@command
def verify(name: NameArgument, data_root: DataRootOption = None, json: JsonOption = False) -> None:
    """Check a data set's files: their SHA-256 where it is known, else that they read as they should."""
    from gnnkit.data.download import verify_dataset

    statuses = verify_dataset(_known(name), data_root)
    if json:
        files = [{"path": str(status.path), "state": status.state, "detail": status.detail} for status in statuses]
        show_json({"dataset": name, "files": files})
    elif not statuses:
        show(f"{printable(name)} is part of gnnkit; there are no files to check")
    else:
        for status in statuses:
            reason = f" ({printable(status.detail)})" if status.detail else ""
            show(f"{status.state:<8}  {printable(status.path)}{reason}")
    if any(status.state in ("damaged", "missing") for status in statuses):
        raise typer.Exit(FAILED)


def _known(name: str) -> str:
    """The data set's own name.

    Raises:
        BadUsageError: If there is none of that name.
    """
    from gnnkit.data.registry import dataset_info

    try:
        return dataset_info(name).name
    except ValueError as error:
        raise BadUsageError(str(error)) from error
