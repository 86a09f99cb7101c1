"""GRAPH on the command line: a file that exists, else the name of a data set; and how to read it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from gnnkit.cli.command import BadUsageError
from gnnkit.cli.printing import detail

if TYPE_CHECKING:
    from torch import Tensor

    from gnnkit.graph.adjacency import Adjacency

_FILES = "Graph files"

GraphArgument = Annotated[
    str,
    typer.Argument(
        metavar="GRAPH",
        help="A graph file (.txt .edges .csv .tsv .graphml .mtx .npz), a folder made by convert, or a data set's name.",
        show_default=False,
    ),
]
DirectedOption = Annotated[
    bool,
    typer.Option("--directed", rich_help_panel=_FILES, help="Read each line of an edge list as one directed edge."),
]
NodesOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", rich_help_panel=_FILES, help="Names of nodes, one a line; they may have no edge."),
]
DelimiterOption = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT", rich_help_panel=_FILES, help=r"What separates the columns of an edge list; \t is a tab."
    ),
]
HeaderOption = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        rich_help_panel=_FILES,
        help="Whether an edge list begins with column titles; by default, if they are source and target.",
        show_default=False,
    ),
]
DataRootOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Where data sets lie; by default $GNNKIT_DATA, else ~/.cache/gnnkit.",
        show_default=False,
    ),
]


class NamedGraph(NamedTuple):
    """A graph as a command received it; what the file or data set does not know is ``None``."""

    name: str
    adjacency: "Adjacency"
    node_names: Sequence[str] | None
    y: "Tensor | None"

    def name_of(self, node: int) -> str:
        """What to call a node: its name, else its number."""
        return str(node) if self.node_names is None else self.node_names[node]


def open_graph(
    graph: str,
    *,
    directed: bool = False,
    nodes: Path | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
    data_root: Path | None = None,
) -> NamedGraph:
    """Read the file GRAPH, or load the data set of that name.

    Raises:
        BadUsageError: If it is neither, or an option does not go with what it is.
        FileFormatError: If the file is damaged.
        MissingDataError: If the data set's files are not there.
    """
    path = Path(graph)
    if data_root is not None and (path.is_file() or (path / "graph.json").is_file()):
        raise BadUsageError(f"--data-root says where data sets lie, and {graph} is here; leave it out")
    if (path / "graph.json").is_file():
        return _folder(path, directed=directed, nodes=nodes, delimiter=delimiter, header=header)
    if not path.is_file():
        for option, value in {"--directed": directed, "--nodes": nodes, "--delimiter": delimiter}.items():
            if value:
                raise BadUsageError(f"{option} is for edge-list files, and there is no file {graph!r}")
        if header is not None:
            raise BadUsageError(f"--header is for edge-list files, and there is no file {graph!r}")
        return _data_set(graph, data_root)
    from gnnkit.errors import FileFormatError
    from gnnkit.graph.files import read_graph

    try:
        adjacency, node_names = read_graph(
            path,
            directed=directed,
            nodes=nodes,
            delimiter=None if delimiter is None else delimiter.replace("\\t", "\t"),
            header=header,
        )
    except FileFormatError:
        raise
    except ValueError as error:  # an ending or an option that does not fit
        raise BadUsageError(str(error)) from error
    detail(f"read {adjacency.num_nodes} nodes and {adjacency.num_edges} edges from {path}")
    return NamedGraph(path.name, adjacency, node_names, None)


def _folder(path: Path, **options: object) -> NamedGraph:
    from gnnkit.graph.graph_folder import GraphFolder, mapped_tensor

    for option, value in options.items():
        if value not in (None, False):
            raise BadUsageError(f"--{option} is for edge-list files; {path} is a graph folder, and knows it")
    folder = GraphFolder(path)
    y = mapped_tensor(folder.array("y", size=folder.content["num_nodes"])) if "y" in folder else None
    return NamedGraph(path.name, folder.adjacency(), folder.node_names, y)


def _data_set(name: str, data_root: Path | None) -> NamedGraph:
    from gnnkit.data.registry import dataset_info

    try:
        info = dataset_info(name)
    except ValueError as error:
        what = f"{name!r} is a folder" if Path(name).is_dir() else f"there is no file {name!r}"
        raise BadUsageError(f"{what}, and {error}") from error
    from gnnkit.data.datasets import load_dataset

    data = load_dataset(info.name, data_root)
    return NamedGraph(info.name, data.adjacency, data.node_names, data.y)
