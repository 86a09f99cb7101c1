"""GraphML, read with expat alone: no DOCTYPE, hence no entities, no fetched files, no billion laughs.

Reference: Brandes et al., "GraphML Progress Report", GD 2001, http://graphml.graphdrawing.org.
"""

from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

import numpy as np

from gnnkit.errors import FileFormatError
from gnnkit.graph.edge_table import EdgeTable, distinct_edges
from gnnkit.storage.text import finite_number
from gnnkit.storage.text_lines import open_unpacked

_NAMESPACE = "http://graphml.graphdrawing.org/xmlns"
_CHUNK_BYTES = 1 << 16
_MAX_VALUE_CHARACTERS = 1 << 20


class _GraphMLReader:
    """Collects nodes, edges and the edges' ``weight`` while expat walks the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.directed: bool | None = None
        self.row_of: dict[str, int] = {}
        self.edges: list[tuple[str, str, bool, int]] = []
        self.weight: list[float | None] = []
        self.weight_key: str | None = None
        self.default_weight: float | None = None
        self._default_is_weight = False
        self._open: list[str] = []
        self._value: list[str] | None = None
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.EntityDeclHandler = self._refuse_doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters

    def read(self) -> None:
        try:
            with open_unpacked(self.path) as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    self._parser.Parse(chunk, False)
                self._parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise FileFormatError(self.path, f"not well-formed XML ({error})", line=error.lineno) from error
        except (LookupError, ValueError) as error:
            if isinstance(error, FileFormatError):
                raise
            self._fail(f"not readable as XML ({error})")  # an encoding Python does not know, for one
        if self.directed is None:
            self._fail("no <graph> element; is this GraphML?")

    def _fail(self, problem: str) -> NoReturn:
        raise FileFormatError(self.path, problem, line=self._parser.CurrentLineNumber)

    def _refuse_doctype(self, *_: object) -> None:
        self._fail("a DOCTYPE, through which XML can name other files and grow without bound; remove it")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        namespace, _, name = tag.rpartition(" ")
        parent = self._open[-1] if self._open else ""
        if not parent and (name != "graphml" or namespace not in ("", _NAMESPACE)):
            self._fail(f"the outermost element is {name[:80]!r}, not <graphml>")
        # Elements of other namespaces are drawing hints of editors such as yEd.
        self._open.append(name if namespace in ("", _NAMESPACE) else "")
        match self._open[-1]:
            case "graph":
                self._start_graph(attributes)
            case "key":
                self._start_key(attributes)
            case "node" if parent == "graph":
                self._add_node(attributes)
            case "edge" if parent == "graph":
                self._add_edge(attributes)
            case "hyperedge":
                self._fail("a hyperedge, which joins more than two nodes; only plain edges can be read")
            case "data" if parent == "edge" and self.weight_key is not None:
                self._value = [] if attributes.get("key") == self.weight_key else None
            case "default" if parent == "key" and self._default_is_weight:
                self._value = []

    def _start_graph(self, attributes: dict[str, str]) -> None:
        if self.directed is not None:
            self._fail("a second <graph>; only files of one graph, with no graph inside a node, can be read")
        default = attributes.get("edgedefault")
        if default not in ("directed", "undirected"):
            self._fail(f"edgedefault must be 'directed' or 'undirected', got {default!r}")
        self.directed = default == "directed"

    def _start_key(self, attributes: dict[str, str]) -> None:
        # A key that does not say what it is for is for all: the schema's default.
        self._default_is_weight = attributes.get("attr.name") == "weight" and attributes.get("for", "all") in (
            "edge",
            "all",
        )
        if self._default_is_weight:
            if self.weight_key is not None:
                self._fail("a second key named 'weight' for edges")
            if "id" not in attributes:
                self._fail("the key named 'weight' has no id")
            self.weight_key = attributes["id"]

    def _add_node(self, attributes: dict[str, str]) -> None:
        name = attributes.get("id")
        if not name:
            self._fail("a node without an id")
        if name in self.row_of:
            self._fail(f"the node {name[:80]!r} stands there twice")
        self.row_of[name] = len(self.row_of)

    def _add_edge(self, attributes: dict[str, str]) -> None:
        source, target = attributes.get("source"), attributes.get("target")
        if not source or not target:
            self._fail("an edge without a source or a target")
        own = attributes.get("directed")
        if own not in (None, "true", "false"):
            self._fail(f"an edge's directed must be 'true' or 'false', got {own[:80]!r}")
        one_way = bool(self.directed) if own is None else own == "true"
        self.edges.append((source, target, one_way, self._parser.CurrentLineNumber))
        self.weight.append(None)

    def _characters(self, text: str) -> None:
        if self._value is not None:
            self._value.append(text)
            if sum(map(len, self._value)) > _MAX_VALUE_CHARACTERS:
                self._fail(f"a weight of more than {_MAX_VALUE_CHARACTERS} characters")

    def _end(self, tag: str) -> None:
        name = self._open.pop()
        if name not in ("data", "default") or self._value is None:
            return
        text, self._value = "".join(self._value).strip(), None
        weight = finite_number(text)
        if weight is None:
            self._fail(f"the weight {text[:80]!r} is not a finite number")
        if name == "default":
            self.default_weight = weight
        else:
            self.weight[-1] = weight


def read_graphml(path: Path) -> tuple[EdgeTable, bool]:
    """Read GraphML's nodes in their order, its edges, and their ``weight`` if a key of that name is declared.

    An edge without a weight has the key's default, or 1. An undirected edge becomes both directions;
    a repeated edge counts once. The second value returned says whether the file calls its edges directed.

    Raises:
        FileFormatError: If it is not one plain graph in well-formed XML without a DOCTYPE.
    """
    reader = _GraphMLReader(path)
    reader.read()
    for first, second, _, line in reader.edges:
        if first not in reader.row_of or second not in reader.row_of:
            unknown = first if first not in reader.row_of else second
            raise FileFormatError(path, f"an edge names the node {unknown[:80]!r}, which is not there", line=line)
    ends = np.asarray(
        [(reader.row_of[s], reader.row_of[t]) for s, t, *_ in reader.edges],
        dtype=np.int64,
    ).reshape(-1, 2)
    weight = None
    if any(value is not None for value in reader.weight) or reader.default_weight is not None:
        absent = 1.0 if reader.default_weight is None else reader.default_weight
        weight = np.asarray([absent if value is None else value for value in reader.weight])
    two_way = np.flatnonzero([not one_way and s != t for s, t, one_way, _ in reader.edges])
    row = np.concatenate([np.arange(len(ends)), two_way])
    source = np.concatenate([ends[:, 0], ends[two_way, 1]])
    target = np.concatenate([ends[:, 1], ends[two_way, 0]])
    weight = None if weight is None else weight[row]
    distinct = distinct_edges(source, target, weight, num_nodes=len(reader.row_of), directed=True)
    if distinct.contradiction is not None:
        earlier, later = (reader.edges[row[index]] for index in distinct.contradiction)
        problem = f"the edge {later[0]} {later[1]} has another weight in line {earlier[3]}"
        raise FileFormatError(path, problem, line=later[3])
    kept = distinct.first_rows
    names = tuple(reader.row_of)
    table = EdgeTable(source[kept], target[kept], None if weight is None else weight[kept], len(names), names)
    return table, bool(reader.directed)
