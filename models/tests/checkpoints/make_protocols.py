"""Makes protocol*.pth and hyper_parameters.pth with Python's own pickle alone; see README.md.

The classes below stand for torch's: a pickle holds their names and nothing else of them. Run it in
this folder.
"""

import collections
import datetime
import enum
import functools
import io
import pickle
import struct
import sys
import types
import zipfile

MAGIC = 0x1950A86A20F9469CFC6C


def module(name):
    made = types.ModuleType(name)
    sys.modules[name] = made
    parent, _, last = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, made)
    return made


def belongs(to, thing, name=None):
    thing.__module__ = to.__name__
    thing.__qualname__ = thing.__name__ = name or thing.__name__
    setattr(to, thing.__name__, thing)
    return thing


torch = module("torch")
utils = module("torch._utils")
FloatStorage = belongs(torch, type("FloatStorage", (), {}))
rebuild = belongs(utils, lambda *arguments: arguments, "_rebuild_tensor_v2")


class Storage:
    def __init__(self, key, values):
        self.key, self.values = key, values


class Tensor:
    def __init__(self, key, shape, values):
        strides = [1]
        for size in reversed(shape[1:]):
            strides.insert(0, strides[0] * size)
        self.storage, self.shape, self.strides = Storage(key, values), shape, tuple(strides)

    def __reduce_ex__(self, protocol):
        arguments = (self.storage, 0, self.shape, self.strides, False, collections.OrderedDict())
        return rebuild, arguments


class Pickler(pickle.Pickler):
    def __init__(self, file, protocol, legacy):
        super().__init__(file, protocol)
        self.legacy, self.storages = legacy, []

    def persistent_id(self, thing):
        if not isinstance(thing, Storage):
            return None
        if thing not in self.storages:
            self.storages.append(thing)
        place = ("storage", FloatStorage, thing.key, "cpu", len(thing.values))
        return place + (None,) if self.legacy else place


def numbers(values):
    return struct.pack(f"<{len(values)}f", *values)


def save_zip(value, path, protocol):
    file = io.BytesIO()
    pickler = Pickler(file, protocol, legacy=False)
    pickler.dump(value)
    with zipfile.ZipFile(path, "w") as archive:
        members = {"data.pkl": file.getvalue(), "version": b"3\n"}
        members |= {f"data/{storage.key}": numbers(storage.values) for storage in pickler.storages}
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(f"archive/{name}"), data)


def save_legacy(value, path, protocol):
    with open(path, "wb") as file:
        pickle.dump(MAGIC, file, protocol)
        pickle.dump(1001, file, protocol)
        system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
        pickle.dump(system, file, protocol)
        pickler = Pickler(file, protocol, legacy=True)
        pickler.dump(value)
        pickle.dump([storage.key for storage in pickler.storages], file, protocol)
        for storage in pickler.storages:
            file.write(struct.pack("<q", len(storage.values)) + numbers(storage.values))


def weights():
    return collections.OrderedDict(
        [
            ("w", Tensor("0", (2, 3), [0.5, -1.5, 2.0, 3.25, -4.0, 5.0])),
            ("b", Tensor("1", (2,), [0.125, -0.25])),
        ]
    )


value = {
    "state_dict": weights(),
    "epoch": 3,
    "steps": 70000,
    "far": 2**40,
    "big": -(2**70),
    "flag": True,
    "ratio": 0.25,
    "nothing": None,
    "name": "Größe",
    "raw": b"\x00\xff",
    "pair": (1, "two"),
    "triple": (1, 2.5, [False]),
}
for protocol in (1, 2, 4, 5):
    save_zip(value, f"protocol{protocol}.pth", protocol)
    save_legacy(value, f"protocol{protocol}_legacy.pth", protocol)

project = module("project")
Mode = belongs(project, enum.Enum("Mode", {"FAST": "fast"}))
Level = belongs(project, enum.IntEnum("Level", {"HIGH": 3}))
Outer = belongs(project, type("Outer", (), {}))
Outer.Inner = enum.Enum("Inner", {"A": 1})
Outer.Inner.__module__, Outer.Inner.__qualname__ = "project", "Outer.Inner"
hyper_parameters = {
    "mode": Mode.FAST,
    "level": Level.HIGH,
    "nested": Outer.Inner.A,
    "space": types.SimpleNamespace(rate=16000, sizes=[1, 2]),
    "partial": functools.partial(print, "x", end=""),
    "date": datetime.datetime(2024, 5, 6, tzinfo=datetime.timezone.utc),
    "span": datetime.timedelta(seconds=3),
}
for protocol in (1, 2, 4):
    name = f"hyper_parameters{protocol}.pth"
    save_zip({"state_dict": weights(), "hyper_parameters": hyper_parameters}, name, protocol)
