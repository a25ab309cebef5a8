"""The TOKN section of a .rusk file, read as docs/format/tokn.md says: a part of refdecode.py."""
import struct
import zlib

import numpy as np

from refdecode_reader import Reader, expect

HEADER = struct.Struct("<4I5iI16s32sI")
MAX_TOKENS, MAX_TOKEN, MAX_STRINGS = 1 << 20, 65535, 1 << 26
MAX_MERGED, MAX_BODY, MAX_RATIO = 1 << 28, 1 << 26, 1032
SCORES, ADD_BOS, ADD_EOS, ADD_SPACE_PREFIX = 1, 2, 4, 8
IDS = ("bos", "eos", "eot", "unknown", "padding")
MAX_TYPE = 6


def padded(field, what):
    """A name that zero bytes fill up, at least one."""
    name = field.rstrip(b"\0")
    expect(len(name) < len(field) and 0 not in name,
           "TOKN:", what, field, "is not a name and then zeros")
    return name


def planes(r, n_planes, n):
    """n numbers, whose bytes stand plane by plane, low byte first."""
    return sum(np.frombuffer(r.take(n), np.uint8).astype(np.uint32) << 8 * k
               for k in range(n_planes))


class Vocabulary:
    """tokens are bytes; types, score_bits (None without) and merges (two columns) are arrays."""

    def __init__(self, data):
        expect(len(data) >= HEADER.size, "TOKN has", len(data), "bytes, less than its header")
        version, n, n_merges, flags, *rest = HEADER.unpack(data[:HEADER.size])
        expect(version == 1, "TOKN has version", version)
        expect(1 <= n <= MAX_TOKENS, "TOKN has", n, "tokens")
        expect(n_merges <= MAX_TOKENS, "TOKN has", n_merges, "merges")
        expect(flags < 16, "TOKN has flags", flags)
        self.ids = dict(zip(IDS, rest))
        for name, token in self.ids.items():
            expect(-1 <= token < n, "TOKN:", name, "is token", token, "of", n)
        self.add_bos, self.add_eos = bool(flags & ADD_BOS), bool(flags & ADD_EOS)
        self.add_space_prefix = bool(flags & ADD_SPACE_PREFIX)
        expect(not self.add_bos or self.ids["bos"] >= 0, "TOKN: add_bos without a bos")
        expect(not self.add_eos or self.ids["eos"] >= 0, "TOKN: add_eos without an eos")
        reserved, model, pre, body_bytes = rest[len(IDS):]
        expect(reserved == 0, "TOKN: reserved is", reserved)
        self.model, self.pre = padded(model, "model").decode("latin-1"), padded(pre, "pre")
        expect(self.model in ("gpt2", "llama"), "TOKN has model", self.model)
        least = n + 4 * n * (flags & SCORES) + 6 * n_merges
        self.read_body(inflate(data[HEADER.size:], body_bytes, least), n, n_merges, flags & SCORES)

    def read_body(self, body, n, n_merges, has_scores):
        r = Reader(body, "the body of TOKN")
        self.types = np.frombuffer(r.take(n), np.uint8)
        expect(self.types.max() <= MAX_TYPE, "TOKN has token type", self.types.max())
        self.score_bits = None
        if has_scores:
            self.score_bits = np.cumsum(planes(r, 4, n), dtype=np.uint32)
        self.merges = np.stack([planes(r, 3, n_merges), planes(r, 3, n_merges)], 1)
        expect((self.merges < n).all(), "TOKN has a merge of tokens that are not there")
        merges = self.merges.tolist()
        makers = read_runs(r, n, n_merges)
        lengths = read_lengths(r, makers, merges)
        merged = sum(lengths[left] + lengths[right] for left, right in merges)
        expect(merged <= MAX_MERGED, "TOKN has merges that make", merged, "bytes")
        self.tokens = []
        for maker, length in zip(makers, lengths):
            self.tokens.append(r.take(length) if maker is None else
                               b"".join(self.tokens[part] for part in merges[maker]))
        r.end()
        filled = [token for token in self.tokens if token]
        known = set(filled)
        expect(len(known) == len(filled), "TOKN has two tokens with one string")
        for i, (left, right) in enumerate(merges):
            expect(self.tokens[left] + self.tokens[right] in known,
                   "TOKN: merge", i, "makes no token")

    def as_json(self):
        scores = None if self.score_bits is None else self.score_bits.view(np.float32).tolist()
        return {"model": self.model, "pre": self.pre.decode("latin-1"), **self.ids,
                "add_bos": self.add_bos, "add_eos": self.add_eos,
                "add_space_prefix": self.add_space_prefix,
                "tokens": [token.decode("latin-1") for token in self.tokens],
                "types": self.types.tolist(), "scores": scores, "merges": self.merges.tolist()}


def inflate(stream, body_bytes, least):
    expect(least <= body_bytes <= min(MAX_BODY, MAX_RATIO * len(stream)),
           "TOKN has a body of", body_bytes, "bytes")
    inflater = zlib.decompressobj()
    try:
        body = inflater.decompress(stream, body_bytes + 1)
    except zlib.error as error:
        expect(False, "TOKN is no zlib stream:", error)
    expect(len(body) == body_bytes, "the body of TOKN has not the", body_bytes, "bytes announced")
    expect(inflater.eof and not inflater.unused_data,
           "the zlib stream of TOKN does not end where the section ends")
    return body


def read_runs(r, n, n_merges):
    """For each token the merge that makes it, None where it is stored."""
    makers, at = [None] * n, 0
    for _ in range(r.varint()):
        gap, merge, length = r.varint(), r.varint(), r.varint()
        expect(length >= 1 and at + gap + length <= n and merge + length <= n_merges,
               "TOKN has a run of", length, "tokens from", at + gap, "by merges from", merge)
        at += gap
        makers[at:at + length] = range(merge, merge + length)
        at += length
    return makers


def read_lengths(r, makers, merges):
    """Each token's length; a made one's from its parts, so that nothing is built beyond a limit."""
    stored = [r.varint() if maker is None else None for maker in makers]
    lengths, total = [], 0
    for token, (maker, length) in enumerate(zip(makers, stored)):
        if maker is not None:
            expect(max(merges[maker]) < token, "TOKN: token", token, "is made of higher ids")
            length = sum(lengths[part] for part in merges[maker])
        expect(length <= MAX_TOKEN, "TOKN: token", token, "has", length, "bytes")
        lengths.append(length)
        total += length + 1
        expect(total <= MAX_STRINGS, "TOKN has strings of more than", MAX_STRINGS, "bytes")
    return lengths
