"""What the parts of the second reader share: refusing, hashing, and a cursor over bytes."""
import struct

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
