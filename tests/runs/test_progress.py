import io
import math

import pytest

from gnnkit.runs import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_plain_lines_come_first_last_and_by_the_clock():
    out, now = io.StringIO(), 0.0
    with Progress(100, "train", mode="auto", stream=out, interval=5, clock=lambda: now) as progress:
        for epoch in range(1, 101):
            now = epoch * 0.1
            progress.update(epoch, loss=1 / epoch, val_accuracy=0.5)
    assert out.getvalue().splitlines() == [
        "train: 1/100  loss 1.0000  val accuracy 0.5000",
        "train: 51/100  loss 0.0196  val accuracy 0.5000",
        "train: 100/100  loss 0.0100  val accuracy 0.5000",
    ]


def test_quiet_says_nothing():
    out = Terminal()
    with Progress(1, "train", mode="quiet", stream=out) as progress:
        progress.update(1, loss=0.5)
        progress.note("a sample")
    assert out.getvalue() == ""


def test_a_terminal_gets_a_bar_and_notes_above_it(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    out = Terminal()
    with Progress(3, "[bold]karate[/bold]", stream=out) as progress:
        progress.update(3, loss=0.25)
        progress.note("a [red]sample[/red]\nof two lines")
    shown = out.getvalue()
    assert "\x1b[" in shown  # the bar moves by the terminal's codes
    for part in ("[bold]karate[/bold]", "3/3", "loss 0.2500", "a [red]sample[/red]\n", "of two lines"):
        assert part in shown, part


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    out = Terminal()
    with Progress(None, "count", stream=out) as progress:
        progress.update(7)
    assert out.getvalue() == "count: 7\n"


@pytest.mark.parametrize("mode", ["plain", "bar"])
def test_names_from_files_cannot_drive_the_terminal(mode):
    out = io.StringIO()
    with Progress(2, "evil\x1b]0;title\x07", mode=mode, stream=out) as progress:
        progress.update(1, sample="a\x1b[2Jb\u202e")
        progress.note("c\x1b[31md")
    for harmful in ("\x1b]0;", "\x07", "\x1b[2J", "\u202e", "\x1b[31md"):
        assert harmful not in out.getvalue()
    assert "\\x1b[31md" in out.getvalue()


def test_numbers_are_short():
    out = io.StringIO()
    with Progress(1, "n", mode="plain", stream=out) as progress:
        progress.update(1, a=math.nan, b=1e-9, c=3, d=2.5e7, e=-0.5)
    assert out.getvalue() == "n: 1/1  a nan  b 1e-09  c 3  d 2.5e+07  e -0.5000\n"


def test_nobody_watching_any_more_does_not_stop_the_job():
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    with Progress(2, "n", mode="plain", stream=Gone()) as progress:
        progress.update(1)
        progress.update(2)


def test_an_unknown_mode_is_named():
    with pytest.raises(ValueError, match="got 'loud'"):
        Progress(1, "n", mode="loud")
