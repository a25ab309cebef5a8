#!/usr/bin/python3
"""A second reader of .rusk files, written from docs/format/ alone and plain before fast.

    refdecode.py FILE.rusk [--list] [--check] [--tokens] [--tensor NAME [--symbols] [--out X.npy]]

--list prints the sections and tensors (also what happens without any option). --check verifies
every checksum, decodes every tensor and the vocabulary and says what it found. --tensor decodes
one: as f32 weights, or, with --symbols, as whole numbers before offset and scale; --out stores them
as a NumPy array. --tokens prints the vocabulary as a JSON object; a character of a string there
stands for a byte (Latin-1), a merge for the ids of its two tokens. A file that breaks the
specification: a message on stderr and exit status 1.

Needs Debian's python3-numpy and python3-xxhash. tests/format/test_refdecode.py runs it against what
the library wrote.
"""
import argparse
import json
import struct
import sys

import numpy as np

from refdecode_a16 import A16, A16Pairs, A16Rest
from refdecode_reader import Malformed, Reader, classes_of, expect, hash64, read_fields
import refdecode_tokn

PAGE, OVERREAD = 4096, 64
MAX_SECTIONS, MAX_META, MAX_TENSORS, MAX_DIMS = 64, 65536, 65536, 4
MAX_BYTES = {"HEAD": 1 << 24, "TNSR": 1 << 25, "BLKS": 1 << 28, "TBLS": 1 << 26, "SIDE": 1 << 28,
             "TOKN": 1 << 26, "CHAT": 1 << 20}
MAX_KEY, MAX_NOTE, MAX_EXTRA = 65535, 4095, 65535
MAX_ROLES, MAX_CODEC, MAX_QUANTIZER = 127, 15, 31
MAX_COLS, MAX_ROWS, MAX_BLOCK_SYMBOLS, MAX_EXTENT = 1 << 24, 1 << 31, 1 << 24, 1 << 27
F32, SYM8 = 0, 1000
SOURCE_TYPES = {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0",
                10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 20: "IQ4_NL",
                23: "IQ4_XS", 30: "BF16", 1000: "SYM8"}
META = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<B", 10: "<Q",
        11: "<q", 12: "<d"}
BOOL, STRING, ARRAY = 7, 8, 9
ID_BYTES = b"abcdefghijklmnopqrstuvwxyz0123456789_-."


# --- the container (container.md) ---------------------------------------------------------------


class Tensor:
    """An entry of TNSR, with its rows' scales and classes; blocks are (offset, bytes, hash)."""

    def __init__(self, r):
        self.name = r.text(MAX_KEY, word=True).decode("utf-8", "backslashreplace")
        self.roles = r.text(MAX_ROLES, ident=ID_BYTES + b",").decode()
        self.codec = r.text(MAX_CODEC, ident=ID_BYTES).decode()
        self.quantizer = r.text(MAX_QUANTIZER, ident=ID_BYTES).decode()
        expect(self.name, "a tensor without a name")
        expect(self.roles == "" or all(self.roles.split(",")), self.name, "has an empty role")
        expect(r.u8() == 0, self.name, "has flags: it needs a newer reader")
        n_dims = r.u8()
        expect(1 <= n_dims <= MAX_DIMS, self.name, "has", n_dims, "dimensions")
        self.shape = tuple(r.varint() for _ in range(n_dims))
        self.cols, self.rows = self.shape[-1], 1
        for size in self.shape[:-1]:
            self.rows *= size
        expect(1 <= self.cols <= MAX_COLS and 1 <= self.rows <= MAX_ROWS,
               self.name, "has shape", self.shape)
        self.type, self.source_type = r.varint(), r.varint()
        expect(self.type in (F32, SYM8), self.name, "has type", self.type)
        expect(self.source_type in SOURCE_TYPES,
               self.name, "has source type", self.source_type)
        self.coded = self.type == SYM8
        expect(self.codec != "" and (self.codec == "none") != self.coded,
               self.name, "has codec", self.codec)
        expect(self.coded or self.quantizer == "", self.name, "has a quantizer, but no symbols")
        self.block_rows, self.table = self.rows, 0
        if self.coded:
            self.offset, self.unit = r.number("<f"), r.number("<f")
            self.block_rows, self.table = r.varint(), r.varint()
            expect(-1 <= self.offset <= 1, self.name, "has symbol offset", self.offset)
            expect(np.isfinite(self.unit) and self.unit > 0,
                   self.name, "has scale unit", self.unit)
            expect(1 <= self.block_rows <= self.rows,
                   self.name, "has blocks of", self.block_rows, "rows")
            expect(self.block_rows * self.cols <= MAX_BLOCK_SYMBOLS,
                   self.name, "has blocks too large")
        n_extra = r.varint()
        expect(n_extra <= MAX_EXTRA, self.name, "has too many extra bytes")
        r.take(n_extra)
        self.blocks, self.table_bytes = [], b""
        self.n_blocks = -(-self.rows // self.block_rows) if self.coded else 0

    def read_side(self, side):
        """Takes this tensor's part of SIDE."""
        if not self.coded:
            raw = side.take(4 * self.rows * self.cols)
            self.values = np.frombuffer(raw, "<f4").reshape(self.shape)
            return
        halves = np.frombuffer(side.take(2 * self.rows), "<f2").astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            self.scales = halves * np.float32(self.unit)
        expect(np.isfinite(self.scales).all(), self.name, "has a scale that is not finite")
        nibbles = np.frombuffer(side.take((self.rows + 1) // 2), np.uint8)
        self.classes = np.stack([nibbles & 15, nibbles >> 4], 1).reshape(-1)
        expect(not self.classes[self.rows:].any(), self.name, "has a class beyond its last row")
        self.classes = self.classes[:self.rows]

    def block_classes(self, b):
        return self.classes[b * self.block_rows:(b + 1) * self.block_rows]

    def coded_bytes(self):
        if not self.coded:
            return 4 * self.rows * self.cols
        side = 2 * self.rows + (self.rows + 1) // 2
        return sum(n + 12 for _, n, _ in self.blocks) + side + len(self.table_bytes)


class Container:
    def __init__(self, path):
        self.path = path
        self.map = np.memmap(path, np.uint8, "r") if self.size_of(path) else np.zeros(0, np.uint8)
        self.read_table()
        self.read_head()
        self.read_tensors()
        self.read_blocks()
        self.read_tables()
        self.read_side()

    @staticmethod
    def size_of(path):
        with open(path, "rb") as f:
            return f.seek(0, 2)

    def bytes(self, offset, n):
        expect(offset + n <= len(self.map), "the file is truncated: it ends at", len(self.map))
        return self.map[offset:offset + n].tobytes()

    def read_table(self):
        top = self.bytes(0, 64)
        expect(top[:8] == b"RUSK\r\n\x1a\n", "the magic is not that of a .rusk file")
        version, flags, at, n = struct.unpack("<IIQQ", top[8:32])
        expect(version <= 1, "made by a newer rusk: version", version)
        expect(hash64(top[:56]) == struct.unpack("<Q", top[56:])[0], "the superblock is damaged")
        expect(version == 1 and flags == 0 and top[40:56] == bytes(16),
               "the superblock has unknown fields")
        expect(n % 32 == 0 and n // 32 <= MAX_SECTIONS, "the section table has", n, "bytes")
        expect(at >= 64 and at + n <= len(self.map),
               "the file is truncated: its section table is missing")
        expect(at + n == len(self.map), "the section table is not the last thing in the file")
        table = self.bytes(at, n)
        expect(hash64(table) == struct.unpack("<Q", top[32:40])[0], "the section table is damaged")
        self.sections, least = {}, 64
        for i in range(0, n, 32):
            tag, flags, start, size, digest = struct.unpack("<4sIQQQ", table[i:i + 32])
            tag = tag.decode("latin-1")
            expect(tag not in self.sections, "section", tag, "stands twice")
            expect(flags <= 1, "section", tag, "has flags", flags)
            expect(start >= least and start + size <= at, "section", tag, "overlaps another")
            known = tag in MAX_BYTES or tag == "DATA"
            expect(known or flags == 0,
                   "section", repr(tag), "is critical: it needs a newer reader")
            expect(tag not in MAX_BYTES or size <= MAX_BYTES[tag], "section", tag, "is too long")
            least = start + size
            self.sections[tag] = (start, size, digest)
        expect("HEAD" in self.sections and "TNSR" in self.sections, "HEAD or TNSR is missing")
        start, size, _ = self.sections.get("DATA", (0, 0, 0))
        expect(start % PAGE == 0 and size % PAGE == 0, "DATA does not consist of pages")

    def section(self, tag):
        """A reader over a section, its checksum verified; an absent one is empty."""
        start, size, digest = self.sections.get(tag, (0, 0, hash64(b"")))
        data = self.bytes(start, size)
        expect(hash64(data) == digest, "section", tag, "is damaged")
        return Reader(data, tag)

    def read_head(self):
        r = self.section("HEAD")
        self.source_bytes, self.source_hash = r.number("<Q"), r.take(16)
        self.tool, self.options = r.text(MAX_NOTE), r.text(MAX_NOTE)
        n = r.varint()
        expect(n <= MAX_META, "HEAD has", n, "metadata entries")
        self.meta = {}
        for _ in range(n):
            key = r.text(MAX_KEY, word=True)
            expect(key and key not in self.meta, "metadata key", key, "is empty or stands twice")
            kind = r.u8()
            if kind == ARRAY:
                kind, n_elements = r.u8(), r.varint()
                expect(kind != ARRAY and n_elements <= len(r.data), "metadata array", key)
                self.meta[key] = [self.read_value(r, kind) for _ in range(n_elements)]
            else:
                self.meta[key] = self.read_value(r, kind)
                expect(kind != BOOL or self.meta[key] < 2, "metadata", key, "is no BOOL")
        r.end()

    @staticmethod
    def read_value(r, kind):
        expect(kind == STRING or kind in META, "metadata type", kind)
        return r.text(len(r.data)) if kind == STRING else r.number(META[kind])

    def read_tensors(self):
        r = self.section("TNSR")
        n = r.u32()
        expect(n <= MAX_TENSORS, "TNSR has", n, "tensors")
        self.tensors = []
        for _ in range(n):
            self.tensors.append(Tensor(r))
        r.end()
        self.by_name = {t.name: t for t in self.tensors}
        expect(len(self.by_name) == n, "two tensors have one name")

    def read_blocks(self):
        r = self.section("BLKS")
        n_extents, n_blocks = (r.u32(), r.u32()) if r.data else (0, 0)
        expected = sum(t.n_blocks for t in self.tensors)
        expect(n_blocks == expected, "BLKS has", n_blocks, "blocks,", expected, "expected")
        extents = [struct.unpack("<QII", r.take(16)) for _ in range(n_extents)]
        index = [struct.unpack("<IQ", r.take(12)) for _ in range(n_blocks)]
        r.end()
        data, size, _ = self.sections.get("DATA", (0, 0, 0))
        least, blocks, first = data, [], 0
        for offset, block_bytes, n in extents:
            room = -(-(block_bytes + OVERREAD) // PAGE) * PAGE
            expect(block_bytes <= MAX_EXTENT and n > 0,
                   "extent at", offset, "has", block_bytes, "bytes")
            expect(offset % PAGE == 0 and offset >= least and offset + room <= data + size,
                   "extent at", offset, "is not on pages of its own in DATA")
            expect(first + n <= n_blocks, "extents hold more blocks than there are")
            least = offset + room
            starts = [start for start, _ in index[first:first + n]] + [block_bytes]
            expect(starts[0] == 0 and all(a <= b for a, b in zip(starts, starts[1:])),
                   "extent at", offset, "has block offsets out of order")
            for i in range(n):
                blocks.append((offset + starts[i], starts[i + 1] - starts[i], index[first + i][1]))
            first += n
        expect(first == n_blocks, "extents hold fewer blocks than there are")
        self.extents = extents
        first = 0
        for t in self.tensors:
            t.blocks = blocks[first:first + t.n_blocks]
            first += t.n_blocks

    def read_tables(self):
        r = self.section("TBLS")
        n = r.u32() if r.data else 0
        expect(n <= len(r.data), "TBLS has", n, "tables")
        lengths = [r.u32() for _ in range(n)]
        tables = [r.take(length) for length in lengths]
        r.end()
        for t in self.tensors:
            expect(t.table <= n, t.name, "names table", t.table, "of", n)
            t.table_bytes = tables[t.table - 1] if t.table else b""

    def read_side(self):
        r = self.section("SIDE")
        for t in self.tensors:
            t.read_side(r)
        r.end()

    def vocabulary(self):
        """The vocabulary, or None in a file that has none."""
        r = self.section("TOKN")
        return refdecode_tokn.Vocabulary(r.data) if r.data else None

    def block(self, t, b):
        offset, n, digest = t.blocks[b]
        data = self.bytes(offset, n)
        expect(hash64(data) == digest, f"tensor {t.name}, block {b} at {offset} is damaged")
        return data

    def symbols(self, t):
        """True values of a SYM8 tensor before offset and scale: rows x cols, int32."""
        return next(decode_tensors(self, [t]))[1]

    def weights(self, t):
        if not t.coded:
            return t.values
        return to_weights(t, self.symbols(t))


def to_weights(t, symbols):
    shifted = symbols.astype(np.float32) + np.float32(t.offset)
    return (shifted * t.scales[:, None]).reshape(t.shape)


# --- codecs (codecs.md) -------------------------------------------------------------------------


def read_patches(data, n_symbols, where):
    """The patch list at a block's start: positions, deltas, and where the payload starts."""
    r = Reader(data, where)
    n = r.varint()
    expect(n <= n_symbols and 2 * n <= len(data) - r.at, where, "has", n, "patches")
    positions, deltas, position = [], [], -1
    for _ in range(n):
        position += 1 + r.varint()
        coded = r.varint()
        delta = (coded >> 1) ^ -(coded & 1)
        expect(position < n_symbols, where, "has a patch at", position)
        expect(delta != 0 and abs(delta) <= 1 << 23, where, "has a patch of", delta)
        positions.append(position)
        deltas.append(delta)
    return positions, deltas, r.at


class Raw:
    def __init__(self, blob):
        r = Reader(blob, "raw table")
        self.tables = {}
        for c in classes_of(r):
            width, lowest = r.u8(), r.u8()
            expect(1 <= width <= 8 and lowest + (1 << width) <= 256,
                   "raw table: width", width, "lowest", lowest)
            expect(lowest > 0 or width == 8, "raw table: lowest 0")
            self.tables[c] = (width, lowest)
        r.end()

    @staticmethod
    def decode(jobs, n_rows, n_cols):
        out = np.zeros((len(jobs), n_rows, n_cols), np.int16)
        for job, (codec, classes, payload, where) in enumerate(jobs):
            for c in set(classes.tolist()):
                expect(c in codec.tables, where, "has a row of class", c, "without a table")
            widths = np.array([codec.tables[c][0] for c in classes.tolist()])
            sizes = -(-n_cols // 64) * 8 * widths
            expect(len(payload) == sizes.sum(), where, "has", len(payload), "bytes")
            data, starts = np.frombuffer(payload, np.uint8), np.cumsum(sizes) - sizes
            for c in set(classes.tolist()):
                width, lowest = codec.tables[c]
                rows = np.flatnonzero(classes == c)
                size = sizes[rows[0]]
                codes = read_fields(data[starts[rows][:, None] + np.arange(size)], n_cols, width)
                expect(not codes[:, n_cols:].any(), where, "has fill bits that are not zero")
                indexes = codes[:, :n_cols] + lowest
                expect((indexes > 0).all(), where, "has a symbol of -128")
                out[job, rows] = indexes - 128
        return out


class Rans:
    def __init__(self, blob):
        r = Reader(blob, "rans table")
        self.known = np.zeros(16, bool)
        self.slots, self.freq = np.zeros((16, 4096), np.int64), np.zeros((16, 256), np.int64)
        for c in classes_of(r):
            first, last = r.u8(), r.u8()
            expect(1 <= first < last, "rans table: indexes", first, "to", last)
            self.freq[c, first:last + 1] = self.read_frequencies(r, last - first + 1)
            expect(self.freq[c].sum() == 4096 and self.freq[c, first] and self.freq[c, last],
                   "rans table: frequencies do not fit")
            self.slots[c] = np.repeat(np.arange(256), self.freq[c])
            self.known[c] = True
        r.end()
        self.start = np.cumsum(self.freq, 1) - self.freq

    @staticmethod
    def read_frequencies(r, n):
        position = [8 * r.at]

        def bit():
            byte = position[0] // 8
            expect(byte < len(r.data), "rans table ends within its frequencies")
            value = r.data[byte] >> position[0] % 8 & 1
            position[0] += 1
            return value

        frequencies, length = [], 1
        for _ in range(n):
            ones = 0
            while bit():
                ones += 1
            length += (ones + 1) // 2 if ones % 2 else -(ones // 2)
            expect(0 <= length <= 12, "rans table: a frequency of", length, "bits")
            value = 1 if length else 0
            low = sum(bit() << i for i in range(length - 1)) if length > 1 else 0
            frequencies.append((value << max(length - 1, 0)) | low)
        while position[0] % 8:
            expect(bit() == 0, "rans table: fill bits are not zero")
        r.at = position[0] // 8
        return frequencies

    @staticmethod
    def decode(jobs, n_rows, n_cols):
        """All blocks step by step in lock step; arrays are blocks x lanes."""
        lanes, n = min(32, n_cols), len(jobs)
        tables = list({id(codec): codec for codec, _, _, _ in jobs}.values())
        number = {id(codec): i for i, codec in enumerate(tables)}
        which = np.array([number[id(codec)] for codec, _, _, _ in jobs])
        classes = np.stack([c for _, c, _, _ in jobs]).astype(np.int64)
        known = np.stack([t.known for t in tables])[which[:, None], classes]
        expect(known.all(), "a row has a class without a table")
        table_row = which[:, None] * 16 + classes
        slots = np.concatenate([t.slots for t in tables])
        freq = np.concatenate([t.freq for t in tables])
        start = np.concatenate([t.start for t in tables])

        n_words = np.array([len(p) // 2 for _, _, p, _ in jobs])
        words = np.zeros((n, max(n_words.max(), lanes) + 1), np.int64)
        for i, (_, _, payload, where) in enumerate(jobs):
            expect(len(payload) % 2 == 0 and n_words[i] >= lanes,
                   where, "has", len(payload), "bytes")
            words[i, :n_words[i]] = np.frombuffer(payload, "<u2")
        position = np.full(n, lanes)
        block = np.arange(n)[:, None]

        def refill(x):
            low = x < 16384
            if low.any():
                take = position[:, None] + np.cumsum(low, 1) - low
                position[:] += low.sum(1)
                expect((position <= n_words).all(), "a block ends within its words")
                x = np.where(low, x << 16 | words[block, np.minimum(take, words.shape[1] - 1)], x)
            return x

        x = refill(words[:, :lanes])
        out = np.zeros((n, n_rows, n_cols), np.int16)
        for row in range(n_rows):
            of_row = table_row[:, row][:, None]
            for col in range(0, n_cols, lanes):
                width = min(lanes, n_cols - col)
                now = x[:, :width]
                slot = now & 4095
                index = slots[of_row, slot]
                out[:, row, col:col + width] = index - 128
                now = freq[of_row, index] * (now >> 12) + slot - start[of_row, index]
                x[:, :width] = refill(now)
        expect((x == 16384).all(), "a block's last states are not 16384")
        expect((position == n_words).all(), "a block has words left over")
        return out


CODECS = {"raw": Raw, "rans": Rans, "a16": A16, "a16r": A16Rest, "a16x2": A16Pairs}
BATCH_SYMBOLS = 1 << 25  # blocks of one shape are decoded together, up to so many symbols


def decode_batch(container, batch):
    """Symbols of the tensors of a batch, which may have several codecs and shapes of blocks."""
    opened, groups = {}, {}
    results = [np.zeros((t.rows, t.cols), np.int32) for t in batch]
    for i, t in enumerate(batch):
        expect(t.codec in CODECS,
               t.name, "has a codec that this reader does not know:", t.codec)
        key = (t.codec, t.table_bytes)
        if key not in opened:
            opened[key] = CODECS[t.codec](t.table_bytes)
        for b in range(t.n_blocks):
            where = f"tensor {t.name}, block {b}"
            data, classes = container.block(t, b), t.block_classes(b)
            positions, deltas, at = read_patches(data, len(classes) * t.cols, where)
            job = (opened[key], classes, data[at:], where)
            group = groups.setdefault((t.codec, len(classes), t.cols), [])
            group.append((job, i, b, positions, deltas))
    for (codec, n_rows, n_cols), jobs in groups.items():
        blocks = CODECS[codec].decode([job for job, *_ in jobs], n_rows, n_cols)
        for block, (_, i, b, positions, deltas) in zip(blocks, jobs):
            part = results[i][b * batch[i].block_rows:][:n_rows]
            part[:] = block
            part.reshape(-1)[positions] += np.array(deltas, np.int32)
    return zip(batch, results)


def decode_tensors(container, tensors):
    """Yields (tensor, symbols) for SYM8 tensors, many at a time."""
    batch, n = [], 0
    for t in tensors:
        if batch and n + t.rows * t.cols > BATCH_SYMBOLS:
            yield from decode_batch(container, batch)
            batch, n = [], 0
        batch.append(t)
        n += t.rows * t.cols
    yield from decode_batch(container, batch)


# --- the program --------------------------------------------------------------------------------


def print_list(c):
    tool, options = (text.decode("utf-8", "replace") for text in (c.tool, c.options))
    print(f"source of {c.source_bytes} bytes, XXH3-128 {c.source_hash.hex()}; by {tool} {options}")
    for tag, (start, size, _) in c.sections.items():
        print(f"section {tag} at {start}, {size} bytes")
    n_blocks = sum(t.n_blocks for t in c.tensors)
    print(f"{len(c.meta)} metadata entries, {len(c.extents)} extents, {n_blocks} blocks")
    for t in c.tensors:
        n = t.coded_bytes()
        shape = "x".join(map(str, t.shape))
        print(f"{t.name}  {t.roles}  {shape}  {'SYM8' if t.coded else 'F32'} "
              f"from {SOURCE_TYPES[t.source_type]}  {t.codec}  {t.n_blocks} blocks  {n} bytes  "
              f"{8 * n / (t.rows * t.cols):.3f} bits/weight")


def check(c):
    for tag in c.sections:
        if tag != "DATA":
            c.section(tag)
    unknown = sorted({t.codec for t in c.tensors if t.coded and t.codec not in CODECS})
    n_weights = 0
    for t in c.tensors:
        if t.codec in unknown:
            for b in range(t.n_blocks):
                c.block(t, b)
    known = [t for t in c.tensors if t.coded and t.codec in CODECS]
    for t, symbols in decode_tensors(c, known):
        expect(np.isfinite(to_weights(t, symbols)).all(),
               t.name, "has a weight that is not finite")
        n_weights += symbols.size
    n_blocks = sum(t.n_blocks for t in c.tensors)
    print(f"{len(c.tensors)} tensors, {n_blocks} blocks: checksums match, "
          f"{n_weights} symbols decoded")
    v = c.vocabulary()
    if v is not None:
        print(f"{len(v.tokens)} tokens, {len(v.merges)} merges, model {v.model}")
    expect(not unknown, "codecs that this reader does not know:", ", ".join(unknown))


def main(arguments=None):
    parser = argparse.ArgumentParser(description="A second reader of .rusk files.")
    parser.add_argument("file")
    parser.add_argument("--list", action="store_true", help="print sections and tensors")
    parser.add_argument("--check", action="store_true", help="verify checksums, decode everything")
    parser.add_argument("--tokens", action="store_true", help="print the vocabulary as JSON")
    parser.add_argument("--tensor", help="decode one tensor")
    parser.add_argument("--symbols", action="store_true", help="whole numbers instead of weights")
    parser.add_argument("--out", help="store the tensor as FILE.npy")
    args = parser.parse_args(arguments)
    try:
        c = Container(args.file)
        if args.list or not (args.check or args.tokens or args.tensor):
            print_list(c)
        if args.check:
            check(c)
        if args.tokens:
            v = c.vocabulary()
            expect(v is not None, "no vocabulary")
            print(json.dumps(v.as_json()))
        if args.tensor is not None:
            expect(args.tensor in c.by_name, "no tensor", args.tensor)
            t = c.by_name[args.tensor]
            expect(t.coded or not args.symbols, t.name, "has no symbols")
            values = c.symbols(t) if args.symbols else c.weights(t)
            if args.out:
                np.save(args.out, values)
            else:
                print(values)
    except (Malformed, OSError) as error:
        print(f"{args.file}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
