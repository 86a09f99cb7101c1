"""Frozen dataclasses to TOML and back, so that a run can be read, repeated and resumed.

TOML has no null: None is written as ``"none"``, which a field that allows None reads back.
"""

from __future__ import annotations

import dataclasses
import os
import tomllib
import types
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from gnnkit.errors import FileFormatError
from gnnkit.storage.atomic import atomic_write
from gnnkit.storage.reading import read_regular
from gnnkit.storage.text import shown

_NONE = "none"
_SCALARS = (str, int, float, bool)
_LIMIT = 2**20

ConfigT = TypeVar("ConfigT")


def config_to_toml(config: Any) -> str:
    """A dataclass instance as TOML text; fields may be str, int, float, bool, None, Literal, unions of
    those, tuples, lists, dicts with str keys, and dataclasses of such fields.

    Raises:
        ValueError: If a value does not fit its field's type, or would not read back.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Config:
        ...     epochs: int = 200
        ...     patience: int | None = None
        >>> print(config_to_toml(Config()))
        epochs = 200
        patience = "none"
    """
    import tomli_w

    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise ValueError(f"a configuration must be an instance of a dataclass, got {config!r}")
    encoded = _encode(config)
    try:
        _refuse_lost_none(config, _decode(encoded, type(config), ""))
    except _Mismatch as mismatch:
        raise ValueError(f"{type(config).__name__}: {mismatch}") from None
    return tomli_w.dumps(encoded).rstrip("\n")


def config_from_toml(text: str, cls: type[ConfigT], *, source: object = "configuration") -> ConfigT:
    """TOML text as a ``cls``; a key left out takes the field's default.

    Raises:
        FileFormatError: Naming ``source`` and the key, if the text is not TOML, a key is unknown or
            missing, a value has another type than its field or ``cls`` itself refuses it.
    """
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(source, f"is not TOML ({error})") from error
    try:
        decoded: ConfigT = _decode(table, cls, "")
    except _Mismatch as mismatch:
        raise FileFormatError(source, str(mismatch)) from None
    return decoded


def write_config(path: str | os.PathLike[str], config: Any) -> None:
    """Write `config_to_toml` of ``config``, atomically."""
    atomic_write(path, config_to_toml(config) + "\n")


def read_config(path: str | os.PathLike[str], cls: type[ConfigT]) -> ConfigT:
    """`config_from_toml` of a file. Raises FileFormatError; OSError if it cannot be opened."""
    raw = read_regular(path, limit=_LIMIT)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise FileFormatError(path, f"is not UTF-8 text ({error})") from error
    return config_from_toml(text, cls, source=path)


class _Mismatch(Exception):
    """What is wrong with which key; the caller knows the file."""


def _encode(value: Any) -> Any:
    if value is None:
        return _NONE
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, (tuple, list)):
        return [_encode(item) for item in value]
    if isinstance(value, dict):
        return {key: _encode(item) for key, item in value.items()}
    return value


def _decode(value: Any, kind: Any, key: str) -> Any:
    """``value``, as TOML gives it, as a ``kind``; ``key`` is its dotted name."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _decode_union(value, arguments, kind, key)
    if kind is types.NoneType:
        decoded, fits = None, value == _NONE
    elif origin is Literal:
        decoded, fits = value, any(type(value) is type(choice) and value == choice for choice in arguments)
    elif kind is float:  # `lr = 1` means 1.0
        decoded, fits = value, type(value) in (int, float)
        if fits:
            return _as_float(value, key)
    elif kind in _SCALARS:  # exactly: True is no int here
        decoded, fits = value, type(value) is kind
    elif dataclasses.is_dataclass(kind):
        if isinstance(value, dict):
            return _decode_dataclass(value, kind, key)
        decoded, fits = None, False
    elif origin in (tuple, list):
        if isinstance(value, list):
            return _decode_sequence(value, kind, key)
        decoded, fits = None, False
    elif origin is dict and arguments[0] is str:
        if isinstance(value, dict):
            return {name: _decode(item, arguments[1], _join(key, name)) for name, item in value.items()}
        decoded, fits = None, False
    else:
        raise TypeError(f"configuration field {key!r} has type {kind}, which has no form in TOML")
    if not fits:
        raise _Mismatch(f"{key!r} should be {_describe(kind)}, got {shown(value)}")
    return decoded


def _decode_union(value: Any, choices: tuple[Any, ...], kind: Any, key: str) -> Any:
    # An int fits float too, so exact matches go first; "none" is None wherever None is allowed.
    for choice in sorted(choices, key=lambda choice: (choice is not types.NoneType, choice is float)):
        try:
            return _decode(value, choice, key)
        except _Mismatch:
            continue
    raise _Mismatch(f"{key!r} should be {_describe(kind)}, got {shown(value)}")


def _decode_sequence(values: list[Any], kind: Any, key: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        if len(values) != len(arguments):
            raise _Mismatch(f"{key!r} should be {_describe(kind)}, got {shown(values)}")
        kinds: tuple[Any, ...] = arguments
    else:
        kinds = (arguments[0],) * len(values)
    items = (
        _decode(item, item_kind, f"{key}[{index}]")
        for index, (item, item_kind) in enumerate(zip(values, kinds, strict=True))
    )
    return tuple(items) if origin is tuple else list(items)


def _decode_dataclass(table: dict[str, Any], cls: Any, key: str) -> Any:
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    for name in table:
        if name not in fields:
            known = ", ".join(sorted(fields))
            raise _Mismatch(f"unknown key {shown(_join(key, name))}; the keys here are {known}")
    arguments = {name: _decode(item, hints[name], _join(key, name)) for name, item in table.items()}
    for name, field in fields.items():
        no_default = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if no_default and name not in arguments:
            raise _Mismatch(f"the key {_join(key, name)!r} is missing")
    try:
        return cls(**arguments)
    except (ValueError, TypeError) as error:  # the dataclass's own checks
        raise _Mismatch(f"{key or 'a value'} is refused: {error}") from error


def _refuse_lost_none(written: Any, read: Any, key: str = "") -> None:
    for field in dataclasses.fields(written):
        before, after, name = getattr(written, field.name), getattr(read, field.name), _join(key, field.name)
        if after is None and before is not None:
            raise _Mismatch(f"{name!r} is the text {before!r}, which would be read back as None")
        if dataclasses.is_dataclass(before) and not isinstance(before, type):
            _refuse_lost_none(before, after, name)


def _as_float(value: int | float, key: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise _Mismatch(f"{key!r} is too large for a float") from None


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _describe(kind: Any) -> str:
    if kind is types.NoneType:
        return f'"{_NONE}"'
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(_describe(choice) for choice in get_args(kind))
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(kind))
    if dataclasses.is_dataclass(kind):
        return "a table"
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)
