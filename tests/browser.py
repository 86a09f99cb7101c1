"""A real browser for the pages that people look at: Debian's Chromium, headless, driven by selenium.

`looked_at` opens a page (a file or an address), at the width of a phone and of a desk, in the light and the dark
theme, and says what is wrong with it: messages in the console, links and pictures that lead nowhere, parts wider than
the screen, and what axe-core finds serious. Pages of any kind can be handed to it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import pytest

WIDTHS = {"phone": (390, 844), "desktop": (1280, 900)}
AXE = Path(sys.prefix) / "node_modules" / "axe-core" / "axe.min.js"  # where .ci/run puts it
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


@dataclass
class Findings:
    """What is wrong with a page; all empty if nothing is."""

    console: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    too_wide: list[str] = field(default_factory=list)
    accessibility: list[str] = field(default_factory=list)

    def all(self) -> list[str]:
        return [*self.console, *self.links, *self.images, *self.too_wide, *self.accessibility]


def chromium_is_missing() -> str:
    """Why no browser can be driven here; empty if one can."""
    if shutil.which("chromium") is None:
        return "chromium is not installed (apt-get install chromium chromium-driver)"
    if shutil.which("chromedriver") is None:
        return "chromedriver is not installed (apt-get install chromium-driver)"
    if not AXE.is_file():
        return f"axe-core is not installed (npm install --prefix {sys.prefix} axe-core@4.14.1)"
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed (pip install -c constraints.txt '.[test]')"
    return ""


@contextmanager
def chromium() -> Iterator[object]:
    """A headless Chromium with a fresh profile; the test is skipped where there is none."""
    if reason := chromium_is_missing():
        pytest.skip(reason)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        driver.set_page_load_timeout(120)
        driver.set_script_timeout(120)
        try:
            yield driver
        finally:
            driver.quit()


def open_page(driver, page: str | os.PathLike[str], width: str = "desktop", theme: str | None = None) -> None:
    """Open a file or an address at a width, ``theme`` being what the system would ask for."""
    across, down = WIDTHS[width]
    metrics = {"width": across, "height": down, "deviceScaleFactor": 1, "mobile": width == "phone"}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    wanted = [{"name": "prefers-color-scheme", "value": theme or "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wanted})
    driver.get(address(page))


def address(page: str | os.PathLike[str]) -> str:
    """``page`` as an address: http(s) and file addresses as they are, a path as a file's."""
    given = os.fspath(page)
    return given if re.match(r"(https?|file):", given) else Path(given).resolve().as_uri()


def looked_at(page: str | os.PathLike[str], *, screenshots: Path | None = None) -> Findings:
    """Everything wrong with a page; see the module.

    Args:
        page: A file or an address; of a folder, its ``index.html``.
        screenshots: Folder for a picture per width and theme.
    """
    if not re.match(r"(https?|file):", os.fspath(page)) and Path(page).is_dir():
        page = Path(page) / "index.html"
    findings = Findings()
    with chromium() as driver:
        for width in WIDTHS:
            for theme in ("light", "dark"):
                open_page(driver, page, width, theme)
                where = f"{width}, {theme}"
                if screenshots is not None:
                    screenshot(driver, screenshots / f"{Path(urlparse(address(page)).path).stem}-{width}-{theme}.png")
                findings.console += [f"{where}: {entry['message']}" for entry in driver.get_log("browser")]
                findings.too_wide += [f"{where}: {each}" for each in _wider_than_screen(driver)]
                findings.accessibility += [f"{where}: {each}" for each in serious_violations(driver)]
        findings.links = broken_links(driver)
        findings.images = broken_images(driver)
    return findings


def screenshot(driver, path: Path, *, top: int = 0, height: int | None = None) -> None:
    """A picture of the whole page, or of a part."""
    import base64

    path.parent.mkdir(parents=True, exist_ok=True)
    across, down = driver.execute_script("return [innerWidth, document.documentElement.scrollHeight]")
    clip = {"x": 0, "y": top, "width": across, "height": height or min(down - top, 12_000), "scale": 1}
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    path.write_bytes(base64.b64decode(shot["data"]))


def broken_links(driver) -> list[str]:
    """Links within the page or to files beside it that lead nowhere; addresses elsewhere are not asked."""
    here = urldefrag(driver.current_url)[0]
    broken = []
    hrefs = driver.execute_script("return [...document.querySelectorAll('a[href]')].map(each => each.href)")
    for href in dict.fromkeys(hrefs):
        target, fragment = urldefrag(href)
        if target == here:
            found = driver.execute_script("return document.getElementById(arguments[0]) !== null", unquote(fragment))
            if fragment and not found:
                broken.append(f"nothing on the page is called #{fragment}")
        elif target.startswith("file:"):
            path = Path(unquote(urlparse(target).path))
            if not (path.is_file() or (path / "index.html").is_file()):
                broken.append(f"{href} is not there")
            elif fragment and path.suffix == ".html" and f'id="{fragment}"' not in path.read_text(encoding="utf-8"):
                broken.append(f"{href}: nothing there is called so")
    return broken


def broken_images(driver) -> list[str]:
    """Pictures that did not load."""
    return driver.execute_script(
        "return [...document.images].filter(each => each.complete && each.naturalWidth === 0).map(each => each.src)"
    )


def serious_violations(driver) -> list[str]:
    """What axe-core calls serious or critical."""
    driver.execute_script(AXE.read_text(encoding="utf-8"))
    result = driver.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "axe.run(document, {resultTypes: ['violations']}).then(done, error => done({error: String(error)}));"
    )
    assert "error" not in result, result
    return [
        f"{found['id']}: {found['help']}: {json.dumps(found['nodes'][0]['target'])} and {len(found['nodes']) - 1} more"
        for found in result["violations"]
        if found["impact"] in ("serious", "critical")
    ]


def _wider_than_screen(driver) -> list[str]:
    across, screen = driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    return [f"the page is {across} pixels wide on a screen of {screen}"] if across > screen else []
