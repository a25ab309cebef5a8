"""What the parts of the second reader share: refusing, hashing, a cursor over bytes, fields."""
import struct

import numpy as np
import xxhash


class Malformed(Exception):
    """The file breaks the specification."""


def expect(holds, *what):
    if not holds:
        raise Malformed(" ".join(str(w) for w in what))


def hash64(data):
    return xxhash.xxh3_64_intdigest(data)


class Reader:
    """A cursor over the bytes of one section."""

    def __init__(self, data, name):
        self.data, self.name, self.at = data, name, 0

    def take(self, n):
        expect(n <= len(self.data) - self.at, self.name, "ends within a field at", self.at)
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def u8(self):
        return self.number("<B")

    def u32(self):
        return self.number("<I")

    def varint(self):
        value = 0
        for i in range(10):
            byte = self.u8()
            value |= (byte & 127) << 7 * i
            if byte < 128:
                expect(value < 1 << 64, self.name, "varint above 64 bits at", self.at)
                return value
        raise Malformed(f"{self.name}: varint of more than 10 bytes at {self.at}")

    def text(self, most, word=False, ident=None):
        n = self.varint()
        expect(n <= most, self.name, f"text of {n} bytes, at most {most} expected, at", self.at)
        value = self.take(n)
        expect(self.u8() == 0, self.name, "text without its zero byte at", self.at)
        expect(not (word or ident) or 0 not in value, self.name, "zero byte in a word at", self.at)
        expect(ident is None or all(b in ident for b in value),
               self.name, "unexpected byte in", value)
        return value

    def end(self):
        expect(self.at == len(self.data), self.name, "has bytes behind its end at", self.at)


def classes_of(r):
    mask = r.number("<H")
    return [c for c in range(16) if mask >> c & 1]


def read_fields(data, n_cols, width):
    """Fields of rows; `data` has a row's bytes in each of its rows. Fill columns included."""
    groups = data.reshape(len(data), -(-n_cols // 64), 8 * width)
    values, at, shift = np.zeros(groups.shape[:2] + (64,), np.int16), 0, 0
    for b in (8, 4, 2, 1):
        if width & b:
            part = groups[:, :, at:at + 8 * b].astype(np.int16)
            for k in range(8 // b):
                values[:, :, 8 * b * k:8 * b * (k + 1)] |= (part >> b * k & (1 << b) - 1) << shift
            at, shift = at + 8 * b, shift + b
    return values.reshape(len(data), -1)
