"""Scalars of TensorBoard event files: record framing, checksums, wire format.

A record is its length (8 bytes), the length's masked CRC-32C, the data and theirs; the
data are an `Event` message (step 2, summary 5) in protocol-buffer wire format. Source:
tensorflow/core/lib/io/record_writer.h, tensorflow/core/framework/summary.proto and
tensor.proto. The packages that read these files end a damaged one in silence.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import numpy as np

from harness.errors import DataError

_HEADER: Final = 12
_FOOTER: Final = 4
_MOST_BYTES: Final = 1 << 30
_DTYPES: Final = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}
"""NumPy's names of the numbers of `tensorflow.DataType`."""
_FIELD_OF: Final = {1: 5, 2: 6, 3: 7, 9: 10}
"""Fields of `TensorProto` with the values of a type, where not in tensor_content."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Scalar(NamedTuple):
    """A value of a tag at a step."""

    tag: str
    step: int
    value: float | None
    """None for what is no scalar: histograms, images, texts."""


def scalars(path: Path) -> Iterator[Scalar]:
    """Yield every value of an event file, in order.

    Raises:
        DataError: The file is damaged, at a byte that is named.
        EOFError: It ends within a record, as that of a killed process; everything
            before was yielded.
    """
    with path.open("rb") as file:
        while data := _record(file, path):
            try:
                found = list(_event(data))
            except (IndexError, struct.error, UnicodeDecodeError, ValueError) as error:
                raise DataError(
                    f"{path}: the record before byte {file.tell():,} is no event "
                    f"({error}): give event files of TensorBoard only"
                ) from error
            yield from found


def masked_crc(data: bytes) -> int:
    """Return the masked CRC-32C (Castagnoli) of `data`, as event files have it.

    Formula: rotate the checksum right by 15 bits and add 0xa282ead8, modulo 2^32.
    Source: RFC 3720 appendix B.4 for the checksum of b"123456789", 0xe3069283.
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE: Final = _table()


def _record(file: BinaryIO, path: Path) -> bytes:
    """Return the data of the next record, nothing at the end of the file."""
    start = file.tell()
    head = file.read(_HEADER)
    if not head:
        return b""
    if len(head) < _HEADER:
        raise EOFError
    length, check = struct.unpack("<QI", head)
    if masked_crc(head[:8]) != check or not 0 < length <= _MOST_BYTES:
        raise _damaged(path, start, "length")
    body = file.read(length + _FOOTER)
    if len(body) < length + _FOOTER:
        raise EOFError
    data = body[:length]
    if masked_crc(data) != struct.unpack("<I", body[length:])[0]:
        raise _damaged(path, start, "data")
    return data


def _damaged(path: Path, start: int, what: str) -> DataError:
    where = "it is no event file" if start == 0 else f"at byte {start:,}"
    return DataError(
        f"{path} is damaged, {where}: the checksum of a record's {what} is wrong; copy "
        "the file again, or leave it out"
    )


def _event(data: bytes) -> Iterator[Scalar]:
    step, summaries = 0, []
    for number, value in _fields(data):
        if number == 2 and isinstance(value, int):
            step = value - (1 << 64) if value >> 63 else value
        elif number == 5 and isinstance(value, bytes):
            summaries.append(value)
    for summary in summaries:
        for number, value in _fields(summary):
            if number == 1 and isinstance(value, bytes):
                yield _value(value, step)


def _value(data: bytes, step: int) -> Scalar:
    tag, found = "", None
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            tag = value.decode()
        elif number == 2 and isinstance(value, bytes):  # simple_value
            found = float(struct.unpack("<f", value)[0])
        elif number == 8 and isinstance(value, bytes):
            found = _tensor(value)
    return Scalar(tag, step, found)


def _tensor(data: bytes) -> float | None:
    """Return the value of a tensor without dimensions; None for any other."""
    fields = dict(_fields(data))
    dtype = fields.get(1)
    shape = fields.get(2, b"")
    if not isinstance(dtype, int) or dtype not in _DTYPES or shape:
        return None
    content = fields.get(4)
    if isinstance(content, bytes) and content:
        return float(np.frombuffer(content, _DTYPES[dtype])[0])
    value = fields.get(_FIELD_OF[dtype], b"")
    if isinstance(value, int):  # an integer that is not packed
        return float(_signed(value))
    if not value:  # zero is the default, and a default is not written
        return 0.0
    if dtype in (3, 9):
        return float(_signed(_varint(value, 0)[0]))
    return float(np.frombuffer(value, _DTYPES[dtype])[0])


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the number and the value of each field of a message."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at + size > end:
            raise ValueError("a field is longer than its message")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of variable length and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
