#!/usr/bin/env python3
"""Speed of llama.cpp's products of one matrix with one or more vectors, one thread, warm.

    build/peers/bin/python bench/peers/ggml_gemv.py [--rows N] [--cols N] [--batch N]

Drives the libggml that PyPI's llama-cpp-python brings along (setup: docs/benchmarks.md) through a
graph of a single mul_mat: as the weights come, and repacked where llama.cpp would repack them when
it loads a model. Each product is checked against NumPy once. One JSON line a figure: the best of
--runs runs, in 1e9 multiply-adds a second (for one vector: weights).
"""
import argparse
import ctypes
import importlib.metadata
import importlib.util
import json
import pathlib
import time

import numpy

# enum ggml_type of ggml.h: number, bits a weight, columns of a block
TYPES = {"F16": (1, 16.0, 1), "Q4_0": (2, 4.5, 32), "Q8_0": (8, 8.5, 32), "Q4_K": (12, 4.5, 256)}
F32 = 0
USAGE_WEIGHTS = 1  # enum ggml_backend_buffer_usage
POINTER, SIZE, INT64 = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64


class InitParams(ctypes.Structure):
    _fields_ = [("mem_size", SIZE), ("mem_buffer", POINTER), ("no_alloc", ctypes.c_bool)]


BASE = {
    "ggml_init": (POINTER, [InitParams]),
    "ggml_free": (None, [POINTER]),
    "ggml_new_tensor_2d": (POINTER, [POINTER, ctypes.c_int, INT64, INT64]),
    "ggml_mul_mat": (POINTER, [POINTER, POINTER, POINTER]),
    "ggml_new_graph": (POINTER, [POINTER]),
    "ggml_build_forward_expand": (None, [POINTER, POINTER]),
    "ggml_quantize_chunk": (SIZE, [ctypes.c_int, POINTER, POINTER, INT64, INT64, INT64, POINTER]),
    "ggml_backend_alloc_ctx_tensors_from_buft": (POINTER, [POINTER, POINTER]),
    "ggml_backend_buffer_set_usage": (None, [POINTER, ctypes.c_int]),
    "ggml_backend_buffer_free": (None, [POINTER]),
    "ggml_backend_buft_name": (ctypes.c_char_p, [POINTER]),
    "ggml_backend_tensor_set": (None, [POINTER, POINTER, SIZE, SIZE]),
    "ggml_backend_tensor_get": (None, [POINTER, POINTER, SIZE, SIZE]),
    "ggml_backend_graph_compute": (ctypes.c_int, [POINTER, POINTER]),
    "ggml_backend_free": (None, [POINTER]),
    "ggml_backend_reg_get_proc_address": (POINTER, [POINTER, ctypes.c_char_p]),
    "ggml_backend_reg_dev_get": (POINTER, [POINTER, SIZE]),
    "ggml_backend_dev_supports_op": (ctypes.c_bool, [POINTER, POINTER]),
}
CPU = {
    "ggml_backend_cpu_init": (POINTER, []),
    "ggml_backend_cpu_reg": (POINTER, []),
    "ggml_backend_cpu_buffer_type": (POINTER, []),
    "ggml_backend_cpu_set_n_threads": (None, [POINTER, ctypes.c_int]),
}


class Ggml:
    """The functions needed, from the shared libraries of the installed package."""

    def __init__(self):
        spec = importlib.util.find_spec("llama_cpp")
        if spec is None:
            raise SystemExit("ggml_gemv: expected llama-cpp-python; see docs/benchmarks.md")
        folder = pathlib.Path(spec.origin).parent / "lib"
        self.libraries = []
        for name, functions in (("libggml-base.so", BASE), ("libggml-cpu.so", CPU)):
            library = ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
            self.libraries.append(library)
            for function, (result, arguments) in functions.items():
                f = self.find(function)
                f.restype, f.argtypes = result, arguments
                setattr(self, function[len("ggml_"):], f)

    def find(self, function):
        for library in self.libraries:
            if hasattr(library, function):
                return getattr(library, function)
        raise SystemExit(f"ggml_gemv: this libggml has no {function}")

    def buffer_types(self):
        """The plain one, then those that llama.cpp prefers for weights where they serve."""
        registry = self.backend_cpu_reg()
        found = [self.backend_cpu_buffer_type()]
        address = self.backend_reg_get_proc_address(registry, b"ggml_backend_dev_get_extra_bufts")
        if address:
            get = ctypes.CFUNCTYPE(ctypes.POINTER(POINTER), POINTER)(address)
            extra = get(self.backend_reg_dev_get(registry, 0))
            while extra and extra[len(found) - 1]:
                found.append(extra[len(found) - 1])
        return found


def quantized(g, kind, weights):
    rows, cols = weights.shape
    number, bits, _ = TYPES[kind]
    if kind == "F16":
        return weights.astype(numpy.float16).view(numpy.uint8).reshape(-1)
    out = numpy.zeros(int(rows * cols * bits / 8), numpy.uint8)
    done = g.quantize_chunk(number, weights.ctypes.data, out.ctypes.data, 0, rows, cols, None)
    assert done == out.nbytes, (done, out.nbytes)
    return out


class Product:
    """A graph y = x W' over weights in a buffer type; x holds a vector a row."""

    def __init__(self, g, kind, weights, data, x, buffer_type):
        self.g = g
        self.shape = (x.shape[0], weights.shape[0])
        rows, cols = weights.shape
        number = TYPES[kind][0]
        room = InitParams(1 << 20, None, True)
        self.contexts = [g.init(room), g.init(room)]
        self.w = g.new_tensor_2d(self.contexts[0], number, cols, rows)
        self.x = g.new_tensor_2d(self.contexts[1], F32, cols, x.shape[0])
        self.y = g.mul_mat(self.contexts[1], self.w, self.x)
        self.buffers = [g.backend_alloc_ctx_tensors_from_buft(self.contexts[0], buffer_type)]
        g.backend_buffer_set_usage(self.buffers[0], USAGE_WEIGHTS)
        device = g.backend_reg_dev_get(g.backend_cpu_reg(), 0)
        self.serves = g.backend_dev_supports_op(device, self.y)
        if not self.serves:
            return
        self.graph = g.new_graph(self.contexts[1])
        g.build_forward_expand(self.graph, self.y)
        self.buffers.append(g.backend_alloc_ctx_tensors_from_buft(
            self.contexts[1], g.backend_cpu_buffer_type()))
        g.backend_tensor_set(self.w, data.ctypes.data, 0, data.nbytes)
        g.backend_tensor_set(self.x, x.ctypes.data, 0, x.nbytes)

    def run(self, backend):
        start = time.perf_counter()
        status = self.g.backend_graph_compute(backend, self.graph)
        took = time.perf_counter() - start
        assert status == 0, status
        return took

    def result(self):
        y = numpy.zeros(self.shape, numpy.float32)
        self.g.backend_tensor_get(self.y, y.ctypes.data, 0, y.nbytes)
        return y

    def free(self):
        for buffer in self.buffers:
            self.g.backend_buffer_free(buffer)
        for context in self.contexts:
            self.g.free(context)


def measure(rows=4096, cols=4096, batch=1, kinds=("Q4_0",), runs=7, seconds=0.1):
    """Figures as dictionaries: a run is the mean over about `seconds`, the best run counts."""
    g = Ggml()
    backend = g.backend_cpu_init()
    g.backend_cpu_set_n_threads(backend, 1)
    rng = numpy.random.default_rng(1)
    weights = rng.standard_normal((rows, cols), numpy.float32)
    x = rng.standard_normal((batch, cols), numpy.float32)
    expected = x @ weights.T
    norm = numpy.linalg.norm(expected)
    figures = []
    for kind in kinds:
        if cols % TYPES[kind][2] != 0:
            continue
        data = quantized(g, kind, weights)
        for buffer_type in g.buffer_types():
            product = Product(g, kind, weights, data, x, buffer_type)
            if product.serves:
                n = max(1, int(seconds / product.run(backend)))
                off = numpy.linalg.norm(product.result() - expected) / norm
                assert off < 0.15, (kind, off)
                best = min(sum(product.run(backend) for _ in range(n)) / n
                           for _ in range(runs))
                figures.append({
                    "what": "gemv" if batch == 1 else "gemm", "engine": "llama.cpp", "type": kind,
                    "buffer": g.backend_buft_name(buffer_type).decode(),
                    "rows": rows, "cols": cols, "batch": batch, "threads": 1,
                    "bits": TYPES[kind][1],
                    "gw_s": round(rows * cols * batch / best * 1e-9, 3),
                    "version": importlib.metadata.version("llama-cpp-python")})
            product.free()
    g.backend_free(backend)
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--cols", type=int, default=4096)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--types", nargs="+", choices=TYPES, default=["Q4_0", "Q4_K", "Q8_0"])
    args = parser.parse_args()
    for figure in measure(args.rows, args.cols, args.batch, args.types, args.runs):
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
