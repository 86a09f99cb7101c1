"""The built guide in a real browser: it builds without a warning, and no page has anything broken in it."""

import os
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.browser import chromium, looked_at, open_page

ROOT = Path(__file__).parent.parent
LOOKED_AT = ("index.html", "quick_start.html", "concepts.html", "benchmarks.html", "api/graph.html")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("mkdocs") is None, reason="mkdocs is not installed (pip install '.[docs]')"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    # Served, not opened from the disk: the search loads its index, which a browser refuses to a file.
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("page", LOOKED_AT)
def test_nothing_is_broken(site, page, tmp_path):
    found = looked_at(f"{site}/{page}", screenshots=tmp_path)
    assert found.all() == []


def test_the_theme_changes(site):
    with chromium() as driver:
        open_page(driver, f"{site}/index.html")
        read = "return document.body.getAttribute('data-md-color-scheme')"
        before = driver.execute_script(read)
        driver.execute_script("document.querySelector('label[for^=__palette]:not([hidden])').click()")
        assert {before, driver.execute_script(read)} == {"default", "slate"}
