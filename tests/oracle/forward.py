"""A second forward pass, in NumPy and double precision, from the papers' formulas.

It shares nothing with the C code: it reads the GGUF file itself (header, metadata, F32 and Q8_0
tensors) and computes the logits of every position of a token sequence at once, without a cache.

    python3 forward.py MODEL.gguf 1,2,3    # prints the five best tokens of each position

Sources: Vaswani et al. 2017 (attention); Zhang and Sennrich 2019 (RMS norm); Shazeer 2020 (gated
feed-forward); Su et al. 2021 (RoPE); Ainslie et al. 2023 (grouped heads); Touvron et al. 2023
(Llama); Yang et al. 2024 (Qwen2); Gemma Team 2025 (Gemma 3).
"""
import struct
import sys

import numpy as np

# --- GGUF --------------------------------------------------------------------------------------

SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?",
           10: "<Q", 11: "<q", 12: "<d"}


class Gguf:
    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = f.read()
        self.pos = 0
        if self.take(4) != b"GGUF":
            raise ValueError("not a GGUF file")
        self.number("<I")  # version
        n_tensors, n_meta = self.number("<Q"), self.number("<Q")
        self.meta = {}
        for _ in range(n_meta):
            key = self.text()
            self.meta[key] = self.value(self.number("<I"))
        entries = []
        for _ in range(n_tensors):
            name = self.text()
            shape = [self.number("<Q") for _ in range(self.number("<I"))]
            entries.append((name, shape[::-1], self.number("<I"), self.number("<Q")))
        align = self.meta.get("general.alignment", 32)
        base = (self.pos + align - 1) // align * align
        self.tensors = {name: self.tensor(shape, kind, base + offset)
                        for name, shape, kind, offset in entries}

    def take(self, n):
        piece = self.data[self.pos:self.pos + n]
        self.pos += n
        return piece

    def number(self, fmt):
        return struct.unpack(fmt, self.take(struct.calcsize(fmt)))[0]

    def text(self):
        return self.take(self.number("<Q")).decode("utf-8", "replace")

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind == 9:
            kind, n = self.number("<I"), self.number("<Q")
            return [self.value(kind) for _ in range(n)]
        return self.number(SCALARS[kind])

    def tensor(self, shape, kind, start):
        n = int(np.prod(shape))
        if kind == 0:  # F32
            flat = np.frombuffer(self.data, "<f4", n, start)
        elif kind == 8:  # Q8_0: blocks of an f16 scale and 32 int8
            blocks = np.frombuffer(self.data, np.dtype([("d", "<f2"), ("q", "i1", 32)]),
                                   n // 32, start)
            flat = (blocks["d"].astype(np.float64)[:, None] * blocks["q"]).reshape(-1)
        else:
            raise ValueError("tensor type %d" % kind)
        return flat.astype(np.float64).reshape(shape)


# --- the model ---------------------------------------------------------------------------------

class Model:
    def __init__(self, path, f16_cache=False):
        """f16_cache: keys and values are rounded to half precision, as a cache of halves does."""
        file = Gguf(path)
        self.f16_cache = f16_cache
        self.w = file.tensors
        self.arch = file.meta["general.architecture"]
        self.meta = file.meta
        self.layers = self.key("block_count")
        self.width = self.key("embedding_length")
        self.heads = self.key("attention.head_count")
        self.kv_heads = self.key("attention.head_count_kv", self.heads)
        self.head_dim = self.key("attention.key_length", self.width // self.heads)
        self.eps = self.key("attention.layer_norm_rms_epsilon")

    def key(self, name, fallback=None):
        return self.meta.get("%s.%s" % (self.arch, name), fallback)

    def norm(self, x, name):
        return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + self.eps) * self.w[name]

    def linear(self, x, name):
        y = x @ self.w[name + ".weight"].T
        return y + self.w[name + ".bias"] if name + ".bias" in self.w else y

    def local(self, layer):
        """Whether a layer of Gemma 3 sees a window only: five of six do."""
        pattern = self.key("attention.sliding_window_pattern", 6)
        return self.key("attention.sliding_window", 0) > 0 and (layer + 1) % pattern != 0

    def rotate(self, x, layer):
        """RoPE of x[position, head, dim]."""
        dims = self.key("rope.dimension_count", self.head_dim)
        base, stretch = self.key("rope.freq_base", 10000.0), 1.0
        if self.key("rope.scaling.type") == "linear":
            stretch = self.key("rope.scaling.factor")
        if self.arch == "gemma3" and self.local(layer):
            base, stretch = 10000.0, 1.0
        frequency = base ** (-np.arange(0, dims, 2) / dims)
        if "rope_freqs.weight" in self.w:
            frequency = frequency / self.w["rope_freqs.weight"]
        angle = np.arange(len(x))[:, None, None] / stretch * frequency
        # Rotation is a product of complex numbers; architectures differ in which two components
        # make one. Llama's GGUF layout has them side by side, the others half a head apart.
        if self.arch == "llama":
            first, second = slice(0, dims, 2), slice(1, dims, 2)
        else:
            first, second = slice(0, dims // 2), slice(dims // 2, dims)
        z = (x[..., first] + 1j * x[..., second]) * np.exp(1j * angle)
        y = x.copy()
        y[..., first], y[..., second] = z.real, z.imag
        return y

    def attention(self, x, layer):
        n, p = len(x), "blk.%d." % layer
        q = self.linear(x, p + "attn_q").reshape(n, self.heads, self.head_dim)
        k = self.linear(x, p + "attn_k").reshape(n, self.kv_heads, self.head_dim)
        v = self.linear(x, p + "attn_v").reshape(n, self.kv_heads, self.head_dim)
        if self.arch == "gemma3":
            q = self.norm(q, p + "attn_q_norm.weight")
            k = self.norm(k, p + "attn_k_norm.weight")
        q, k = self.rotate(q, layer), self.rotate(k, layer)
        if self.f16_cache:
            k, v = k.astype(np.float16).astype(np.float64), v.astype(np.float16).astype(np.float64)
        group = self.heads // self.kv_heads
        k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
        scores = np.einsum("ihd,jhd->hij", q, k) / np.sqrt(self.head_dim)
        i, j = np.arange(n)[:, None], np.arange(n)[None, :]
        seen = j <= i
        if self.arch == "gemma3" and self.local(layer):
            seen &= j > i - self.key("attention.sliding_window")
        scores = np.where(seen, scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        mixed = np.einsum("hij,jhd->ihd", weights, v).reshape(n, -1)
        return self.linear(mixed, p + "attn_output")

    def feed_forward(self, x, layer):
        p = "blk.%d." % layer
        gate, up = self.linear(x, p + "ffn_gate"), self.linear(x, p + "ffn_up")
        if self.arch == "gemma3":
            gate = gate / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (gate + 0.044715 * gate ** 3)))
        else:
            gate = gate / (1 + np.exp(-gate))
        return self.linear(gate * up, p + "ffn_down")

    def logits(self, tokens):
        gemma = self.arch == "gemma3"
        x = self.w["token_embd.weight"][tokens]
        if gemma:
            x = x * np.sqrt(self.width)
        for layer in range(self.layers):
            p = "blk.%d." % layer
            h = self.attention(self.norm(x, p + "attn_norm.weight"), layer)
            x = x + (self.norm(h, p + "post_attention_norm.weight") if gemma else h)
            h = self.feed_forward(self.norm(x, p + "ffn_norm.weight"), layer)
            x = x + (self.norm(h, p + "post_ffw_norm.weight") if gemma else h)
        head = self.w.get("output.weight", self.w["token_embd.weight"])
        return self.norm(x, "output_norm.weight") @ head.T


def main():
    model = Model(sys.argv[1])
    tokens = [int(t) for t in sys.argv[2].split(",")]
    for position, row in enumerate(model.logits(tokens)):
        best = np.argsort(-row)[:5]
        print(position, " ".join("%d:%.4f" % (t, row[t]) for t in best))


if __name__ == "__main__":
    main()
