"""``gnnkit convert``: an edge list of any size to a graph folder that every command opens."""

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated

import typer

from gnnkit.cli.command import FAILED, BadUsageError, JsonOption, command
from gnnkit.cli.given import refuse
from gnnkit.cli.graph_argument import DelimiterOption, HeaderOption, NodesOption
from gnnkit.cli.printing import show, show_json, show_rows, verbosity
from gnnkit.storage.text import printable

if TYPE_CHECKING:
    from gnnkit.graph.graph_folder import GraphFolder
    from gnnkit.runs import Progress

_NODES = "What nodes have"
_CONVERSION = (
    "out",
    "directed",
    "num_nodes",
    "nodes",
    "delimiter",
    "header",
    "features",
    "labels",
    "train",
    "val",
    "test",
)


def _beside(text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        metavar="FILE", help=text, rich_help_panel=_NODES, show_default=False
    )
    return option


@command
def convert(
    context: typer.Context,
    edges: Annotated[
        Path, typer.Argument(metavar="EDGES", help="A graph file, or an array of edges (.npy).", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="GRAPH/", help="The folder to make, or to go on with.", show_default=False)
    ] = None,
    directed: Annotated[
        bool | None,
        typer.Option(
            "--directed/--undirected",
            help="Whether an edge leads one way; by default both ways in edge lists, one way in arrays.",
            show_default=False,
        ),
    ] = None,
    num_nodes: Annotated[
        int | None,
        typer.Option(min=0, help="The file holds node numbers from 0 to this, not names.", show_default=False),
    ] = None,
    nodes: NodesOption = None,
    delimiter: DelimiterOption = None,
    header: HeaderOption = None,
    features: Annotated[Path | None, _beside("Features: a table, or an array (N, F) of any size (.npy).")] = None,
    labels: Annotated[Path | None, _beside("Classes: a table, or an array (N) (.npy).")] = None,
    train: Annotated[Path | None, _beside("Training nodes: names, a mask or numbers (.npy).")] = None,
    val: Annotated[Path | None, _beside("Validation nodes.")] = None,
    test: Annotated[Path | None, _beside("Test nodes.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the files of the graph folder EDGES instead.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Convert an edge list of any size to a folder of memory maps, in bounded memory.

    Every command takes the folder as GRAPH. A conversion that was interrupted, by whatever, goes on when
    it is asked for again.
    """
    from gnnkit.graph.graph_folder import GraphFolder

    with _Steps() as steps:
        if verify:
            refuse(context, _CONVERSION, "is for a conversion, and --verify checks a folder; leave it out")
            folder = GraphFolder(edges)
            wrong = folder.verify(lambda name, done, size: steps.tell(f"check {name}", done, size))
        else:
            if out is None:
                raise BadUsageError(f"name the folder that {edges} is converted to with --out")
            folder = _converted(
                edges, out, directed, num_nodes, nodes, delimiter, header, (features, labels, train, val, test), steps
            )
            wrong = []
    if json:
        facts = {name: value for name, value in folder.content.items() if name != "files"}
        show_json({"graph": str(folder.path), **facts, "damaged_files": wrong})
    else:
        for name in wrong:
            show(f"damaged  {printable(folder.path / name)}")
        if not wrong:
            show_rows([("graph", printable(folder.path)), *_rows(folder)])
    if wrong:
        raise typer.Exit(FAILED)


def _converted(
    edges: Path,
    out: Path,
    directed: bool | None,
    num_nodes: int | None,
    nodes: Path | None,
    delimiter: str | None,
    header: bool | None,
    beside: tuple[Path | None, ...],
    steps: "_Steps",
) -> "GraphFolder":
    from gnnkit.data.graph_folder import Attachments
    from gnnkit.errors import FileFormatError
    from gnnkit.graph.conversion import convert_graph

    if not edges.is_file():
        raise BadUsageError(f"there is no file {str(edges)!r}")
    try:
        return convert_graph(
            edges,
            out,
            directed=directed,
            nodes=nodes,
            num_nodes=num_nodes,
            delimiter=None if delimiter is None else delimiter.replace("\\t", "\t"),
            header=header,
            attach=Attachments(*beside) if any(path is not None for path in beside) else None,
            tell=steps.tell,
        )
    except FileFormatError:
        raise
    except ValueError as error:  # an ending or an option that does not fit
        raise BadUsageError(str(error)) from error


def _rows(folder: "GraphFolder") -> list[tuple[str, str]]:
    content = folder.content
    kind = "undirected, each stored both ways" if content["is_undirected"] else "directed"
    size = sum(entry["bytes"] for entry in folder.files.values())
    return [
        ("nodes", str(content["num_nodes"])),
        ("edges", f"{content['num_edges']} ({kind}{', weighted' if content['is_weighted'] else ''})"),
        ("files", f"{len(folder.files)}, {size / 2**20:.1f} MiB, checked"),
    ]


class _Steps:
    """Shows the progress of one step after the other."""

    def __init__(self) -> None:
        self._step = ""
        self._bar: Progress | None = None

    def tell(self, step: str, done: int, total: int | None) -> None:
        """Say how far a step is."""
        from gnnkit.runs import Progress

        if step != self._step or self._bar is None:
            self._close()
            self._step = step
            self._bar = Progress(total, step, mode="quiet" if verbosity() == "quiet" else "auto").__enter__()
        self._bar.update(done)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
        self._bar = None

    def __enter__(self) -> "_Steps":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
