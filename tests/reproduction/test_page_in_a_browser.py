"""The page of the reproduction in a real browser: nothing broken, tables sort, the theme changes and stays."""

import pytest

from gnnkit.jobs.sequence_rows import run_row
from gnnkit.reproduction.graph_rows import run_graph_row
from gnnkit.reproduction.page import write_page
from tests.browser import chromium, looked_at, open_page

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    for number in (3, 17, 23):
        run_row(number, results, quick=True)
    run_graph_row(25, results)
    path = results / "reproduction.html"
    write_page(results, path)
    return path


def test_nothing_is_broken_at_any_width_in_any_theme(page, tmp_path):
    found = looked_at(page, screenshots=tmp_path)
    assert found.all() == []
    assert len(list(tmp_path.glob("*.png"))) == 4


def test_the_check_itself_finds_what_is_broken(tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<!DOCTYPE html><html><head><title>bad</title></head><body><main><h1>Bad</h1>"
        '<a href="#nowhere">x</a><a href="absent.html">y</a><img src="absent.png">'
        '<div style="width:5000px">wide</div><p style="color:#eee;background:#fff">faint</p>'
        "<script>console.error('oh no')</script></main></body></html>"
    )
    found = looked_at(bad)
    assert any("oh no" in message for message in found.console)
    assert [link for link in found.links if "nowhere" in link]
    assert [link for link in found.links if "absent.html" in link]
    assert found.images
    assert found.too_wide
    assert any("image-alt" in each for each in found.accessibility)
    assert any("color-contrast" in each for each in found.accessibility)


def test_tables_sort_both_ways_by_number_and_by_word(page):
    with chromium() as driver:
        open_page(driver, page)

        def column(place):
            return driver.execute_script(
                "return [...document.querySelector('#overview ~ .scroll table').tBodies[0].rows]"
                f".map(row => row.children[{place}].textContent)"
            )

        def press(place):
            driver.find_elements("css selector", "#overview ~ .scroll thead th button")[place].click()

        numbers = column(0)
        assert numbers == sorted(numbers, key=int)
        press(0)
        assert column(0) == numbers
        press(0)
        assert column(0) == numbers[::-1]
        press(1)
        words = column(1)
        assert words == sorted(words, key=str.lower)
        sorts = driver.execute_script(
            "return [...document.querySelectorAll('#overview ~ .scroll th[aria-sort]')]"
            ".map(head => head.getAttribute('aria-sort'))"
        )
        assert sorts == ["ascending"]


def test_the_theme_follows_the_system_until_it_is_chosen(page):
    with chromium() as driver:

        def ground():
            return driver.execute_script("return getComputedStyle(document.body).backgroundColor")

        open_page(driver, page, theme="light")
        light = ground()
        open_page(driver, page, theme="dark")
        dark = ground()
        assert light != dark
        button = driver.find_element("css selector", ".theme")
        assert button.text == "Light theme"
        button.click()
        assert ground() == light
        assert button.text == "Dark theme"
        driver.refresh()
        assert ground() == light  # remembered


def test_the_page_asks_the_network_for_nothing(page):
    with chromium() as driver:
        open_page(driver, page)
        loaded = driver.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
        assert [name for name in loaded if not name.startswith("data:")] == []
