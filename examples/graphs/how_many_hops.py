"""How many updates until node C has influenced node E? As many as there are hops between them.

An update mixes neighbours, so information moves one edge at a time. Two student reports on the same question found 3
and 4: they drew two figures, of which the second lacks the edges B-C and E-F.

    $ python examples/graphs/how_many_hops.py
    figure A: 3 hops from C to E (C-B-A-E), so 3 updates; diameter 3, average distance 1.53
    figure B: 4 hops from C to E (C-D-B-A-E), so 4 updates; diameter 4, average distance 1.87
    hops from C      A  B  C  D  E  F
    figure A         2  1  0  1  3  2
    figure B         3  2  0  1  4  2
"""

from pathlib import Path

from gnnkit.graph import read_graph
from gnnkit.graph.hops import average_distance, diameter, hop_distance, shortest_path

DATA = Path(__file__).parent.parent / "data"


def main() -> None:
    rows = []
    for figure in "AB":
        graph, names = read_graph(DATA / f"figure_{figure.lower()}.txt")
        source, target = names.index("C"), names.index("E")
        path = shortest_path(graph, source, target)
        hops = len(path) - 1
        print(
            f"figure {figure}: {hops} hops from C to E ({'-'.join(names[node] for node in path)}), so {hops} updates; "
            f"diameter {diameter(graph)}, average distance {average_distance(graph):.2f}"
        )
        rows.append(
            f"figure {figure}         " + "  ".join(str(hop) for hop in hop_distance(graph, [source])[0].tolist())
        )
    print("hops from C      " + "  ".join(names))
    print("\n".join(rows))


if __name__ == "__main__":
    main()
