import unicodedata

import pytest

from gnnkit.storage.text import finite_number, is_number, printable


@pytest.mark.parametrize("text", ["Erdős–Rényi 図 🙂", "é 猫 Ω", "", "a\u00a0b", "back\\slash"])
def test_letters_of_every_script_stay(text):
    assert printable(text) == text


def test_what_a_terminal_could_obey_is_an_escape():
    assert printable("a\tb\nc\x7f\u2066\ud800\x00\u2028\u2029") == r"a\tb\nc\x7f\u2066\ud800\x00\u2028\u2029"
    assert len(printable("".join(map(chr, range(0x11000)))).splitlines()) == 1
    for char in map(chr, range(0x11000)):
        shown = printable(char)
        assert shown == char or (shown.isascii() and shown.isprintable()), hex(ord(char))
        assert unicodedata.category(char)[0] != "C" or shown != char


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1.0), ("-0.5", -0.5), ("+2.", 2.0), (".25", 0.25), ("1e-3", 1e-3), (" 7\t", 7.0)],
)
def test_decimal_numbers_are_read(text, number):
    assert finite_number(text) == number


NO_NUMBERS = ["nan", "-inf", "1_0", "0x10", "\u0661", "", ".", "1e", "1,5", "1 2", "1e999", "9" * 400]


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_anything_else_is_no_finite_number(text):
    assert finite_number(text) is None


def test_a_number_beyond_all_floats_is_still_a_number():
    assert is_number("1e999")
    assert not is_number("nan")


def test_a_cell_of_many_digits_is_read_in_one_pass():
    # A pattern that tries every way to cut the digits would take a minute for the first of these.
    for text in (
        "1" + "0" * 1_000_000,
        "1" * 1_000_000 + "x",
        "." + "1" * 1_000_000 + "e",
        "1." + "1" * 1_000_000 + "_",
    ):
        assert is_number(text) == (text[-1] in "01")
