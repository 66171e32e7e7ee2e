"""Settings of the toy flows. Imports no learning library."""

from dataclasses import dataclass

from common.rl.config import Iterations
from common.settings import setting

CODE = "authors' code: the encoders of actions"


@dataclass(frozen=True)
class Toys(Iterations):
    """Flows on the two moons of Section 3.1, of which the paper gives no setting."""

    base: str = setting("uniform", "base distribution", "Section 3.1", choices=("uniform", "normal"))
    layers: int = setting(12, "steps of normalisation, mix and coupling", "Table 3: medium datasets", low=1, high=100)
    units: str = setting(
        "2x64",
        "layers x units of a coupling's network",
        "our choice: Table 3's smaller width",
        choices=("2x16", "2x64", "2x256"),
    )
    points: int = setting(10_000, "points of the data, and as many held out", "our choice", low=10, high=10**6)
    noise: float = setting(0.05, "standard deviation about the half circles of radius 1", "our choice", low=0.0, high=0.05)
    learning_rate: float = setting(1e-3, "AdamW's learning rate", "our choice, of Table 3's range", low=0.0)
    weight_decay: float = setting(1e-4, "AdamW's weight decay", CODE, low=0.0)
    gradient_limit: float = setting(0.1, "length to which a gradient is cut", CODE, low=1e-9)
    batch_size: int = setting(512, "points per update", "Table 3's smallest", low=1, high=65_536)
    total_steps: int = setting(5_000, "updates", "our choice", low=1, high=10**7, unit="updates")
    evaluate_every: int = setting(100, "interval of evaluations", "our choice", low=1, unit="updates")
    samples: int = setting(2_000, "points drawn for each measurement at the end", "our choice", low=10, high=10**6)
