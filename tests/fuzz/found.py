"""Damage that readers did not expect once, and code in files, which must not run."""

import json
import pickle
import zipfile
from collections.abc import Callable
from io import BytesIO

import pytest

from tests.fuzz.damage import DEEP
from tests.fuzz.targets import Target


class Code:
    """An object whose pickle runs code."""

    def __reduce__(self):
        return pytest.fail, ("a file's code ran",)


OBJECTS = b"\x93NUMPY\1\0\x46\0{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
OBJECTS = OBJECTS.ljust(79) + b"\n" + pickle.dumps([Code()])
"""A NumPy file of pickled objects."""


def text(content: bytes) -> Callable[[Target], bytes]:
    """Put this in the place of the JSON."""
    return lambda target: target.wrap(content)


def fields(**changes: object) -> Callable[[Target], bytes]:
    """Change fields of the JSON."""
    return lambda target: target.wrap(json.dumps(target.json | changes).encode())


def cut(num_bytes: int) -> Callable[[Target], bytes]:
    """Keep the first bytes."""
    return lambda target: target.content[:num_bytes]


def overwrite(mark: bytes, offset: int, changed: bytes) -> Callable[[Target], bytes]:
    """Change bytes behind the last mark."""

    def damage(target: Target) -> bytes:
        at = target.content.rindex(mark) + offset
        return target.content[:at] + changed + target.content[at + len(changed) :]

    return damage


def member(name: str, content: bytes | None) -> Callable[[Target], bytes]:
    """Replace a member of an archive, or remove it."""

    def damage(target: Target) -> bytes:
        changed = BytesIO()
        with (
            zipfile.ZipFile(BytesIO(target.content)) as archive,
            zipfile.ZipFile(changed, "w") as copy,
        ):
            for each in archive.namelist():
                kept = content if each.endswith(name) else archive.read(each)
                if kept is not None:
                    copy.writestr(each, kept)
        return changed.getvalue()

    return damage


OTHER_METHOD = overwrite(b"PK\1\2", 10, b"\x63")
"""Compress a member by a method that does not exist."""

FOUND = [
    ("manifest", text(DEEP)),
    ("manifest", fields(classes=5)),
    ("manifest", fields(num_rows={"train": "8"})),
    ("unfinished_dataset", text(DEEP)),
    ("shard", text(DEEP)),
    ("run_sections", text(DEEP)),
    ("run_sections", text(b"[]")),
    ("run_sections", text(b'{"cnn": [1]}')),
    ("trial_record", text(DEEP)),
    ("trial_record", fields(scores=[None])),
    ("model_card", text(DEEP)),
    ("model_card", fields(cnn_config={"band_shift": 10**400})),
    ("model_card", fields(classes=[1, 2, 3])),
    ("model_card", fields(temperature="warm")),
    ("model_card", overwrite(b"PK\3\4", 60, b"\xff" * 20)),
    ("model_card", overwrite(b"PK\5\6", 16, b"\xff" * 3)),
    ("model_card", OTHER_METHOD),
    ("training_state", text(DEEP)),
    ("training_state", fields(plateau=0.5)),
    ("training_state", member("trained_0.npy", OBJECTS)),
    ("training_state", member("trained_0.npy", b"")),
    ("training_state", member("best_1.npy", None)),
    ("generator", fields(epochs="x")),
    ("gan_checkpoint", cut(1_000)),
    ("gan_checkpoint", lambda _: pickle.dumps(Code(), 2)),
    ("gan_checkpoint", member("data.pkl", pickle.dumps(Code(), 2))),
    ("packed_clips", cut(1_000)),
    ("packed_clips", member("images.npy", b"")),
    ("packed_clips", member("images.npy", OBJECTS)),
    ("scan_part", member("levels.npy", b"")),
    ("scan_part", member("levels.npy", OBJECTS)),
    ("scan_part", OTHER_METHOD),
    ("scan_outputs", text(DEEP)),
    ("scan_outputs", cut(5)),
    ("AIFF PCM_16", cut(23)),
]
"""Kinds of files, and damage for which all must be refused."""
