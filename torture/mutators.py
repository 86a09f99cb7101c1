# ruff: noqa: E501 (tables of bytes and long conditions read best in one line)
"""Mutants of healthy files: bytes flipped, cut and spliced, and the structure of each format changed knowingly.

A mutator is ``(content, rng) -> content``; all chance comes from ``rng``, so a mutant can be made again.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

Mutator = Callable[[bytes, random.Random], bytes]

ODD_NUMBERS = (
    b"0", b"-0", b"-1", b"1", b"2", b"255", b"2147483647", b"-2147483648", b"4294967296", b"9223372036854775807",
    b"-9223372036854775808", b"18446744073709551616", b"1" + b"0" * 30, b"9" * 400, b"9" * 5000, b"0.5", b"1e-320", b"1e38",
    b"1e39", b"1e308", b"1e999", b"-1e999", b"nan", b"NaN", b"inf", b"-Infinity", b"1_0", b"0x10", b"1,5", b"1.0",
    b"01", b"+1", b"\xd9\xa1", b"1" + b"0" * 70_000, b"true", b"null", b"",
)  # fmt: skip
ODD_WORDS = (
    b"\x1b[2J", b"\x1b]0;owned\x07", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe2\x80\xae", b"\xe2\x80\xa8", b"\xed\xa0\x80",
    b"../../evil", b"/etc/passwd", b"__import__('os').system('true')", b"%s%s%n", b"{0.__class__}", b"'", b'"', b",", b";",
    b"\t", b"\r", b"\n", b"\x0b", b"\x0c", b"\x1c", b"\x85", b"#", b"=", b"[", b"]", b"{", b"}", b"(", b"<", b">", b"&", b"]]>",
    b"A" * 1000, b"A" * 70_000, b" ",
)  # fmt: skip
_NUMBER = re.compile(rb"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def bytes_changed(content: bytes, rng: random.Random) -> bytes:
    """Some bytes flipped, set, cut out, doubled; perhaps the end cut off."""
    mutated = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        place, kind = rng.randrange(len(mutated) or 1), rng.randrange(8)
        if kind == 0:
            mutated[place : place + 1] = bytes([rng.randrange(256)])
        elif kind == 1 and mutated:
            mutated[place] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del mutated[place : place + rng.choice((1, 2, 4, 8, 64))]
        elif kind == 3:
            mutated[place:place] = mutated[place : place + rng.choice((1, 4, 32, 500))]
        elif kind == 4:
            mutated[place : place + 4] = rng.choice(
                (b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80", bytes(4), b"\1\0\0\0")
            )
        elif kind == 5:
            mutated[place : place + 8] = rng.choice((b"\xff" * 8, b"\xff" * 7 + b"\x7f", bytes(7) + b"\x80", bytes(8)))
        elif kind == 6 and rng.random() < 0.4:
            del mutated[place:]
        elif kind == 7:
            other = rng.randrange(len(mutated) or 1)
            size = rng.choice((1, 8, 40))
            mutated[place : place + size] = mutated[other : other + size]
    return bytes(mutated)


def words_inserted(content: bytes, rng: random.Random) -> bytes:
    """Escape codes, delimiters, NULs and very long words in between."""
    for _ in range(rng.choice((1, 1, 2))):
        place = rng.randrange(len(content) + 1)
        content = content[:place] + rng.choice(ODD_WORDS) + content[place + rng.choice((0, 0, 1, 3)) :]
    return content


def numbers_changed(content: bytes, rng: random.Random) -> bytes:
    """Decimal numbers replaced by those that readers trip over."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        found = list(_NUMBER.finditer(content))
        if not found:
            break
        at = rng.choice(found)
        content = content[: at.start()] + rng.choice(ODD_NUMBERS) + content[at.end() :]
    return content


def lines_changed(content: bytes, rng: random.Random) -> bytes:
    """Lines removed, doubled, swapped, joined, repeated a thousand times; line ends of other systems."""
    lines = content.split(b"\n")
    for _ in range(rng.choice((1, 1, 3))):
        first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
        kind = rng.randrange(8)
        if kind == 0 and len(lines) > 1:
            del lines[first]
        elif kind == 1:
            lines.insert(second, lines[first])
        elif kind == 2:
            lines[first], lines[second] = lines[second], lines[first]
        elif kind == 3:
            lines[first] = lines[first] + b" " + lines[second]
        elif kind == 4:
            lines[first:first] = [lines[first]] * rng.choice((2, 1000))
        elif kind == 5:
            cells = re.split(rb"([,\s]+)", lines[first])
            rng.shuffle(cells)
            lines[first] = b"".join(cells)
        elif kind == 6:
            lines[first] = b""
        elif kind == 7:
            lines = b"\n".join(lines).replace(b"\n", rng.choice((b"\r", b"\r\n", b"\x0b", b"\n\n"))).split(b"\n")
    return b"\n".join(lines)


def recoded(content: bytes, rng: random.Random) -> bytes:
    """The text in another encoding, or wrapped in gzip, once or twice."""
    kind = rng.randrange(5)
    if kind < 3:
        name = ("utf-16", "utf-32", "latin-1")[kind]
        return content.decode("latin-1").encode(name)
    packed = gzip.compress(content, 1, mtime=0)
    return packed if kind == 3 else bytes_changed(packed, rng)


def gzip_within(inner: Mutator) -> Mutator:
    """The unpacked content mutated and packed again, or the packed bytes themselves; sometimes a small bomb."""

    def mutate(content: bytes, rng: random.Random) -> bytes:
        if rng.random() < 0.3:
            return bytes_changed(content, rng)
        if rng.random() < 0.02:
            return gzip.compress(
                rng.choice((b"\n", b"1 2\n", b"x", b"\0")) * rng.choice((1 << 16, 1 << 22)), 1, mtime=0
            )
        packed = gzip.compress(inner(gzip.decompress(content), rng), 1, mtime=0)
        return packed if rng.random() < 0.9 else packed * 2

    return mutate


def json_changed(content: bytes, rng: random.Random) -> bytes:
    """A place in the document holds something else, is gone, or is nested a thousand times."""
    try:
        document = json.loads(content)
    except ValueError:
        return bytes_changed(content, rng)
    document = tree_changed(document, rng, _odd_json)
    text = json.dumps(document).encode()
    if rng.random() < 0.05:
        depth = rng.choice((500, 100_000))
        text = text.replace(b"1", b"[" * depth + b"]" * depth, 1)
    if rng.random() < 0.05:
        text = text.replace(b"{", b'{"format": 1, "format": 2, ', 1)
    return text


def tree_changed(tree: Any, rng: random.Random, odd: Callable[[Any, random.Random], Any]) -> Any:
    """``tree`` with one to three of its places removed, exchanged or replaced by what ``odd`` makes of them."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        tree = _changed_somewhere(tree, rng, odd)
    return tree


def _changed_somewhere(tree: Any, rng: random.Random, odd: Callable[[Any, random.Random], Any]) -> Any:
    inside = isinstance(tree, (dict, list, tuple)) and len(tree) > 0
    if not inside or rng.random() < 0.08:
        return odd(tree, rng)
    if isinstance(tree, dict):
        key = rng.choice(list(tree))
        if rng.random() < 0.12:
            return {name: value for name, value in tree.items() if name != key}
        if rng.random() < 0.06:
            return {("x" + str(name) if name == key else name): value for name, value in tree.items()}
        if rng.random() < 0.06:
            return {**tree, key: tree[rng.choice(list(tree))]}
        return {**tree, key: _changed_somewhere(tree[key], rng, odd)}
    items = list(tree)
    at = rng.randrange(len(items))
    if rng.random() < 0.08:
        del items[at]
    elif rng.random() < 0.05:
        items = items * 2
    else:
        items[at] = _changed_somewhere(items[at], rng, odd)
    return tuple(items) if isinstance(tree, tuple) else items


def _odd_json(value: Any, rng: random.Random) -> Any:
    return rng.choice(
        (None, True, -1, 0, 1, 0.5, 2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 1e308, float("nan"), float("inf"), "", "x",
         "\x1b[2J", "1", "\ud800", "9" * 400, [], {}, [[]], [1, [2]], {"x": 1}, [value], {"x": value}, "A" * 5000)
    )  # fmt: skip


TOML_VALUES = (
    b"true", b"-1", b"0", b"1", b"9223372036854775808", b"1" + b"0" * 40, b"1e400", b"nan", b"inf", b"-inf", b'""', b'"none"',
    b'"\\u001b[2J"', b"[]", b"{}", b"1979-05-27", b"07:32:00", b"[[1, 2], [3]]", b'"x"', b"0x10", b"[" * 2000 + b"]" * 2000,
    b"{a = " * 1000 + b"1" + b"}" * 1000, b"100000000", b"1000000000000", b'"../../etc/passwd"', b'"\\U00110000"', b"0.0",
)  # fmt: skip


def toml_changed(content: bytes, rng: random.Random) -> bytes:
    """Values of other types, keys doubled, renamed or deep, tables moved."""
    lines = content.split(b"\n")
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(lines))
        key, equals, _value = lines[at].partition(b"=")
        kind = rng.randrange(10)
        if kind < 6 and equals:
            lines[at] = key + b"= " + rng.choice(TOML_VALUES)
        elif kind == 6 and equals:
            lines[at] = rng.choice((b"x", b'"\\u001b"', b"a." * 3000 + b"b", b"")) + b"= 1"
        elif kind == 7:
            lines.insert(rng.randrange(len(lines)), lines[at])
        elif kind == 8:
            del lines[at]
            lines = lines or [b""]
        else:
            lines.insert(
                at, rng.choice((b"[x]", b"[[x]]", b"[source]", b"[training]", b"[model]", b"[sizes]", b"[a.b.c]"))
            )
    return b"\n".join(lines)


_XML_TOP = (
    b'<!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>',
    b'<!DOCTYPE g [<!ENTITY x SYSTEM "file:///etc/passwd">]>', b'<!DOCTYPE g SYSTEM "http://127.0.0.1:9/x.dtd">',
    b'<?xml version="1.0" encoding="UTF-16"?>', b'<?xml version="1.0" encoding="x-nothing"?>', b"<?php ?>", b"<!-- ",
    b'<?xml version="1.0" encoding="utf-7"?>', b'<?xml version="1.0" encoding="idna"?>', b'<?xml version="1.0" encoding="rot13"?>',
)  # fmt: skip
_XML_TAG = re.compile(rb"<[^>]*>")


def xml_changed(content: bytes, rng: random.Random) -> bytes:
    """Tags lost, doubled, swapped and nested; doctypes, entities and encodings put on top."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        tags = list(_XML_TAG.finditer(content))
        if not tags:
            break
        first, second = rng.choice(tags), rng.choice(tags)
        kind = rng.randrange(8)
        if kind == 0:
            content = content[: first.start()] + content[first.end() :]
        elif kind == 1:
            content = content[: second.start()] + first[0] + content[second.start() :]
        elif kind == 2:
            content = content[: first.start()] + second[0] + content[first.end() :]
        elif kind == 3:
            content = rng.choice(_XML_TOP) + re.sub(rb"^<\?xml[^>]*>", b"", content)
        elif kind == 4:
            content = (
                content[: first.end()]
                + rng.choice((b"&a;", b"&c;", b"&#x1b;", b"&#0;", b"&lt;" * 9000))
                + content[first.end() :]
            )
        elif kind == 5:
            depth = rng.choice((5, 20_000))
            content = content[: first.end()] + b"<node id='q'>" * depth + content[first.end() :]
        elif kind == 6:
            attributes = re.sub(rb'"[^"]*"', lambda _: b'"' + rng.choice(ODD_WORDS[:12]) + b'"', first[0], count=1)
            content = content[: first.start()] + attributes + content[first.end() :]
        else:
            content = content.replace(rng.choice((b"id=", b"source=", b"key=", b"edgedefault=", b"for=")), b"xx=", 1)
    return content


# Archives


def zip_members(content: bytes) -> dict[str, bytes]:
    """The members of an archive, by name."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zip_of(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED, *, link: str = "") -> bytes:
    """An archive of these members, the same one each time; ``link`` is stored as a symbolic link."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = method
            if name == link:
                entry.create_system, entry.external_attr = 3, 0o120777 << 16
            archive.writestr(entry, content)
    return stream.getvalue()


EVIL_NAMES = (
    "../../evil.npy", "/etc/passwd", "C:\\evil.npy", "\x1b[2J.npy", "a/b.npy", "evil.npy\x00.txt", "x" * 300 + ".npy", ".npy", "é.npy",
    "archive/data.pkl", "archive/../data.pkl", "__pycache__/torch.npy", "CON.npy", "\u202e.npy",
)  # fmt: skip


def zip_changed(content: bytes, rng: random.Random) -> bytes:
    """Headers, names, methods and sizes of members changed; checksums often made right again."""
    kind = rng.randrange(8)
    if kind < 4:
        return _zip_bytes_changed(content, rng)
    try:
        members = list(zip_members(content).items())
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, NotImplementedError, RuntimeError, EOFError):
        return bytes_changed(content, rng)
    at = rng.randrange(len(members)) if members else 0
    link = ""
    if kind == 4:
        members.insert(at, (rng.choice(EVIL_NAMES), b"x" * rng.choice((0, 100))))
    elif kind == 5 and members:
        other = rng.randrange(len(members))
        members[at] = (members[at][0], members[other][1])
    elif kind == 6 and members:
        link = members[at][0]
        members[at] = (link, b"../../../etc/passwd")
    elif members:
        size = rng.choice((0, 1 << 10, 1 << 20, 3 << 20))
        body = rng.choice((members[at][1] * 2, bytes(size), members[at][1][:-1], bytes_changed(members[at][1], rng)))
        members[at] = (members[at][0], body)
    method = rng.choice(
        (zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    )
    if method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA) and rng.random() < 0.8:
        method = zipfile.ZIP_DEFLATED
    return zip_of(members, method, link=link)


def _zip_bytes_changed(content: bytes, rng: random.Random) -> bytes:
    """Fields of a header, or any byte, changed; the checksums made right in most cases."""
    mutated = bytearray(content)
    signatures = [at.start() for at in re.finditer(rb"PK(?:\x01\x02|\x03\x04|\x05\x06)", content)]
    if signatures and rng.random() < 0.5:
        place = rng.choice(signatures) + rng.randrange(4, 46)
        value = rng.choice(
            (b"\xff\xff", b"\0\0", b"\x01\x00", b"\x08\x00", b"\xff\xff\xff\x7f", bytes([rng.randrange(256)]))
        )
        mutated[place : place + len(value)] = value
    else:
        mutated = bytearray(bytes_changed(content, rng))
    return repaired(bytes(mutated)) if rng.random() < 0.7 else bytes(mutated)


def repaired(content: bytes) -> bytes:
    """Stored members with checksums that are right again, so that mutants reach the reader behind zipfile."""
    fixed = bytearray(content)
    place = fixed.find(b"PK\x01\x02")
    while place >= 0 and place + 46 <= len(fixed):
        size = struct.unpack_from("<I", fixed, place + 20)[0]
        local = struct.unpack_from("<I", fixed, place + 42)[0]
        if local + 30 <= len(fixed):
            name, extra = struct.unpack_from("<HH", fixed, local + 26)
            start = local + 30 + name + extra
            struct.pack_into("<I", fixed, place + 16, zlib.crc32(fixed[start : start + size]))
        place = fixed.find(b"PK\x01\x02", place + 4)
    return bytes(fixed)


NPY_HEADERS = (
    (rb"'shape': \([^)]*\)", (b"'shape': (-1,)", b"'shape': (99999999999,)", b"'shape': (2, 3, 4)", b"'shape': ()",
                              b"'shape': (" + b"9" * 300 + b",)", b"'shape': (0,)", b"'shape': (1099511627776, 0)", b"'shape': (1,1)")),
    (rb"'descr': '[^']*'", (b"'descr': '|O'", b"'descr': '<f8'", b"'descr': '<f2'", b"'descr': '<c16'", b"'descr': '<M8[s]'",
                            b"'descr': '|V4'", b"'descr': '<U1'", b"'descr': '|S9'", b"'descr': '>i8'", b"'descr': '|b1'", b"'descr': '<U9999'",
                            b"'descr': [('a', '<i4')]", b"'descr': __import__('os').system('true')")),
    (rb"'fortran_order': \w+", (b"'fortran_order': True", b"'fortran_order': 1")),
)  # fmt: skip


def npz_changed(content: bytes, rng: random.Random) -> bytes:
    """Arrays lost, of other types, shapes and values, or with headers that lie; all checksums right."""
    if rng.random() < 0.4:
        return zip_changed(content, rng)
    members = zip_members(content)
    name = rng.choice(sorted(members))
    if rng.random() < 0.35:
        pattern, values = rng.choice(NPY_HEADERS)
        members[name] = _header_replaced(members[name], pattern, rng.choice(values))
    elif rng.random() < 0.12:
        members[rng.choice((name, "x.npy", "num_nodes.npy", "node_names.npy"))] = members.pop(name)
    else:
        array = np.load(io.BytesIO(members[name]), allow_pickle=False)
        stream = io.BytesIO()
        with np.errstate(all="ignore"):
            np.save(stream, array_changed(array, rng))
        members[name] = stream.getvalue()
    return zip_of(list(members.items()), rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))


def _header_replaced(member: bytes, pattern: bytes, value: bytes) -> bytes:
    length = struct.unpack_from("<H", member, 8)[0]
    header = re.sub(pattern, lambda _: value, member[10 : 10 + length]).rstrip() + b" \n"
    return member[:8] + struct.pack("<H", len(header) & 0xFFFF) + header + member[10 + length :]


def array_changed(array: np.ndarray[Any, Any], rng: random.Random) -> np.ndarray[Any, Any]:
    """One entry odd, another type, shape or order; never an array of objects."""
    flat = array.reshape(-1).copy()
    kind = rng.randrange(7)
    if kind == 0 and array.dtype.kind not in "US":
        return array.astype(rng.choice(("i1", "u1", "i4", "u8", "f2", "f4", "f8", ">i4", "?", "c8")))
    if kind == 1:
        return array.T if array.ndim == 2 else flat[::-1]
    if kind == 2:
        return flat[: rng.randrange(len(flat) + 1)]
    if kind == 3:
        return np.concatenate([flat, flat[: rng.choice((1, 3))]])
    if kind == 4:
        return array.reshape((1, *array.shape)) if array.ndim < 2 else flat
    if len(flat) and array.dtype.kind in "iu":
        limits = np.iinfo(array.dtype)
        flat[rng.randrange(len(flat))] = rng.choice((limits.min, limits.max, 0, 1, limits.max // 2, len(flat)))
    elif len(flat) and array.dtype.kind == "f":
        flat[rng.randrange(len(flat))] = rng.choice((np.nan, np.inf, -1, 0, 1e-40, 3e38, -np.inf))
    elif len(flat) and array.dtype.kind == "U":
        flat[rng.randrange(len(flat))] = rng.choice(("", "\x1b[2J", "nan", "b"))
    return flat.reshape(array.shape)
