"""What all tests share: how hard hypothesis searches, and where real data lies."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# HYPOTHESIS_PROFILE=thorough asks for 1,000 examples a law, new ones each time.
settings.register_profile("ci", max_examples=25, deadline=None, derandomize=True)
settings.register_profile(
    "thorough", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets; a test that needs it is skipped without one."""
    root = os.environ.get("GNNKIT_DATA")
    if not root:
        pytest.skip("the environment variable GNNKIT_DATA names no folder of data sets")
    if not Path(root).is_dir():
        pytest.fail(f"GNNKIT_DATA={root} is not a folder")
    return Path(root)
