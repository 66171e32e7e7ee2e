"""Settings of the algorithms that several papers share. Imports no learning library.

A setting names a source here only if it is that of every paper that uses it; each paper's experiments.yaml states where it
has the others from, and its own defaults.
"""

from dataclasses import dataclass
from typing import Any

from ..settings import setting

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
# Those whose observation ends in the velocities of all joints, which `observe` cuts off (a test moves those of each).
# InvertedDoublePendulum, Humanoid and Reacher show theirs elsewhere too, and Pendulum is no MuJoCo environment.
VELOCITIES_LAST = (
    "HalfCheetah-v4",
    "Hopper-v4",
    "Walker2d-v4",
    "Ant-v4",
    "Swimmer-v4",
    "InvertedPendulum-v4",
)
# Rebuilt from facts about rllab's, and the Bullet port of Roboschool's, which needs the package pybullet-envs-gymnasium.
RAW_ENVIRONMENTS = (
    "RllabSimpleHumanoid-v0",
    "RllabHumanoid-v0",
    "AntBulletEnv-v0",
    "HumanoidBulletEnv-v0",
    "HumanoidFlagrunBulletEnv-v0",
    "HumanoidFlagrunHarderBulletEnv-v0",
)
NETWORK_SIZES = ("1x32", "1x128", "1x256", "2x32", "2x64", "2x128", "2x256", "2x320", "2x384", "2x512")
TD3_PAPER, TD3_CODE = "peer: Fujimoto et al. 2018", "peer: Fujimoto et al.'s later code"
TD3_SECTION, SAC_TABLE = f"{TD3_PAPER}, Section 6.1", "peer: Haarnoja et al. 2018, Table 1"
DDPG_ALGORITHM, DDPG_SECTION = (f"peer: Lillicrap et al. 2016, {place}" for place in ("Algorithm 1", "Section 7"))
BASELINES = "peer: OpenAI baselines"


@dataclass(frozen=True)
class Settings:
    """The root of all settings, so that those of several classes can be combined."""

    def problem(self) -> str | None:
        """One line on settings that do not fit together, or None."""
        return None


@dataclass(frozen=True)
class Iterations(Settings):
    """What the loop of updates without an environment needs: `total_steps` updates, measured every `evaluate_every`."""

    loop = "iterations"
    whole_fleet = True

    def problem(self: Any) -> str | None:
        if self.total_steps < self.evaluate_every or self.total_steps > 200 * self.evaluate_every:
            return f"evaluate_every = {self.evaluate_every} must give 1 to 200 points in total_steps = {self.total_steps}"
        return super().problem()


@dataclass(frozen=True)
class OffPolicy(Settings):
    """What the off-policy loop needs: the environment, the schedule and the replay buffer."""

    loop = "off_policy"  # the module of common/rl that trains the algorithm
    history = 0  # past actions that are part of an observation; an algorithm that uses them makes it a setting

    env: str = setting("HalfCheetah-v4", "environment", choices=ENVIRONMENTS)
    observe: str = setting(
        "full",
        "what is observed; positions: no velocities",
        "our choice: the paper hides nothing",
        choices=("full", "positions"),
    )
    delay: int = setting(0, "delay of observations", "our choice: the paper has none", low=0, high=100, unit="steps")
    episode_steps: int = setting(
        0,
        "time limit of an episode; 0: the environment's own",
        "the environment; shorter in tests alone",
        low=0,
        unit="steps",
    )
    total_steps: int = setting(1_000_000, "environment steps", low=1, high=100_000_000, unit="steps")
    warmup: int = setting(10_000, "random actions before the policy acts", low=0, unit="steps")
    update_after: int = setting(256, "transitions before the first update", low=1, unit="steps")
    batch_size: int = setting(256, "transitions per update", low=1, high=65_536)
    buffer_size: int = setting(1_000_000, "capacity of the replay buffer", low=1, unit="transitions")
    evaluate_every: int = setting(10_000, "interval of evaluations", low=1, unit="steps")
    evaluation_episodes: int = setting(10, "episodes per evaluation", low=1, high=100)
    coverage: bool = setting(False, "evaluations record how widely the states so far are spread", "our choice")

    def problem(self) -> str | None:
        if self.observe == "positions" and self.env not in VELOCITIES_LAST:
            return f"observe = 'positions' cannot hide the velocities of {self.env}; it can of {', '.join(VELOCITIES_LAST)}"
        if self.total_steps < self.evaluate_every:
            return f"total_steps = {self.total_steps} is less than evaluate_every = {self.evaluate_every}"
        if self.total_steps > 200 * self.evaluate_every:
            return f"evaluate_every = {self.evaluate_every} gives over 200 points in {self.total_steps} steps"
        if self.warmup >= self.total_steps:
            return f"warmup = {self.warmup} leaves no step of {self.total_steps} to the policy"
        return super().problem()


@dataclass(frozen=True)
class Offline(Settings):
    """What the loop of learning from a fixed data set needs."""

    loop = "offline"
    whole_fleet = True  # the data are read once, and what is frozen serves all members

    env: str = setting("HalfCheetah-v4", "environment", choices=ENVIRONMENTS)
    episode_steps: int = setting(
        0,
        "time limit of an evaluation's episode; 0: the environment's own",
        "the environment; shorter in tests alone",
        low=0,
        unit="steps",
    )
    total_steps: int = setting(200_000, "updates", low=1, high=100_000_000, unit="updates")
    batch_size: int = setting(256, "transitions per update", low=1, high=65_536)
    evaluate_every: int = setting(5_000, "interval of evaluations", low=1, unit="updates")
    evaluation_episodes: int = setting(10, "episodes per evaluation", low=1, high=100)

    def problem(self) -> str | None:
        if self.total_steps < self.evaluate_every or self.total_steps > 200 * self.evaluate_every:
            return f"evaluate_every = {self.evaluate_every} must give 1 to 200 points in total_steps = {self.total_steps}"
        return super().problem()


@dataclass(frozen=True)
class SAC(OffPolicy):
    """Soft actor-critic, the second version: twin critics, no value network (Haarnoja et al. 2018)."""

    base: str = setting("2x256", "layers x units of the policy network", choices=NETWORK_SIZES)
    critic: str = setting("2x256", "layers x units of each critic", choices=NETWORK_SIZES)
    discount: float = setting(0.99, "discount factor", low=0.0, high=1.0)
    temperature: float = setting(0.2, "entropy weight alpha, fixed", low=0.0)
    target_rate: float = setting(5e-3, "rate tau of the target critics' moving average", low=0.0, high=1.0)
    learning_rate: float = setting(3e-4, "Adam's learning rate, policy and critics", low=0.0)
    log_std_low: float = setting(-20.0, "lower clamp of ln sigma")
    log_std_high: float = setting(2.0, "upper clamp of ln sigma")


@dataclass(frozen=True)
class SACAuto(SAC):
    """Soft actor-critic with a learned temperature (Haarnoja et al. 2018, arXiv 1812.05905, Section 5)."""

    temperature: float = setting(1.0, "entropy weight alpha at the start", "peer: Haarnoja et al.'s code", low=1e-8)
    target_entropy: float = setting(
        -1.0, "entropy that alpha holds", f"{SAC_TABLE}: -dim(A)", low=-100.0, high=100.0, unit="nats per action dimension"
    )
    temperature_learning_rate: float = setting(3e-4, "Adam's learning rate of ln alpha", SAC_TABLE, low=0.0)


@dataclass(frozen=True)
class TD3(OffPolicy):
    """Twin delayed deep deterministic policy gradients (Fujimoto et al. 2018)."""

    base: str = setting("2x256", "layers x units of the policy network", TD3_CODE, choices=NETWORK_SIZES)
    critic: str = setting("2x256", "layers x units of each critic", TD3_CODE, choices=NETWORK_SIZES)
    critics: int = setting(2, "critics, of which targets take the minimum", f"{TD3_PAPER}, Section 4.2", low=1, high=10)
    discount: float = setting(0.99, "discount factor", "peer: Fujimoto et al.'s code", low=0.0, high=1.0)
    target_rate: float = setting(5e-3, "rate tau of the targets' moving average", TD3_SECTION, low=0.0, high=1.0)
    learning_rate: float = setting(3e-4, "Adam's learning rate, policy", TD3_CODE, low=0.0)
    critic_learning_rate: float = setting(3e-4, "Adam's learning rate, critics", TD3_CODE, low=0.0)
    policy_delay: int = setting(2, "updates of the critics per step of the policy", TD3_SECTION, low=1, high=1000)
    target_noise: float = setting(0.2, "target policy smoothing, standard deviation", TD3_SECTION, low=0.0)
    target_noise_clip: float = setting(0.5, "clamp of that noise", TD3_SECTION, low=0.0)
    exploration_noise: float = setting(0.1, "noise of actions in training, standard deviation", TD3_SECTION, low=0.0)


@dataclass(frozen=True)
class DDPG(TD3):
    """Deep deterministic policy gradients (Lillicrap et al. 2016): TD3 without its three additions."""

    critics: int = setting(1, "critics", DDPG_ALGORITHM, low=1, high=1)
    target_rate: float = setting(1e-3, "rate tau of the targets' moving average", DDPG_SECTION, low=0.0, high=1.0)
    learning_rate: float = setting(1e-4, "Adam's learning rate, policy", DDPG_SECTION, low=0.0)
    critic_learning_rate: float = setting(1e-3, "Adam's learning rate, critic", DDPG_SECTION, low=0.0)
    policy_delay: int = setting(1, "updates of the critic per step of the policy", DDPG_ALGORITHM, low=1, high=1)
    target_noise: float = setting(0.0, "target policy smoothing: none", DDPG_ALGORITHM, low=0.0, high=0.0)


@dataclass(frozen=True)
class Episodic(Settings):
    """What the loop of episodes needs: the environment, the schedule and the replay buffer."""

    loop = "episodes"
    whole_fleet = True  # its networks are so small that another member costs little

    env: str = setting("NChain-v0", "environment", choices=("NChain-v0", "MountainCar-v0"))
    length: int = setting(10, "states of the chain", low=3, high=1000)
    episode_steps: int = setting(1000, "time limit of an episode on MountainCar", low=1, unit="steps")
    total_steps: int = setting(2000, "episodes", low=1, high=1_000_000, unit="episodes")
    test_every: int = setting(1, "interval of rollouts without noise", low=1, unit="episodes")
    evaluate_every: int = setting(10, "interval of records, means since the last", low=1, unit="episodes")
    optimum: float = setting(10.0, "return of the best policy")
    solved_streak: int = setting(100, "best rollouts in a row that solve an environment", low=1)
    update_every: int = setting(0, "interval of updates; 0: one per episode of the longest length", low=0, unit="steps")
    target_every: int = setting(100, "interval of copies to the target network", low=1, unit="steps")
    timeouts: str = setting("terminal", "what a time limit is", choices=("terminal", "bootstrapped"))
    batch_size: int = setting(32, "transitions per update", low=1, high=65_536)
    buffer_size: int = setting(10_000, "capacity of the replay buffer", low=1, unit="transitions")

    def problem(self) -> str | None:
        if self.total_steps < self.evaluate_every or self.total_steps > 200 * self.evaluate_every:
            return f"evaluate_every = {self.evaluate_every} must give 1 to 200 points in total_steps = {self.total_steps}"
        if self.evaluate_every % self.test_every:
            return f"evaluate_every = {self.evaluate_every} must be a multiple of test_every = {self.test_every}"
        return super().problem()


@dataclass(frozen=True)
class OnPolicy(Settings):
    """What the on-policy loop, advantages and value fitting need. Defaults: OpenAI baselines' TRPO for MuJoCo."""

    loop = "on_policy"
    whole_fleet = True  # a fleet in one process: its networks are so small that another member costs little

    env: str = setting("HalfCheetah-v4", "environment", choices=(*ENVIRONMENTS, *RAW_ENVIRONMENTS))
    episode_steps: int = setting(
        0,
        "time limit of an episode; 0: the environment's own",
        "the environment; shorter in tests alone",
        low=0,
        unit="steps",
    )
    total_steps: int = setting(1_000_000, "environment steps", low=1, high=300_000_000, unit="steps")
    batch_steps: int = setting(1024, "steps per iteration", low=2, high=1_000_000, unit="steps")
    record_every: int = setting(10_000, "interval of records", "our choice: 100 points of 1e6 steps", low=1, unit="steps")
    trajectories: int = setting(
        0, "episodes of the trained policy whose centre of mass is recorded", "our choice", low=0, high=100
    )
    timeouts: str = setting("terminal", "what a time limit is", choices=("terminal", "bootstrapped"))
    hidden: str = setting("2x64", "layers x units of the policy", choices=NETWORK_SIZES)
    value_hidden: str = setting("2x64", "layers x units of the value network", choices=NETWORK_SIZES)
    observation_limit: float = setting(5.0, "clip of normalised observations, in standard deviations", low=0.1, high=1e6)
    remember: bool = setting(False, "the observation before stands beside the present one")
    rescale: bool = setting(False, "actions in [-1, 1] are scaled to the simulator's bounds and clipped")
    discount: float = setting(0.99, "discount factor gamma", low=0.0, high=1.0)
    trace: float = setting(0.98, "trace decay lambda of the advantages", low=0.0, high=1.0)

    def problem(self) -> str | None:
        if self.total_steps < self.batch_steps:
            return f"total_steps = {self.total_steps} is less than batch_steps = {self.batch_steps}"
        if self.total_steps > 200 * self.record_every:
            return f"record_every = {self.record_every} gives over 200 points in {self.total_steps} steps"
        return super().problem()


@dataclass(frozen=True)
class Minibatched(OnPolicy):
    """On-policy methods that fit a network on shuffled minibatches of the batch."""

    epochs: int = setting(5, "passes over the batch to fit V", low=1, high=1000)
    minibatch: int = setting(64, "minibatch of that fit", low=1)

    def problem(self) -> str | None:
        if self.minibatch > self.batch_steps:
            return f"minibatch = {self.minibatch} is more than batch_steps = {self.batch_steps}"
        return super().problem()


@dataclass(frozen=True)
class TRPO(Minibatched):
    """Trust region policy optimisation with a factorised Gaussian (Schulman et al. 2015)."""

    value_learning_rate: float = setting(1e-3, "Adam's learning rate for V", low=0.0)
    kl_radius: float = setting(0.01, "KL radius epsilon of the trust region", low=1e-8, unit="nats", per_member=True)
    kl_tolerance: float = setting(1.5, "KL accepted, in radii", "peer: OpenAI baselines", low=1.0, high=10.0)
    fisher: str = setting(
        "auto",
        "Fisher matrix; auto: closed form for one Gaussian, Hessian of the sampled KL for others",
        choices=("auto", "analytic", "hessian", "fresh", "scores"),
    )
    fisher_stride: int = setting(5, "every so many-th state enters the Fisher matrix", low=1)
    fisher_actions: int = setting(1, "fresh actions per state, for fisher = fresh and scores", "our choice", low=1, high=256)
    fisher_damping: float = setting(0.1, "multiple of I added to the Fisher matrix", low=0.0)
    conjugate_iterations: int = setting(10, "conjugate gradient iterations", low=1, high=1000)
    truncate: bool = setting(False, "conjugate gradient stops before negative curvature", "our choice: Steihaug 1983")
    record_curvature: bool = setting(False, "records whether conjugate gradient met negative curvature", "our choice")
    backtracks: int = setting(10, "steps tried by the line search", low=1, high=100)
    skip_negative_curvature: bool = setting(False, "where the Fisher estimate has negative curvature V is not fitted either")

    def problem(self) -> str | None:
        if self.fisher_actions > 1 and self.fisher not in ("fresh", "scores"):
            return f"fisher_actions = {self.fisher_actions} needs fisher = 'fresh' or 'scores'; it is {self.fisher!r}"
        return super().problem()


@dataclass(frozen=True)
class ACKTR(OnPolicy):
    """The natural gradient by Kronecker factors (Wu et al. 2017). Defaults: the code of Tang & Agrawal 2018."""

    batch_steps: int = setting(2500, "steps per iteration", low=2, high=1_000_000, unit="steps")
    trace: float = setting(0.97, "trace decay lambda of the advantages", low=0.0, high=1.0)
    kl_radius: float = setting(0.002, "KL that the step size aims at", low=1e-8, unit="nats", per_member=True)
    observation_limit: float = setting(10.0, "clip of normalised observations", low=0.1, high=1e6)
    remember: bool = setting(True, "the observation before stands beside the present one")
    rescale: bool = setting(True, "actions in [-1, 1] are scaled to the simulator's bounds, clipped")
    value_learning_rate: float = setting(1e-3, "learning rate for V", low=0.0)
    first_rate: float = setting(0.03, "first step size of the policy", low=1e-8, high=1.0)
    damping: float = setting(0.01, "added to products of eigenvalues", low=0.0)
    clip_kl: float = setting(0.01, "largest predicted divergence of a policy step", low=0.0)
    weight_decay: float = setting(3e-4, "weight decay of V; of the Gaussian, what it adds to the damping", low=0.0)
    value_updates: int = setting(25, "full-batch steps that fit V", low=1, high=10_000)
    value_sees: str = setting(
        "state",
        "what V sees beside observation and time. state: nothing; policy: mean and deviation of a Gaussian, of the other "
        "classes the log-density of the action taken, which biases the entropy",
        choices=("state", "policy"),
    )

    def problem(self) -> str | None:
        if self.timeouts != "terminal":
            return "timeouts = 'bootstrapped' is not there for ACKTR, whose V sees the time within the episode"
        return super().problem()


@dataclass(frozen=True)
class PPO(Minibatched):
    """Proximal policy optimisation, clipped (Schulman et al. 2017). Defaults: OpenAI baselines' for MuJoCo."""

    batch_steps: int = setting(2048, "steps per iteration", BASELINES, low=2, high=1_000_000, unit="steps")
    trace: float = setting(0.95, "trace decay lambda of the advantages", BASELINES, low=0.0, high=1.0)
    epochs: int = setting(10, "passes over the batch", BASELINES, low=1, high=1000)
    minibatch: int = setting(64, "minibatch: a batch has 32", BASELINES, low=2)
    observation_limit: float = setting(10.0, "clip of normalised observations", BASELINES, low=0.1, high=1e6)
    learning_rate: float = setting(3e-4, "Adam's learning rate, policy and V", BASELINES, low=0.0)
    ratio_clip: float = setting(0.2, "clip of the ratio, and of changes of V", BASELINES, low=0.0)
    value_weight: float = setting(0.5, "weight of V's loss", BASELINES, low=0.0)
    entropy_weight: float = setting(0.0, "weight of the policy's entropy", BASELINES, low=0.0)
    gradient_norm: float = setting(0.5, "largest norm of a member's gradient", BASELINES, low=0.0)
    scale_rewards: bool = setting(True, "rewards are divided by the deviation of discounted returns", BASELINES)
