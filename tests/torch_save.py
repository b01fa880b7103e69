"""Weights of a safetensors file as torch.save writes them, without PyTorch: torch_save.py model.safetensors pytorch_model.bin [PROTOCOL]

With --torch before the files PyTorch itself writes them (status 77 if it is not there)."""
import collections
import io
import json
import pickle
import struct
import sys
import types
import zipfile

STORAGES = {"F32": "FloatStorage", "F16": "HalfStorage", "BF16": "BFloat16Storage", "F64": "DoubleStorage", "I64": "LongStorage"}
SIZES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I64": 8}


def read(path):
    raw = open(path, "rb").read()
    n, = struct.unpack("<Q", raw[:8])
    head = json.loads(raw[8:8 + n])
    return [(k, t["dtype"], t["shape"], raw[8 + n + t["data_offsets"][0]:8 + n + t["data_offsets"][1]]) for k, t in head.items() if k != "__metadata__"]


def modules():
    """Stand-ins with torch's names, which is all that pickle looks at."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    exec("def _rebuild_tensor_v2(*args): pass", utils.__dict__)
    utils._rebuild_tensor_v2.__module__ = "torch._utils"
    torch._utils = utils
    sys.modules |= {"torch": torch, "torch._utils": utils}
    return torch


class Storage:
    def __init__(self, kind, key, n):
        self.id = ("storage", kind, key, "cpu", n)


class Tensor:
    def __init__(self, torch, storage, shape):
        strides = [1] * len(shape)
        for i in range(len(shape) - 2, -1, -1):
            strides[i] = strides[i + 1] * shape[i + 1]
        self.made = torch._utils._rebuild_tensor_v2, (storage, 0, tuple(shape), tuple(strides), False, collections.OrderedDict())

    def __reduce__(self):
        return self.made


class Pickler(pickle.Pickler):
    def persistent_id(self, obj):
        return obj.id if isinstance(obj, Storage) else None


def write(tensors, path, protocol):
    torch = modules()
    state = collections.OrderedDict()
    for i, (name, dtype, shape, data) in enumerate(tensors):
        state[name] = Tensor(torch, Storage(getattr(torch, STORAGES[dtype]), str(i), len(data) // SIZES[dtype]), shape)
    state._metadata = collections.OrderedDict({"": {"version": 1}})
    out = io.BytesIO()
    Pickler(out, protocol).dump(state)
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("archive/data.pkl", out.getvalue())
        z.writestr("archive/byteorder", "little")
        for i, t in enumerate(tensors):
            with z.open(f"archive/data/{i}", "w", force_zip64=i % 2 == 0) as f:
                f.write(t[3])
        z.writestr("archive/version", "3\n")


def write_by_torch(tensors, path):
    try:
        import torch
    except ImportError:
        sys.exit(77)
    dtypes = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64, "I64": torch.int64}
    torch.save(collections.OrderedDict((name, torch.frombuffer(bytearray(data), dtype=dtypes[dtype]).reshape(shape)) for name, dtype, shape, data in tensors), path)


if sys.argv[1] == "--torch":
    write_by_torch(read(sys.argv[2]), sys.argv[3])
else:
    write(read(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 2)
