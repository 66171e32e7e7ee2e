"""Files that a run reads of other runs: tensors that stay on disk until they are used."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor


@dataclass(frozen=True)
class Run:
    """One finished member of another run. files: {name: path of a safetensors file}; settings: its settings, its seed
    included; last: {metric: its last value}."""

    files: dict[str, Path]
    settings: dict[str, Any]
    last: dict[str, float]

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of a file, mapped into memory: a page is read when it is used."""
        with safe_open(self.files[name], framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no mapping


Inputs = dict[str, list[Run]]  # {role: the members of the runs that play it}
