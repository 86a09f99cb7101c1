"""What hop distances may cost: memory of all pairs and of summaries, and work spread over threads."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")


def peak_over_imports(statement):
    """Megabytes that a statement needs at most, in a process of its own, graph included."""
    program = f"""
        import numpy, torch, gnnkit.graph.hops as hops
        from gnnkit.graph import Adjacency
        from gnnkit.data import load_dataset

        def memory(field):
            lines = open("/proc/self/status").read().splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024

        torch.set_num_threads(2)  # each thread has a block of its own
        imported = memory("VmRSS")
        {statement}
        print(memory("VmHWM") - imported)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    return float(done.stdout)


RANDOM = (
    "graph = Adjacency.from_edge_index(torch.from_numpy(numpy.random.default_rng(0).integers(0, {n}, (2, {m}))), "
    "num_nodes={n})"
)


@pytest.mark.slow
def test_all_pairs_need_little_more_than_the_matrix():
    n = 16_000
    graph = RANDOM.format(n=n, m=4 * n)
    matrix = n * n / 2**20
    assert matrix <= peak_over_imports(f"{graph}; hops.hop_distance(graph)") <= 1.25 * matrix + 100


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("statement", ["hops.diameter(graph)", "hops.hop_histogram(graph)"])
def test_summaries_of_pubmed_never_hold_the_matrix(data_root, statement):
    needed = peak_over_imports(f"graph = load_dataset('pubmed', {str(data_root)!r}).adjacency; {statement}")
    assert needed <= 150  # the data set's features included; the matrix alone takes 389
