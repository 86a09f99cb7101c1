"""Reads the pickles of the Planetoid files without unpickling them.

A pickle is a program for a small stack machine, and Python's own machine imports whatever name the
program mentions and calls it: loading a hostile file runs code (`pickle.load`, and PyG's Planetoid).
The machine here knows the opcodes that Python 2 needs for a numpy array, a scipy CSR matrix and a dict
of lists, and eight names, each of which stands for a record of ours. No name is ever imported, nothing is
called, and every byte of an array must be in the file: anything else is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from gnnkit.data.arrays import Array, number_type
from gnnkit.storage.arrays import array_from_buffer

# PubMed's graph, the longest program of all, has 190,000. Each opcode allocates at most an empty dict
# and its place in the memo, so this bounds memory whatever the size of the file.
_MAX_OPCODES = 1_000_000
_MAX_NAME = 128


class PickleError(ValueError):
    """The program is damaged, or asks for something that a Planetoid file has no need of."""


class _Name(Enum):
    CSR_MATRIX = auto()
    RECONSTRUCT = auto()
    NDARRAY = auto()
    DTYPE = auto()
    DEFAULTDICT = auto()
    LIST = auto()


_NAMES = {
    b"scipy.sparse.csr csr_matrix": _Name.CSR_MATRIX,
    b"scipy.sparse._csr csr_matrix": _Name.CSR_MATRIX,
    b"numpy.core.multiarray _reconstruct": _Name.RECONSTRUCT,
    b"numpy._core.multiarray _reconstruct": _Name.RECONSTRUCT,
    b"numpy ndarray": _Name.NDARRAY,
    b"numpy dtype": _Name.DTYPE,
    b"collections defaultdict": _Name.DEFAULTDICT,
    b"__builtin__ list": _Name.LIST,
}


class _Unicode(bytes):
    """The UTF-8 bytes of a unicode string: good as a name, never as the memory of an array."""


@dataclass(eq=False)
class _Dtype:
    code: bytes
    order: bytes | None = None


@dataclass(eq=False)
class PickledArray:
    """An array of the file; ``value`` is None until its content was met."""

    value: Array | None = None


@dataclass(eq=False)
class PickledCSR:
    """The attributes of a scipy CSR matrix as the file states them, unchecked; None until they were met."""

    state: dict[Any, Any] | None = None


def load(program: bytes) -> object:
    """What the program leaves: a `PickledArray`, a `PickledCSR`, or plain lists, dicts, ints and bytes.

    Strings stay bytes. Lists and dicts may hold each other, even themselves: check types level by level.

    Raises:
        PickleError: Wherever the program departs from what such a file needs.
    """
    return _Machine(program).run()


class _Machine:
    def __init__(self, program: bytes) -> None:
        self.program = program
        self.position = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> object:
        program, handlers = self.program, _HANDLERS
        if program[:2] != b"\x80\x02":
            raise PickleError("is not a pickle of protocol 2")
        self.position = 2
        for _ in range(_MAX_OPCODES):
            if self.position >= len(program):
                raise PickleError(f"ends after {len(program)} bytes without the closing opcode")
            opcode = program[self.position]
            if opcode == _STOP:
                return self._finish()
            handler = handlers.get(opcode)
            if handler is None:
                raise PickleError(
                    f"opcode 0x{opcode:02x} at byte {self.position} is not one that such a file needs; "
                    "the file was not opened any further, and nothing in it was run"
                )
            self.position += 1
            handler(self)
        raise PickleError(f"has more than {_MAX_OPCODES} opcodes")

    def _finish(self) -> object:
        if self.position + 1 != len(self.program):
            raise PickleError(f"goes on after its closing opcode at byte {self.position}")
        if len(self.stack) != 1 or self.marks:
            raise PickleError(f"leaves {len(self.stack)} values where one is expected")
        return self.stack[0]

    # Reading operands

    def take(self, count: int) -> bytes:
        start, end = self.position, self.position + count
        if end > len(self.program):
            left = len(self.program) - start
            raise PickleError(f"byte {start}: {count} bytes are announced, {left} are left")
        self.position = end
        return self.program[start:end]

    def number(self, layout: str) -> int:
        return int(struct.unpack(layout, self.take(struct.calcsize(layout)))[0])

    def line(self) -> bytes:
        end = self.program.find(b"\n", self.position, self.position + _MAX_NAME)
        if end < 0:
            raise PickleError(f"byte {self.position}: a name without end")
        start, self.position = self.position, end + 1
        return self.program[start:end]

    # The stack

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise PickleError(f"byte {self.position}: takes a value from an empty stack")
        return self.stack.pop()

    def top(self) -> Any:
        value = self.pop()
        self.stack.append(value)
        return value

    def pop_mark(self) -> list[Any]:
        if not self.marks:
            raise PickleError(f"byte {self.position}: ends a group that was never begun")
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def refuse(self, problem: str) -> PickleError:
        return PickleError(f"byte {self.position}: {problem}")

    # Opcodes

    def mark(self) -> None:
        self.marks.append(len(self.stack))

    def string(self, layout: str, kind: type[bytes]) -> None:
        text = self.take(self.number(layout))
        self.stack.append(text if kind is bytes else kind(text))

    def tuple_of(self, count: int) -> None:
        items = [self.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(items)))

    def put(self, layout: str) -> None:
        self.memo[self.number(layout)] = self.top()

    def get(self, layout: str) -> None:
        index = self.number(layout)
        if index not in self.memo:
            raise self.refuse(f"recalls value {index}, which was never kept")
        self.stack.append(self.memo[index])

    def extend(self, items: list[Any]) -> None:
        target = self.top()
        if type(target) is not list:
            raise self.refuse(f"appends to a {type(target).__name__}")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.top()
        if type(target) is not dict or len(items) % 2:
            raise self.refuse(f"sets {len(items)} keys and values in a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Only these are hashed: hashing a nested tuple of another's making can take forever.
            if type(key) not in (int, bytes, _Unicode):
                raise self.refuse(f"uses a {type(key).__name__} as a key")
            target[key] = value

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def name(self) -> None:
        module, attribute = self.line(), self.line()
        known = _NAMES.get(module + b" " + attribute)
        if known is None:
            shown = (module + b"." + attribute).decode("latin1")
            raise self.refuse(f"asks for {shown!r}, which no such file needs; nothing was imported or run")
        self.stack.append(known)

    def reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        if type(arguments) is not tuple:
            raise self.refuse("calls without a tuple of arguments")
        if function is _Name.RECONSTRUCT and len(arguments) == 3 and arguments[0] is _Name.NDARRAY:
            self.stack.append(PickledArray())
        elif function is _Name.DTYPE and arguments and isinstance(arguments[0], bytes):
            self.stack.append(_Dtype(arguments[0]))
        elif function is _Name.DEFAULTDICT and len(arguments) == 1 and arguments[0] is _Name.LIST:
            self.stack.append({})
        else:
            raise self.refuse("calls something that is not how an array, a type or a dict is rebuilt")

    def new_object(self) -> None:
        arguments, kind = self.pop(), self.pop()
        if kind is not _Name.CSR_MATRIX or type(arguments) is not tuple or arguments:
            raise self.refuse("makes an object other than an empty CSR matrix")
        self.stack.append(PickledCSR())

    def build(self) -> None:
        state, target = self.pop(), self.top()
        if isinstance(target, PickledArray) and target.value is None:
            target.value = self._array(state)
        elif isinstance(target, _Dtype) and target.order is None:
            if type(state) is not tuple or len(state) != 8 or state[1] not in (b"<", b">", b"|", b"="):
                raise self.refuse("an element type with an unknown description")
            if any(type(part) is tuple or part is not None for part in state[2:5]):
                raise self.refuse("an element type with fields")
            target.order = bytes(state[1])
        elif isinstance(target, PickledCSR) and target.state is None and type(state) is dict:
            target.state = state
        else:
            raise self.refuse(f"gives a {type(target).__name__} a state it cannot take")

    def _array(self, state: object) -> Array:
        if type(state) is not tuple or len(state) != 5:
            raise self.refuse("an array without the five parts of one")
        _, shape, dtype, fortran, buffer = state
        if type(shape) is not tuple or any(type(side) is not int for side in shape):
            raise self.refuse("an array whose shape is not a tuple of whole numbers")
        if not isinstance(dtype, _Dtype) or type(buffer) is not bytes or type(fortran) not in (bool, int):
            raise self.refuse("an array without element type, order or bytes")
        try:
            number = number_type(dtype.code.decode("latin1"), (dtype.order or b"|").decode("latin1"))
            return array_from_buffer(buffer, number, shape, fortran=bool(fortran))
        except ValueError as error:
            raise self.refuse(str(error)) from None


def _push(value: object) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(value)


def _push_number(layout: str) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(machine.number(layout))


def _push_byte(machine: _Machine) -> None:
    machine.stack.append(machine.take(1)[0])


_STOP = ord(".")
_HANDLERS: dict[int, Callable[[_Machine], None]] = {
    ord("c"): _Machine.name,
    ord("("): _Machine.mark,
    ord("N"): _push(None),
    0x88: _push(True),
    0x89: _push(False),
    ord("J"): _push_number("<i"),
    ord("K"): _push_byte,
    ord("M"): _push_number("<H"),
    ord("T"): lambda machine: machine.string("<I", bytes),
    ord("U"): lambda machine: machine.string("<B", bytes),
    ord("X"): lambda machine: machine.string("<I", _Unicode),
    ord(")"): _push(()),
    0x85: lambda machine: machine.tuple_of(1),
    0x86: lambda machine: machine.tuple_of(2),
    0x87: lambda machine: machine.tuple_of(3),
    ord("t"): lambda machine: machine.stack.append(tuple(machine.pop_mark())),
    ord("]"): lambda machine: machine.stack.append([]),
    ord("a"): lambda machine: machine.extend([machine.pop()]),
    ord("e"): lambda machine: machine.extend(machine.pop_mark()),
    ord("}"): lambda machine: machine.stack.append({}),
    ord("s"): _Machine.set_item,
    ord("u"): lambda machine: machine.set_items(machine.pop_mark()),
    ord("q"): lambda machine: machine.put("<B"),
    ord("r"): lambda machine: machine.put("<I"),
    ord("h"): lambda machine: machine.get("<B"),
    ord("j"): lambda machine: machine.get("<I"),
    ord("R"): _Machine.reduce,
    0x81: _Machine.new_object,
    ord("b"): _Machine.build,
}
