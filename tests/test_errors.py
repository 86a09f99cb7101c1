"""What the errors of others are recognised as."""

import builtins
import sys

import pytest

from gnnkit.cli import start
from gnnkit.errors import out_of_memory

NO_SEGMENT = ImportError("matplotlib/_path.so: failed to map segment from shared object")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 16 bytes"), True),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 128000 vs 127888"), True),
        (NO_SEGMENT, True),
        (ImportError("No module named 'onnx'"), False),
        (OSError(28, "No space left on device"), False),
        (ValueError("out of memory"), False),
    ],
    ids=str,
)
def test_memory_that_ended_is_recognised_in_others_words(error, expected):
    assert out_of_memory(error) is expected


@pytest.mark.parametrize("error", [MemoryError(), NO_SEGMENT])
def test_memory_that_ends_while_the_program_starts(error, monkeypatch, capfd):
    real = builtins.__import__

    def failing(name, *others, **named):
        if name == "gnnkit.cli.main":
            raise error
        return real(name, *others, **named)

    monkeypatch.setattr(start, "listen", lambda: None)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(builtins, "__import__", failing)
    with pytest.raises(SystemExit):
        start.main()
    assert capfd.readouterr().err == "gnnkit: out of memory while starting\n"
