"""The a16 family of codecs, from docs/format/codecs.md: part of the second reader.

All blocks of a shape are decoded in lock step; arrays are blocks x lanes.
"""
import numpy as np

from refdecode_reader import Reader, classes_of, expect, read_fields

LANES, ESCAPE, LOWEST = 64, 15, 256


def slots_of(freq):
    """Entry and rank of each of the 256 slots, by the alias method."""
    rest, own, alias = list(freq), [16] * 16, list(range(16))
    small = [k for k in range(16) if rest[k] < 16]
    large = [k for k in range(16) if rest[k] >= 16]
    while small and large:
        s, donor = small.pop(), large[-1]
        own[s], alias[s] = rest[s], donor
        rest[donor] -= 16 - rest[s]
        if rest[donor] < 16:
            small.append(large.pop())
    entry, rank, used = np.zeros(256, np.int64), np.zeros(256, np.int64), list(own)
    for k in range(16):
        for o in range(16):
            if o < own[k]:
                entry[16 * k + o], rank[16 * k + o] = k, o
            else:
                entry[16 * k + o], rank[16 * k + o] = alias[k], used[alias[k]]
                used[alias[k]] += 1
    return entry, rank


class A16:
    name, most_low, pair = "a16", 0, False

    def __init__(self, blob):
        r = Reader(blob, self.name + " table")
        self.known, self.escape = np.zeros(16, bool), np.zeros(16, bool)
        self.low, self.freq = np.zeros(16, np.int64), np.zeros((16, 16), np.int64)
        self.entry, self.rank = np.zeros((16, 256), np.int64), np.zeros((16, 256), np.int64)
        self.base = np.zeros(16, np.int64)
        for c in classes_of(r):
            flags, self.base[c] = r.u8(), r.u8()
            self.freq[c] = list(r.take(16))
            self.low[c], self.escape[c], self.known[c] = flags & 127, flags > 127, True
            expect(self.low[c] <= self.most_low, r.name, "low bits", self.low[c])
            expect(self.freq[c].sum() == 256, r.name, "frequencies that do not sum to 256")
            expect(not self.escape[c] or self.freq[c, ESCAPE], r.name, "an escape without a code")
            zones = np.flatnonzero(self.freq[c][:ESCAPE] if self.escape[c] else self.freq[c])
            top = zones.max() + 1 if len(zones) else 0
            if self.pair:
                expect(self.base[c] == 0, r.name, "base", self.base[c])
                expect(self.escape[c] or self.freq[c, 0], r.name, "no code for zeros")
            else:
                expect(self.base[c] + (top << self.low[c]) <= 256, r.name, "base", self.base[c])
            self.entry[c], self.rank[c] = slots_of(self.freq[c].tolist())
        r.end()

    @classmethod
    def decode(cls, jobs, n_rows, n_cols):
        return Blocks(cls.pair, jobs, n_rows, n_cols).decode()


class A16Rest(A16):
    name, most_low = "a16r", 6


class A16Pairs(A16):
    name, most_low, pair = "a16x2", 5, True


class Blocks:
    """The blocks of one shape: of each two streams (one where it has one row)."""

    def __init__(self, pair, jobs, n_rows, n_cols):
        self.pair, self.n_rows, self.n_cols = pair, n_rows, n_cols
        tables = list({id(codec): codec for codec, _, _, _ in jobs}.values())
        number = {id(codec): i for i, codec in enumerate(tables)}
        which = np.array([number[id(codec)] for codec, _, _, _ in jobs])
        classes = np.stack([c for _, c, _, _ in jobs]).astype(np.int64)
        self.cls = which[:, None] * 16 + classes  # blocks x rows: row of the tables below
        known, self.low, self.escape, self.base = (
            np.concatenate([getattr(t, what) for t in tables])
            for what in ("known", "low", "escape", "base"))
        self.freq, self.entry, self.rank = (
            np.concatenate([getattr(t, what) for t in tables])
            for what in ("freq", "entry", "rank"))
        expect(known[self.cls].all(), "a row has a class without a table")
        widths = self.low[self.cls] + (1 if pair else 0)
        self.n_streams = min(n_rows, 2)
        self.read([(payload, where) for _, _, payload, where in jobs], widths)

    def read(self, payloads, widths):
        n = len(payloads)
        step = 2 * LANES if self.pair else LANES
        short = min(self.n_cols, step)
        lanes = (short + 1) // 2 if self.pair else short
        self.x = np.full((n, 2, LANES), LOWEST, np.int64)
        self.fields = np.zeros((n, self.n_rows, -(-self.n_cols // 64) * 64), np.int64)
        code, escapes = [], []
        for i, (payload, where) in enumerate(payloads):
            r = Reader(payload, where)
            for s in range(self.n_streams):
                high, low = (np.frombuffer(r.take(lanes), np.uint8).astype(int) for _ in "hl")
                self.x[i, s, :lanes] = high << 8 | low
            expect((self.x[i] >= LOWEST).all(), where, "has a first state below 256")
            sizes = [r.u32() for _ in range(self.n_streams)]
            n_escapes = [r.u32() for _ in range(self.n_streams - 1)]
            code.append([r.take(size) for size in sizes])
            for row in range(self.n_rows):
                size = self.fields.shape[2] // 8 * widths[i, row]
                raw = np.frombuffer(r.take(size), np.uint8).reshape(1, -1)
                self.fields[i, row] = read_fields(raw, self.n_cols, widths[i, row])
            n_escapes.append(len(payload) - r.at - sum(n_escapes))
            expect(n_escapes[-1] >= 0, where, "ends within its escapes")
            escapes.append([r.take(size) for size in n_escapes])
            expect(b"\x80" not in b"".join(escapes[-1]), where, "escapes -128")
        self.code, self.escapes = self.table(code), self.table(escapes)

    def table(self, parts):
        """Bytes as blocks x streams x most bytes, how many there are, and how many are taken."""
        sizes = np.array([[len(p) for p in streams] for streams in parts])
        data = np.zeros(sizes.shape + (sizes.max() + 2 * LANES,), np.int64)
        for i, streams in enumerate(parts):
            for s, p in enumerate(streams):
                data[i, s, :len(p)] = np.frombuffer(p, np.uint8)
        return data, sizes, np.zeros_like(sizes)

    def take(self, source, stream, wanted):
        """A byte for each lane wanted, in ascending order of lane; 0 for the others."""
        data, sizes, taken = source
        at = taken[:, stream][:, None] + np.cumsum(wanted, 1) - wanted
        taken[:, stream] += wanted.sum(1)
        expect((taken <= sizes).all(), "a block ends within its bytes")
        got = np.take_along_axis(data[:, stream], np.minimum(at, data.shape[2] - 1), 1)
        return np.where(wanted, got, 0)

    def entries(self, cls, stream, n):
        """A step of n lanes."""
        x = self.x[:, stream, :n]
        slot = x & 255
        entry, rank = self.entry[cls, slot], self.rank[cls, slot]
        x = self.freq[cls, entry] * (x >> 8) + rank
        low = x < LOWEST
        self.x[:, stream, :n] = np.where(low, x << 8 | self.take(self.code, stream, low), x)
        return entry

    def weights(self, cls, stream, entry, which, field):
        """The first or second weights of entries."""
        low = self.low[cls]
        if self.pair:
            sign = 1 << low
            value = (entry >> 2 * which & 3) << low ^ (field ^ sign) - sign
        else:
            value = self.base[cls] + (entry << low) + field - 128
        wanted = self.escape[cls] & (entry == ESCAPE)
        escaped = self.take(self.escapes, stream, wanted)
        return np.where(wanted, (escaped ^ 128) - 128, value)

    def decode(self):
        out = np.zeros((len(self.x), self.n_rows, self.n_cols), np.int64)
        for row in range(self.n_rows):
            cls, stream, fields = self.cls[:, row][:, None], row % 2, self.fields[:, row]
            for at in range(0, self.n_cols, 2 * LANES if self.pair else LANES):
                here = min(self.n_cols - at, 2 * LANES if self.pair else LANES)
                n = (here + 1) // 2 if self.pair else here
                entry = self.entries(cls, stream, n)
                out[:, row, at:at + n] = self.weights(cls, stream, entry, 0, fields[:, at:at + n])
                if self.pair:
                    field = fields[:, at + n:at + 2 * n]
                    second = self.weights(cls, stream, entry, 1, field)
                    out[:, row, at + n:at + here] = second[:, :here - n]
        expect((self.x == LOWEST).all(), "a block's last states are not 256")
        for name, (_, sizes, taken) in (("code", self.code), ("escape", self.escapes)):
            expect((taken == sizes).all(), "a block has", name, "bytes left over")
        expect((np.abs(out) <= 127).all(), "a block has a symbol of -128")
        return out.astype(np.int16)
