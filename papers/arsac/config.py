"""Settings of ARSAC. Imports no learning library."""

from dataclasses import dataclass

from common.rl import config as shared
from common.settings import setting


@dataclass(frozen=True)
class SACMemory(shared.SAC):
    """SAC whose policy observes past actions: memory without a flow."""

    history: int = setting(3, "past actions that the policy observes", "our choice: as ARSAC", low=1, high=100, unit="steps")
    critic_history: bool = setting(False, "critics observe the past actions too", "authors' code: they do not")
    critic_steps: str = setting(
        "one",
        "steps of the critics' Adam per update; released: one on each critic's gradient, zeros for the other",
        "our choice: the authors' code steps twice",
        choices=("one", "released"),
    )


@dataclass(frozen=True)
class ARSAC(SACMemory):
    """SAC whose policy is an affine autoregressive flow across time steps (Section 3)."""

    history: int = setting(3, "past actions that condition the flow", "Section 4", low=1, high=100, unit="steps")
    flow: str = setting("2x256", "layers x units of the flow's network", "Table 1", choices=shared.NETWORK_SIZES)
    log_scale_low: float = setting(-20.0, "lower clamp of ln beta", "authors' code")
    log_scale_high: float = setting(5.0, "upper clamp of ln beta", "authors' code")
    shift_limit: float = setting(5.0, "clamp of the shift, |delta| at most", "authors' code", low=0.0)
    freeze: bool = setting(
        False, "the trained policy is also evaluated with ln beta and delta at their means over time", "our choice"
    )
