"""Ctrl-C at moments that do not bear an exception, in processes of their own."""

import signal
import subprocess
import sys

import pytest

FRAME = """
import os, signal, sys, time
from gnnkit.cli import signals
signals.listen()
me = os.getpid()
{before}
try:
    signals.begin()
    {body}
    print("went on")
except KeyboardInterrupt:
    print("interrupted")
signals.end()
os.kill(me, signal.SIGTERM)  # over: nothing happens any more
print("end")
"""


def said(tmp_path, body, before="", **options):
    script = tmp_path / "script.py"
    script.write_text(FRAME.format(body=body.replace("\n", "\n    "), before=before))
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False, **options)
    return ended.returncode, ended.stdout.split("\n")[:-1], ended.stderr


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_at_work_raises_and_one_at_the_end_does_nothing(tmp_path, number):
    assert said(tmp_path, f"os.kill(me, signal.{number})") == (0, ["interrupted", "end"], "")


def test_a_signal_before_the_command_waits_for_it(tmp_path):
    before = "os.kill(me, signal.SIGINT)\nprint('starting')"
    assert said(tmp_path, "print('began')", before) == (0, ["starting", "interrupted", "end"], "")


def test_an_import_is_finished_first(tmp_path):
    (tmp_path / "half.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(.1)\nx = 1\n"
    )
    body = "import half\nfor _ in range(100): time.sleep(.02)"
    code, lines, errors = said(tmp_path, body)
    assert (code, lines, errors) == (0, ["interrupted", "end"], "")
    body = "try:\n    import half\n    time.sleep(2)\nfinally:\n    print(sys.modules['half'].x)"
    assert said(tmp_path, body) == (0, ["1", "interrupted", "end"], "")


def test_what_a_finaliser_would_lose_comes_again(tmp_path):
    body = "class A:\n    def __del__(self): os.kill(me, signal.SIGINT)\na = A()\ndel a"
    assert said(tmp_path, body + "\nfor _ in range(100): time.sleep(.02)") == (0, ["interrupted", "end"], "")
    body = "import weakref\nclass A: pass\na = A()\nr = weakref.ref(a, lambda _: os.kill(me, signal.SIGINT))\ndel a"
    assert said(tmp_path, body + "\nfor _ in range(100): time.sleep(.02)") == (0, ["interrupted", "end"], "")


def test_asked_again_it_ends_at_once_if_the_first_time_had_no_effect(tmp_path):
    body = "try: os.kill(me, signal.SIGINT)\nexcept KeyboardInterrupt: pass\nos.kill(me, signal.SIGINT)"
    assert said(tmp_path, body) == (0, ["went on", "end"], "")  # at once: a terminal and a parent both send it
    code, _, errors = said(tmp_path, f"{body}\ntime.sleep(1.1)\nos.kill(me, signal.SIGINT)")
    assert code == 130
    assert errors == "gnnkit: interrupted again, so ended at once; every file is whole or as it was before\n"


def test_what_the_caller_has_ignored_stays_ignored(tmp_path):
    ignoring = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert said(tmp_path, "os.kill(me, signal.SIGINT)") == (0, ["went on", "end"], "")
    finally:
        signal.signal(signal.SIGINT, ignoring)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks the C library to run something last of all")
@pytest.mark.parametrize("left", [True, False])
def test_while_python_itself_ends_signals_do_nothing(tmp_path, left):
    """Python gives signals back their usual effect when it ends; a command that is done must not fail by that."""
    script = tmp_path / "script.py"
    script.write_text(
        "import ctypes, sys\n"
        "from gnnkit.cli import signals, start\n"
        f"if not {left}: start.leave = lambda: None\n"
        "sys.argv = ['gnnkit', '--version']\n"
        "try: start.main()\n"
        "except SystemExit as done: assert not done.code\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.on_exit(libc['raise'], None)  # called with the exit code, after Python's own end\n"
        "sys.exit(15)\n"
    )
    assert signal.SIGTERM == 15
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == (15 if left else -15), ended.stderr
