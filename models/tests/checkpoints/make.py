"""Makes the checkpoints of this folder; see README.md. Run it in this folder."""

import argparse
import collections
import datetime
import pathlib

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

torch.manual_seed(13)


class Net(nn.Module):
    def __init__(self, norm=None):
        super().__init__()
        conv = nn.Conv1d(3, 4, 3, padding=1)
        self.conv = norm(conv) if norm else conv
        self.out = nn.Conv1d(4, 2, 1)

    def forward(self, x):
        return self.out(torch.relu(self.conv(x)))


old = Net(nn.utils.weight_norm)
old.conv.weight_g.data.mul_(1.7)
plain = Net()
with torch.no_grad():
    g, v = old.conv.weight_g, old.conv.weight_v
    weight = torch._weight_norm(v, g, 0)
weights = {"conv.weight": weight, "conv.bias": old.conv.bias, "out.weight": old.out.weight, "out.bias": old.out.bias}
weights = {k: v.detach().clone() for k, v in weights.items()}
plain.load_state_dict(weights)
new = Net(nn.utils.parametrizations.weight_norm)
new.conv.parametrizations.weight.original0.data.copy_(g)
new.conv.parametrizations.weight.original1.data.copy_(v)
new.conv.bias.data.copy_(weights["conv.bias"])
new.out.load_state_dict(old.out.state_dict())

x = torch.randn(1, 3, 11)
with torch.no_grad():
    y = plain(x)
    assert torch.allclose(old(x), y, atol=1e-6) and torch.allclose(new(x), y, atol=1e-6)
save_file({"input": x, "output": y}, "s13_io.safetensors")

save_file(weights, "s13_plain.safetensors", metadata={"note": "two layers"})
torch.save({"module." + k: v for k, v in weights.items()}, "s13_module.pth")
torch.save(
    {
        "epoch": 3,
        "global_step": 1200,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": collections.OrderedDict(("model." + k, v) for k, v in weights.items()),
        "hyper_parameters": {"lr": 1e-3, "net": argparse.Namespace(width=4, kernel=3)},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(4, 3, 3)}}}],
    },
    "s13_lightning.ckpt",
)
torch.save(old.state_dict(), "s13_weight_norm_old.pth")
torch.save(new.state_dict(), "s13_weight_norm_new.pth")
bad = dict(weights)
del bad["conv.bias"]
bad["extra.weight"] = torch.zeros(2)
bad["out.weight"] = torch.zeros(2, 5, 1)
torch.save(bad, "s13_misfit.pth")

base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
views = {
    "base": base,
    "transposed": base.t(),
    "column": base[:, 2],
    "block": base[1:3, 2:5],
    "every_second": base.flatten()[1::2],
    "expanded": torch.tensor([1.5, -2.0]).unsqueeze(1).expand(2, 3),
    "scalar": torch.tensor(3.25),
    "empty": torch.zeros(0, 5),
    "parameter": nn.Parameter(torch.tensor([1.0, 2.0])),
    "f64": torch.tensor([1.0, -0.1], dtype=torch.float64),
    "f16": torch.tensor([1.0, -0.1], dtype=torch.float16),
    "bf16": torch.tensor([1.0, -0.1], dtype=torch.bfloat16),
    "i64": torch.tensor([-5, 2**40]),
    "i32": torch.tensor([-5, 7], dtype=torch.int32),
    "i16": torch.tensor([-5, 7], dtype=torch.int16),
    "i8": torch.tensor([-5, 7], dtype=torch.int8),
    "u8": torch.tensor([5, 250], dtype=torch.uint8),
    "bool": torch.tensor([True, False]),
    "complex64": torch.tensor([1 + 2j, -0.5j], dtype=torch.complex64),
}
save_file({k: v.detach().contiguous().clone() for k, v in views.items()}, "views_expected.safetensors")
torch.save(views, "views.pth")
torch.save(views, "views_protocol4.pth", pickle_protocol=4)
torch.save(views, "views_protocol5.pth", pickle_protocol=5)
torch.save(views, "views_legacy.pth", _use_new_zipfile_serialization=False)

beside = {
    "model": {"w": torch.ones(2)},
    "epoch": 7,
    "big": 2**70,
    "negative": -3,
    "ratio": 0.25,
    "flag": True,
    "nothing": None,
    "name": "Größe",
    "raw": b"\x00\xff",
    "pair": (1, "two"),
    "set": {3},
    "namespace": argparse.Namespace(sr=16000, layers=[1, 2]),
    "default": collections.defaultdict(list, {"a": [1]}),
    "counter": collections.Counter("aab"),
    "size": torch.Size([2, 3]),
    "device": torch.device("cuda", 1),
    "dtype": torch.bfloat16,
    "path": pathlib.PurePosixPath("/data/x.wav"),
    "date": datetime.datetime(2024, 5, 6),
    "np_f64": np.float64(0.5),
    "np_f32": np.float32(-1.5),
    "np_i64": np.int64(-9),
    "np_u8": np.uint8(200),
    "np_bool": np.bool_(True),
    "np_text": np.array(["a"]),
    "optimizer": {"state": {0: {"exp_avg": torch.zeros(2), "step": 4}}, "param_groups": [{"lr": 0.1}]},
}
torch.save(beside, "beside.pth")
arrays = {
    "c": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "big_endian": np.arange(6, dtype=">f4").reshape(2, 3),
}
torch.save(arrays, "arrays.pth")
torch.save(arrays, "arrays_protocol5.pth", pickle_protocol=5)
torch.save(plain, "whole_module.pth")
