"""Settings of the algorithms that several papers share. Imports no learning library."""

from dataclasses import dataclass

from common.lab.config import setting

ENVIRONMENTS = (
    "HalfCheetah-v4",
    "Hopper-v4",
    "Walker2d-v4",
    "Ant-v4",
    "Humanoid-v4",
    "Reacher-v4",
    "Swimmer-v4",
    "InvertedPendulum-v4",
    "InvertedDoublePendulum-v4",
    "Pendulum-v1",
)
NETWORK_SIZES = ("1x32", "1x128", "1x256", "2x32", "2x64", "2x128", "2x256", "2x320", "2x384", "2x512")


@dataclass(frozen=True)
class OffPolicy:
    """What the off-policy loop needs: the environment, the schedule and the replay buffer."""

    env: str = setting("HalfCheetah-v4", "environment", "paper", choices=ENVIRONMENTS)
    observe: str = setting(
        "full", "what is observed", "our choice: 'positions' hides velocities", choices=("full", "positions")
    )
    delay: int = setting(0, "delay of observations", "our choice: 0 in the paper", low=0, high=100, unit="steps")
    history: int = setting(
        0, "past actions that the policy is shown", "our choice: 0 is plain", low=0, high=100, unit="steps"
    )
    total_steps: int = setting(1_000_000, "environment steps", "authors' code", low=1, high=100_000_000, unit="steps")
    warmup: int = setting(10_000, "random actions before the policy acts", "Table 1", low=0, unit="steps")
    update_after: int = setting(256, "transitions before the first update", "authors' code", low=1, unit="steps")
    batch_size: int = setting(256, "transitions an update", "Table 1", low=1, high=65_536)
    buffer_size: int = setting(1_000_000, "capacity of the replay buffer", "Table 1", low=1, unit="transitions")
    evaluate_every: int = setting(10_000, "interval of evaluations", "authors' code", low=1, unit="steps")
    evaluation_episodes: int = setting(
        10,
        "episodes an evaluation",
        "our choice: 1 in the authors' code, more for a narrower interval",
        low=1,
        high=100,
    )

    def problem(self):
        """One line on settings that do not fit together, or None."""
        if self.total_steps < self.evaluate_every:
            return f"total_steps = {self.total_steps} is less than evaluate_every = {self.evaluate_every}"
        if self.total_steps > 200 * self.evaluate_every:
            return f"evaluate_every = {self.evaluate_every} gives over 200 points in {self.total_steps} steps"
        if self.warmup >= self.total_steps:
            return f"warmup = {self.warmup} leaves no step of {self.total_steps} to the policy"
        return None


@dataclass(frozen=True)
class SAC(OffPolicy):
    """Soft actor-critic, the second version: twin critics, no value network (Haarnoja et al. 2018)."""

    base: str = setting("2x256", "layers x units of the policy network", "Section 4", choices=NETWORK_SIZES)
    critic: str = setting("2x256", "layers x units of each critic", "Table 1", choices=NETWORK_SIZES)
    critic_history: bool = setting(False, "critics observe the past actions too", "authors' code: they do not")
    discount: float = setting(0.99, "discount factor", "Table 1", low=0.0, high=1.0)
    temperature: float = setting(0.2, "entropy weight alpha, fixed", "Table 1", low=0.0)
    target_rate: float = setting(5e-3, "rate tau of the target critics' moving average", "Table 1", low=0.0, high=1.0)
    learning_rate: float = setting(3e-4, "Adam's learning rate, policy and critics", "Table 1", low=0.0)
    log_std_low: float = setting(-20.0, "lower clamp of ln sigma", "authors' code")
    log_std_high: float = setting(5.0, "upper clamp of ln sigma", "authors' code: 5, not the usual 2")
