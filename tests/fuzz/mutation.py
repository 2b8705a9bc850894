"""Changes of a file's bytes: blind ones, and such as keep the outer form so that what lies behind it is reached."""

import gzip
import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.fuzz.png import chunk

_NUMBERS = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    2**62,
    2**64 - 1,
)
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 1e9, 10**9, 10**30, 1e308, float("nan"), float("inf"), "", "a", "nan", "1e5", "\0",
    "\ud800", "x" * 70_000, "../../up", "/etc/passwd", "a\nb", "hf-hub:x/y", [], {}, [None], {"a": 1}, [[1], "b"],
    [1, 2, 3], [0.5] * 3, ["a"] * 3, "Läsion \u202e", "-5", "${oc.env:HOME}", "os.system",
)  # fmt: skip
_SNIPPETS = (
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xff\xfe\0\0", b'"', b"'", b",", b";", b"\t", b"\r", b"\n\n", b"nan", b"inf",
    b"-1", b"1e999", b"99999999999999999999", b"{" * 50, b"[" * 50, b": ", b"&a [*a]", b"!!python/object:os.system ",
    b"${a}", b"\xc3\x28", b"\xf0\x9f\x98\x80", b"%s", b"PK\x03\x04", b"\x1f\x8b", b"=1+1",
)  # fmt: skip
_DEEP = 100_000
_LONG = 200_000


def mutated(name: str, data: bytes, draw: random.Random) -> bytes:
    """Another content for a file of this name."""
    keeps_form = next((change for seen, change in _FORMS if seen(name, data)), None)
    if keeps_form is not None and draw.random() < 0.7:
        with suppress(Exception):  # of an input that has only the first bytes of its form
            return keeps_form(data, draw)
    return _blind(data, draw)


def _blind(data: bytes, draw: random.Random) -> bytes:
    for _ in range(draw.choice((1, 1, 1, 2, 4, 8))):
        data = draw.choice(_BLIND)(data, draw)
    return data


def _flip(data: bytes, draw: random.Random) -> bytes:
    if not data:
        return data
    place = draw.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << draw.randrange(8))]) + data[place + 1 :]


def _cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def _remove(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data) + 1)
    return data[:start] + data[start + draw.randrange(1, 64) :]


def _splice(data: bytes, draw: random.Random) -> bytes:
    start, place = draw.randrange(len(data) + 1), draw.randrange(len(data) + 1)
    return data[:place] + data[start : start + draw.randrange(1, 256)] + data[place:]


def _insert(data: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(data) + 1)
    return data[:place] + draw.choice(_SNIPPETS) * draw.choice((1, 1, 1, 3)) + data[place:]


def _number(data: bytes, draw: random.Random) -> bytes:
    """A number as headers have them, mostly near the start, where headers are."""
    size = draw.choice((1, 2, 4, 8))
    code = draw.choice("<>") + {1: "B", 2: "H", 4: "I", 8: "Q"}[size]
    place = draw.randrange(max(1, min(len(data), draw.choice((64, 400, 1 << 30)))))
    return data[:place] + struct.pack(code, draw.choice(_NUMBERS) % 256**size) + data[place + size :]


def _digits(data: bytes, draw: random.Random) -> bytes:
    """Another number in the place of one that is written out."""
    places = [place for place, byte in enumerate(data[:20_000]) if 48 <= byte < 58]
    if not places:
        return _flip(data, draw)
    start = end = draw.choice(places)
    while end < len(data) and 48 <= data[end] < 58:
        end += 1
    return (
        data[:start] + draw.choice((b"0", b"-1", b"1000000000", b"32767", b"nan", b"1e300", b"")) + data[end:]
    )


def _fill(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data) + 1)
    length = draw.randrange(1, 128)
    return data[:start] + draw.choice((b"\0", b"\xff")) * length + data[start + length :]


def _replace_all(data: bytes, draw: random.Random) -> bytes:
    contents = (
        b"", b"\0" * 64, b"\xff" * 64, draw.randbytes(300), b"[" * _DEEP, b'{"a":' * _DEEP, b"(" * _DEEP,
        b"- " * 3000, b"a," * _LONG, b'"' + b"a" * _LONG, "Läsion".encode("utf-16"), "Läsion".encode("latin-1"),
    )  # fmt: skip
    return draw.choice(contents)


_BLIND: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip, _flip, _cut, _remove, _splice, _insert, _insert, _number, _number, _number, _digits, _digits, _fill,
    _replace_all,
)  # fmt: skip


def _json(data: bytes, draw: random.Random) -> bytes:
    content = json.loads(data)
    for _ in range(draw.choice((1, 1, 1, 2))):
        content = _other_value(content, draw)
    return json.dumps(content).encode()


def _other_value(content: Any, draw: random.Random) -> Any:
    """One value replaced, removed, or wrapped; deeper ones as likely as those at the top."""
    places = list(_places(content, ()))
    *path, last = draw.choice(places) if places else (None,)
    if last is None:
        return draw.choice(_VALUES)
    content = json.loads(json.dumps(content))
    table = content
    for key in path:
        table = table[key]
    kind = draw.random()
    if kind < 0.65:
        table[last] = draw.choice(_VALUES)
    elif kind < 0.8:
        del table[last]
    elif kind < 0.9 and isinstance(table, dict):
        table[draw.choice(("", "a", "version", str(last) * 2))] = table[last]
    elif kind < 0.97:
        table[last] = [table[last]]
    else:
        deep: Any = table[last]
        for _ in range(200):
            deep = [deep]
        table[last] = deep
    return content


def _places(content: Any, path: tuple[Any, ...]) -> Any:
    items = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for key, value in items:
        yield (*path, key)
        yield from _places(value, (*path, key))


def _is_json(name: str, data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def _zip(data: bytes, draw: random.Random) -> bytes:
    """One member changed, the checksums right again."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(member, archive.read(member)) for member in archive.infolist()]
    chosen = draw.randrange(len(members))
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w", draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for number, (member, content) in enumerate(members):
            name = member.filename
            if number == chosen:
                kind = draw.random()
                if kind < 0.75:
                    content = mutated(name, content, draw)
                elif kind < 0.85:
                    continue
                elif kind < 0.95:
                    name = draw.choice(("../a", "/a", "a\\..\\b", "", "a" * 300, "\x01", name * 2, "C:/a"))
                else:
                    content = bytes(300 << 20)
            archive.writestr(name, content)
    return result.getvalue()


def _gzip(data: bytes, draw: random.Random) -> bytes:
    return gzip.compress(_blind(gzip.decompress(data), draw), mtime=0)


def _png(data: bytes, draw: random.Random) -> bytes:
    """One chunk changed, its checksum right again."""
    chunks = []
    place = 8
    while place + 12 <= len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    chosen = draw.randrange(len(chunks)) if draw.random() < 0.6 else 0
    kind, content = chunks[chosen]
    if kind == b"IDAT" and draw.random() < 0.7:
        content = zlib.compress(_blind(zlib.decompress(content), draw))
    elif draw.random() < 0.8:
        content = _blind(content, draw)
    else:
        kind = draw.choice((b"IEND", b"acTL", b"eXIf", b"iCCP", b"tRNS", b"PLTE", b"zTXt", b"pHYs"))
    chunks[chosen] = (kind, content)
    return data[:8] + b"".join(chunk(kind, content) for kind, content in chunks)


def _safetensors(data: bytes, draw: random.Random) -> bytes:
    (length,) = struct.unpack("<Q", data[:8])
    header = _json(data[8 : 8 + length], draw)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def _is_safetensors(name: str, data: bytes) -> bool:
    return len(data) > 8 and data[8:9] == b"{" and name.endswith((".safetensors", ".bin", ".pt"))


def _dicom(data: bytes, draw: random.Random) -> bytes:
    """Values of some elements replaced, the file still one that can be parsed."""
    from pydicom import dcmread
    from pydicom.dataelem import RawDataElement

    dataset = dcmread(io.BytesIO(data))
    for _ in range(draw.choice((1, 1, 2, 3))):
        table = dataset
        nested = [item for element in dataset if element.VR == "SQ" for item in element.value]
        if nested and draw.random() < 0.5:
            table = draw.choice(nested)
        tags = list(table.keys())
        if not tags:
            continue
        tag = draw.choice(tags)
        if draw.random() < 0.15:
            del table[tag]
            continue
        old = table.get_item(tag)
        table[tag] = RawDataElement(tag, old.VR, 0, _dicom_value(draw), 0, False, True)
    result = io.BytesIO()
    try:
        dataset.save_as(result, enforce_file_format=False)
    except Exception:  # what cannot be written is changed blindly
        return _blind(data, draw)
    return result.getvalue()


def _dicom_value(draw: random.Random) -> bytes:
    numbers = (
        struct.pack("<H", draw.choice(_NUMBERS) % 2**16),
        struct.pack("<I", draw.choice(_NUMBERS) % 2**32),
    )
    texts = (
        b"",
        b"1A",
        b"-1",
        b"0",
        b"nan",
        b"inf ",
        b"1e999 ",
        b"1\\2",
        b"2000000000",
        b"\xff\xff",
        b"MONOCHROME1 ",
    )
    others = (
        b"RGB ",
        b"PALETTE COLOR ",
        b"YBR_FULL",
        b"1.2.840.10008.1.2.4.50",
        b"1.2.840.10008.1.2.1.99",
        b"a" * 64,
    )
    return draw.choice((*numbers, *texts, *others, draw.randbytes(2 * draw.randrange(1, 20))))


_FORMS: tuple[tuple[Callable[[str, bytes], bool], Callable[[bytes, random.Random], bytes]], ...] = (
    (lambda name, data: data.startswith(b"PK\x03\x04"), _zip),
    (lambda name, data: data.startswith(b"\x1f\x8b"), _gzip),
    (lambda name, data: data.startswith(b"\x89PNG"), _png),
    (lambda name, data: data[128:132] == b"DICM", _dicom),
    (_is_safetensors, _safetensors),
    (_is_json, _json),
)
"""Whether a file has a form, and a change that keeps it."""
