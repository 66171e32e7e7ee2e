"""Settings of the data, the encoders of actions, the agents and the toy flows. Imports no learning library."""

from dataclasses import dataclass

from common.rl.config import ENVIRONMENTS, Iterations, Offline, SACAuto, Settings
from common.settings import setting

CODE = "authors' code"


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


# The data

QUALITIES = ("medium", "medium-replay", "medium-expert", "expert")
MAZES = ("Maze2dUmaze-v0", "Maze2dMedium-v0", "Maze2dLarge-v0")
ROBOTS = (*ENVIRONMENTS, *MAZES)
BANDS = {  # returns of D4RL's medium policies, with room for a seed's luck
    "HalfCheetah-v4": (4500.0, 5200.0),
    "Hopper-v4": (1400.0, 1800.0),
    "Walker2d-v4": (2800.0, 3500.0),
}
D4RL = "peer: D4RL's recipe"


@dataclass(frozen=True)
class Behaviour(SACAuto):
    """Soft actor-critic whose policies make the data."""

    loop = "collecting"

    env: str = setting("HalfCheetah-v4", "environment", choices=tuple(BANDS))
    total_steps: int = setting(1_000_000, "environment steps", D4RL, low=1, high=100_000_000, unit="steps")
    batch_size: int = setting(256, "transitions per update", D4RL, low=1, high=65_536)
    evaluate_every: int = setting(10_000, "interval of evaluations", "our choice", low=1, unit="steps")
    evaluation_episodes: int = setting(10, "episodes per evaluation", "our choice", low=1, high=100)

    @property
    def band(self) -> tuple[float, float]:
        """Returns of a medium policy."""
        return BANDS[self.env]

    def problem(self) -> str | None:
        if self.buffer_size < self.total_steps:
            return f"buffer_size = {self.buffer_size} must hold all of total_steps = {self.total_steps}: the replay is data"
        return super().problem()


@dataclass(frozen=True)
class Dataset(Settings):
    """A data set of locomotion."""

    loop = "rollouts"
    whole_fleet = True

    env: str = setting("HalfCheetah-v4", "environment", choices=tuple(BANDS))
    quality: str = setting("medium", "which policies the data are of", D4RL, choices=QUALITIES)
    total_steps: int = setting(1_000_000, "rows; of a replay no more than there are", D4RL, low=2, high=10**8, unit="rows")
    episode_steps: int = setting(
        0,
        "time limit of an episode; 0: the environment's own",
        "the environment; shorter in tests alone",
        low=0,
        unit="steps",
    )
    log_std_low: float = setting(-20.0, "lower clamp of the policy's ln sigma", "as it was trained")
    log_std_high: float = setting(2.0, "upper clamp of the policy's ln sigma", "as it was trained")

    @property
    def reads(self) -> dict[str, tuple[str, ...]]:
        """Of a run of `behaviour`: the policies, which are published, or the replay, which is too large."""
        return {"behaviour": ("replay",) if self.quality == "medium-replay" else tuple(self.quality.split("-"))}


@dataclass(frozen=True)
class Mazes(Iterations):
    """What random actions and the waypoint controller return in a maze."""

    total_steps = evaluate_every = 1  # nothing is learnt

    env: str = setting("Maze2dUmaze-v0", "environment", choices=MAZES)
    episodes: int = setting(100, "episodes of each behaviour", D4RL, low=2, high=10_000)


@dataclass(frozen=True)
class MazeData(Settings):
    """A data set of a maze."""

    loop = "rollouts"
    whole_fleet = True

    env: str = setting("Maze2dUmaze-v0", "environment", choices=MAZES)
    quality: str = setting("maze", "the one data set of a maze", D4RL, choices=("maze",))
    total_steps: int = setting(1_000_000, "rows", D4RL, low=2, high=10**8, unit="rows")
    episode_steps: int = setting(0, "of no use here: the time limit of goals is the environment's", D4RL, low=0, high=0)
    noise: float = setting(
        0.0,
        "standard deviation of Gaussian noise on the actions",
        "our choice: whether D4RL's released files have its optional noise of 0.5 is not known",
        low=0.0,
        high=10.0,
    )


OWN = "your choice"  # no paper's


@dataclass(frozen=True)
class MinariData(Settings):
    """A data set in Minari's format, of this machine or of Minari's hub."""

    loop = "rollouts"
    whole_fleet = True

    env: str = setting("HalfCheetah-v4", "environment, whose version may differ from the data's", OWN, choices=ROBOTS)
    dataset: str = setting("", "its id, space/environment/name-v0", OWN)
    total_steps: int = setting(100_000_000, "rows, from the first on; no more than there are", OWN, low=2, unit="rows")
    episode_steps: int = setting(0, "of no use here: nothing is rolled out", OWN, low=0, high=0)

    def problem(self) -> str | None:
        return None if self.dataset else "dataset: is empty; it is the id of a data set, space/environment/name-v0"


# The encoders of actions

TABLE_3 = {  # quality -> steps of the flow, widths of a coupling's network
    "medium": (12, "2x256"),
    "medium-expert": (12, "2x256"),
    "expert": (12, "2x256"),
    "medium-replay": (4, "2x64"),
    "maze": (4, "2x64"),
    "minari": (12, "2x256"),  # anybody's, which the paper has not: as its larger ones
}
SIZES = ("2x16", "2x64", "2x256")


@dataclass(frozen=True)
class OnData(Offline):
    """What all that learn from a data set state: which it is."""

    env: str = setting("HalfCheetah-v4", "environment", choices=ROBOTS)
    quality: str = setting(
        "medium", "which data set; of a maze: maze, of Minari: minari", "Section 4.1", choices=(*QUALITIES, "maze", "minari")
    )
    dataset: str = setting("", "id of a data set in Minari's format, where quality is minari", OWN)

    def problem(self) -> str | None:
        if (self.quality == "minari") != bool(self.dataset):
            return f"dataset = {self.dataset!r}: quality = minari, and no other, is of a data set with an id"
        return super().problem()


@dataclass(frozen=True)
class Flow(OnData):
    """The conservative flow's pre-training (Algorithm 1)."""

    base: str = setting("uniform", "base distribution", "Section 3.1", choices=("uniform", "normal"))
    layers: int = setting(
        0, "steps of normalisation, mix and coupling; 0: Table 3's for the data", "Table 3", low=0, high=100
    )
    units: str = setting("2x256", "layers x units of a coupling's network, where layers is not 0", "Table 3", choices=SIZES)
    padded: bool = setting(
        False,
        "an odd number of actions gets one more, always zero, as published",
        "our choice: the zero has no density; halves may be uneven",
    )
    search: bool = setting(False, "each member draws its learning rate and weight decay from Table 3's ranges", CODE)
    learning_rate: float = setting(5e-4, "AdamW's learning rate, unless searched", CODE, low=0.0)
    weight_decay: float = setting(1e-4, "AdamW's weight decay, unless searched", CODE, low=0.0)
    gradient_limit: float = setting(0.1, "length to which a gradient is cut", CODE, low=1e-9)
    held_out: float = setting(0.1, "share of the data for validation", "Section 4.1", low=1e-6, high=0.9)
    batch_size: int = setting(1024, "actions per update", CODE, low=1, high=65_536)
    total_steps: int = setting(100_000, "updates", "Table 3", low=1, high=10**7, unit="updates")
    evaluate_every: int = setting(2_500, "interval of validations", "our choice", low=1, unit="updates")

    @property
    def size(self) -> tuple[int, str]:
        """Steps of the flow and widths of a coupling's network."""
        return (self.layers, self.units) if self.layers else TABLE_3[self.quality]


# The agents

SECTION, TABLE_2 = "Section 3.3", "Table 2"


@dataclass(frozen=True)
class Agent(OnData):
    """What the agents share: twin critics with targets, a discount."""

    discount: float = setting(0.99, "discount factor", CODE, low=0.0, high=1.0)
    hidden: str = setting("3x256", "layers x units of policy and critics", CODE, choices=("2x32", "2x256", "3x256"))
    learning_rate: float = setting(3e-4, "Adam's learning rate", TABLE_2, low=0.0)
    target_rate: float = setting(2e-3, "rate tau of the targets' moving average", CODE, low=0.0, high=1.0)
    evaluate_every: int = setting(5_000, "interval of evaluations", "our choice: the code's sweep", low=1, unit="updates")


@dataclass(frozen=True)
class CNF(Agent):
    """The conservative agent: a policy over the latents of a frozen encoder (Algorithm 2)."""

    encoder: str = setting(
        "flow",
        "from latents to actions: the flow, PLAS's VAE, or none: the policy's tanh is the action",
        SECTION,
        choices=("flow", "vae", "none"),
    )
    space: str = setting(
        "actions", "what critics see and the policy's distance is of", "Appendix A.4", choices=("actions", "latents")
    )
    base: str = setting("uniform", "the flow's base", "Section 3.1", choices=("uniform", "normal"))
    clip: float = setting(
        1.0, "latents are clip x tanh(u); 0: u itself, unbounded", "Section 3.1: the uniform box", low=0.0, high=100.0
    )
    temperature: float = setting(1 / 3, "lambda of the weights", TABLE_2, low=1e-6)
    weight_limit: float = setting(100.0, "largest weight of a row", CODE, low=1e-6)
    batch_size: int = setting(512, "transitions per update", "Table 2's middle; the code's default", low=1, high=65_536)
    log_std_low: float = setting(-20.0, "lower clamp of ln sigma", CODE)
    log_std_high: float = setting(2.0, "upper clamp of ln sigma", CODE)

    def problem(self) -> str | None:
        if self.encoder != "vae" and self.base == "uniform" and self.clip != 1:
            return f"clip = {self.clip}: the uniform base's latents fill the box of 1"
        if self.space == "latents" and self.encoder != "flow":
            return f"encoder = {self.encoder}: latents of actions are those of the flow"
        return super().problem()


CORL = "peer: CORL's AWAC"


@dataclass(frozen=True)
class AWAC(Agent):
    """Advantage-weighted actor-critic (Nair et al. 2020)."""

    target_rate: float = setting(5e-3, "rate tau of the targets' moving average", CORL, low=0.0, high=1.0)
    temperature: float = setting(1 / 3, "lambda of the weights", CORL, low=1e-6)
    weight_limit: float = setting(100.0, "largest weight of a row", CORL, low=1e-6)
    batch_size: int = setting(256, "transitions per update", CORL, low=1, high=65_536)
    log_std_low: float = setting(-20.0, "lower clamp of ln sigma", CORL)
    log_std_high: float = setting(2.0, "upper clamp of ln sigma", CORL)


KOSTRIKOV = "peer: Kostrikov et al.'s code"


@dataclass(frozen=True)
class IQL(Agent):
    """Implicit Q-learning (Kostrikov et al. 2022)."""

    hidden: str = setting("2x256", "layers x units of every network", KOSTRIKOV, choices=("2x32", "2x256", "3x256"))
    target_rate: float = setting(5e-3, "rate tau of the targets' moving average", KOSTRIKOV, low=0.0, high=1.0)
    expectile: float = setting(0.7, "expectile of the value's regression", KOSTRIKOV, low=0.5, high=0.999)
    inverse_temperature: float = setting(3.0, "factor beta of the advantage in the weights", KOSTRIKOV, low=0.0)
    weight_limit: float = setting(100.0, "largest weight of a row", KOSTRIKOV, low=1e-6)
    log_std_low: float = setting(-5.0, "lower clamp of ln sigma", KOSTRIKOV)
    log_std_high: float = setting(2.0, "upper clamp of ln sigma", KOSTRIKOV)
    batch_size: int = setting(256, "transitions per update", KOSTRIKOV, low=1, high=65_536)
    return_range: float = setting(
        1000.0,
        "rewards are scaled so that the returns of the data's episodes span this; 0: as they are",
        KOSTRIKOV,
        low=0.0,
    )
    normalised: bool = setting(False, "states are standardised", "peer: Kostrikov et al.'s code; CORL's port does")


ZHOU = "peer: Zhou et al.'s code"


@dataclass(frozen=True)
class VAE(OnData):
    """PLAS's encoder of actions (Zhou et al. 2020)."""

    width: int = setting(750, "units of each hidden layer", ZHOU, low=1, high=10_000)
    kl_weight: float = setting(0.5, "weight of the KL divergence", ZHOU, low=0.0)
    log_std_low: float = setting(-4.0, "lower clamp of the posterior's ln sigma", ZHOU)
    log_std_high: float = setting(15.0, "upper clamp of the posterior's ln sigma", ZHOU)
    learning_rate: float = setting(1e-4, "Adam's learning rate", ZHOU, low=0.0)
    normalised: bool = setting(False, "states are standardised", "peer: Zhou et al.'s code; CNF's agents do")
    batch_size: int = setting(100, "actions per update", ZHOU, low=1, high=65_536)
    total_steps: int = setting(500_000, "updates", ZHOU, low=1, high=10**7, unit="updates")
    evaluate_every: int = setting(10_000, "interval of measurements", "our choice", low=1, unit="updates")


@dataclass(frozen=True)
class PLAS(OnData):
    """The policy in the latent action space (Zhou et al. 2020): deterministic, within a clipped latent box."""

    hidden: str = setting("400-300", "units of the hidden layers of policy and critics", ZHOU, choices=("32-32", "400-300"))
    clip: float = setting(2.0, "latents are clip x tanh(u)", ZHOU, low=1e-6)
    discount: float = setting(0.99, "discount factor", ZHOU, low=0.0, high=1.0)
    target_rate: float = setting(5e-3, "rate tau of the targets' moving average", ZHOU, low=0.0, high=1.0)
    pessimism: float = setting(
        0.75, "weight of the lesser critic in targets, the rest the greater's", ZHOU, low=0.0, high=1.0
    )
    learning_rate: float = setting(1e-4, "Adam's learning rate, policy", ZHOU, low=0.0)
    critic_learning_rate: float = setting(1e-3, "Adam's learning rate, critics", ZHOU, low=0.0)
    batch_size: int = setting(100, "transitions per update", ZHOU, low=1, high=65_536)
    total_steps: int = setting(500_000, "updates", ZHOU, low=1, high=10**7, unit="updates")
    evaluate_every: int = setting(5_000, "interval of evaluations", "our choice: the code's 1000", low=1, unit="updates")


@dataclass(frozen=True)
class Likelihood(OnData):
    """The flow's likelihood of what trained agents do."""

    total_steps: int = setting(1, "updates: nothing is learnt", "our choice", low=1, high=1, unit="updates")
    evaluate_every: int = setting(1, "interval of measurements", "our choice", low=1, high=1, unit="updates")
    batch_size: int = setting(1, "of no use here", "our choice", low=1, high=1)


CHEN = "peer: Chen et al.'s code"


@dataclass(frozen=True)
class LAPO(OnData):
    """Latent-variable advantage-weighted policy optimisation (Chen et al. 2022)."""

    hidden: str = setting("3x256", "layers x units of every network", CHEN, choices=("2x32", "2x256", "3x256"))
    clip: float = setting(2.0, "latents are clip x tanh(u)", CHEN, low=1e-6)
    discount: float = setting(0.99, "discount factor", CHEN, low=0.0, high=0.9999)
    target_rate: float = setting(5e-3, "rate tau of the targets' moving average", CHEN, low=0.0, high=1.0)
    expectile: float = setting(0.9, "weight rho of a row with an advantage; others' 1 - rho", CHEN, low=0.5, high=1.0)
    kl_weight: float = setting(1.0, "weight beta of the KL divergence; 0.3 on mazes", CHEN, low=0.0)
    target_noise: float = setting(0.1, "noise of the target's latents, standard deviation", CHEN, low=0.0)
    target_noise_clip: float = setting(0.2, "clamp of that noise", CHEN, low=0.0)
    learning_rate: float = setting(2e-4, "Adam's learning rate", CHEN, low=0.0)
    batch_size: int = setting(512, "transitions per update", CHEN, low=1, high=65_536)
    total_steps: int = setting(1_000_000, "updates", CHEN, low=1, high=10**7, unit="updates")
    evaluate_every: int = setting(5_000, "interval of evaluations", CHEN, low=1, unit="updates")
