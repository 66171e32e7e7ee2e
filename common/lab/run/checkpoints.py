"""Checkpoints: named arrays and a JSON state in one file that knows its own checksum. No pickle.

The file is a magic line, the SHA-256 of the rest, and a safetensors payload whose metadata hold the JSON state.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from common.errors import UserError
from common.files import atomic_write

MAGIC = b"checkpoint 1\n"
DIGEST_LENGTH = 64


def write(path: Path, arrays: dict[str, np.ndarray], state: Any) -> None:
    """Writes arrays by name and a state, anything that JSON can hold, whole or not at all."""
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}  # the format takes memory as it lies
    payload = save(arrays, metadata={"state": json.dumps(state)})
    atomic_write(path, MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)


def read(path: Path) -> tuple[dict[str, np.ndarray], Any]:
    """The arrays and the state. Raises `UserError` if the file is truncated or altered."""
    content = path.read_bytes()
    start = len(MAGIC) + DIGEST_LENGTH + 1
    digest, payload = content[len(MAGIC) : start - 1], content[start:]
    if not content.startswith(MAGIC) or hashlib.sha256(payload).hexdigest().encode() != digest:
        raise UserError(f"{path}: truncated or altered (its checksum does not match)")
    header = json.loads(payload[8 : 8 + int.from_bytes(payload[:8], "little")])
    return load(payload), json.loads(header["__metadata__"]["state"])
