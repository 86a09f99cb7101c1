"""keep_freed_memory, seen in the pages that the system has to clear."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc gives freed memory back by these rules"
)

# Forty times three blocks of 16 MiB and one of 64, written and freed: how many pages the last thirty times had
# to fetch. The heap may still grow by a block now and then, where a small thing lies between two free places.
COUNT_PAGES = """
import resource, sys
import torch
from gnnkit.runs import keep_freed_memory

def pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

kept = sys.argv[1] == "keep" and keep_freed_memory()
for turn in range(40):
    if turn == 10:
        before = pages()
    blocks = [torch.ones(4 * 2**20) for _ in range(3)]
    blocks.append(torch.ones(2**24))  # 64 MiB: by default never kept
    del blocks
print(kept, pages() - before)
"""


def pages_fetched(mode: str, **variables: str) -> tuple[str, int]:
    """What the script above prints."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", COUNT_PAGES, mode],
        env={**plain, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    kept, pages = done.stdout.split()
    return kept, int(pages)


def test_freed_memory_is_used_again_without_being_fetched_again():
    kept, with_it = pages_fetched("keep")
    _, without = pages_fetched("leave")
    assert kept == "True"
    assert with_it < without / 4


@pytest.mark.parametrize("variable", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_what_the_environment_says_stays(variable):
    value = "0" if variable.startswith("MALLOC") else "glibc.malloc.trim_threshold=131072"
    kept, pages = pages_fetched("keep", **{variable: value})
    assert kept == "False"
    assert pages > 1000
