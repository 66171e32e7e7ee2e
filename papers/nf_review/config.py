"""Settings. Imports no learning library."""

from dataclasses import dataclass

from common.rl.config import (
    ACKTR,
    ENVIRONMENTS,
    NETWORK_SIZES,
    PPO,
    SAC,
    TRPO,
    Episodic,
    Iterations,
    OffPolicy,
    Settings,
)
from common.settings import setting


@dataclass(frozen=True)
class Shapes(Iterations):
    """What random flows make of a base distribution. The figure that the review reprints gives no numbers (Rezende & Mohamed
    2015, Figure 1)."""

    total_steps = evaluate_every = 1  # the flows are drawn, and measured, once

    family: str = setting("planar", "the flow", "Figure 1", choices=("planar", "radial"))
    base: str = setting("normal", "N(0, I), or uniform on [-2, 2]^2", "Figure 1", choices=("normal", "uniform"))
    flows: int = setting(10, "how many in turn", "Figure 1", low=1, high=1000)
    points: int = setting(141, "points per side of the grid, over [-4, 4]^2", "our choice", low=11, high=401)


# Multiplicative normalizing flows (Section 3.2).

MNF_CODE = "peer: the code of Touati et al. 2018"
N_CHAIN = f"{MNF_CODE}, n-chain"


@dataclass(frozen=True)
class Multipliers(Settings):
    """The flows of multipliers, and how wide posteriors are."""

    largest_std: float = setting(0.5, "clamp of the weights' sigma", MNF_CODE, low=1e-6, high=1e6)
    flow_length: int = setting(1, "flows in turn, of q and of r", N_CHAIN, low=1, high=10)
    flow_width: int = setting(16, "hidden units of a flow", N_CHAIN, low=1, high=256)
    gate: float = setting(
        0.0, "bias of the flows' gates at the start", f"{MNF_CODE}; +2 in Louizos & Welling's", low=-10.0, high=10.0
    )


@dataclass(frozen=True)
class MNFRegression(Multipliers, Iterations):
    """Twenty points of y = x^3 and a posterior over the weights of a small network."""

    posterior: str = setting(
        "masked",
        "mean field, or multiplied by masked couplings (the paper) or inverse autoregressive flows (the review)",
        "Section 3.2",
        choices=("mean_field", "masked", "iaf"),
    )
    units: int = setting(100, "hidden units", "peer: Hernandez-Lobato & Adams 2015", low=1, high=1000)
    log_std: float = setting(-3.0, "ln sigma of the weights at the start", "our choice: the same for every posterior")
    largest_std: float = setting(
        1e3,
        "clamp of the weights' sigma: none",
        "our choice: at 1/2 no weight could be left at its prior",
        low=1e-6,
        high=1e6,
    )
    flow_width: int = setting(50, "hidden units of a flow", "peer: Louizos & Welling 2017", low=1, high=256)
    flow_length: int = setting(2, "flows in turn, of q and of r", "peer: Louizos & Welling 2017", low=1, high=10)
    samples: int = setting(5, "draws of every point in an update", "our choice", low=1, high=1000)
    evaluation_samples: int = setting(200, "draws of an evaluation", "our choice", low=2, high=10_000)
    learning_rate: float = setting(3e-3, "Adam's learning rate", "our choice", low=0.0)
    total_steps: int = setting(10_000, "updates", "our choice", low=1, high=10_000_000, unit="updates")
    evaluate_every: int = setting(500, "interval of evaluations", "our choice", low=1, unit="updates")


@dataclass(frozen=True)
class ValueLearning(Episodic):
    """What the deep Q-learners of the n-chain and of MountainCar share."""

    timeouts: str = setting("terminal", "what a time limit is", N_CHAIN, choices=("terminal", "bootstrapped"))
    hidden: str = setting("2x16", "layers x units", N_CHAIN, choices=("1x16", "2x16", "2x32", "2x64"))
    discount: float = setting(0.999, "discount factor gamma", N_CHAIN, low=0.0, high=1.0)
    learning_rate: float = setting(1e-3, "Adam's learning rate", N_CHAIN, low=0.0)
    adam_epsilon: float = setting(1.5e-4, "Adam's epsilon", N_CHAIN, low=0.0)


@dataclass(frozen=True)
class DQN(ValueLearning):
    """Epsilon-greedy deep Q-learning."""

    epsilon_start: float = setting(1.0, "probability of a random action at the start", N_CHAIN, low=0.0, high=1.0)
    epsilon_end: float = setting(0.1, "probability of a random action at the end", N_CHAIN, low=0.0, high=1.0)
    epsilon_episodes: int = setting(1000, "episodes in which it falls", N_CHAIN, low=1, unit="episodes")


@dataclass(frozen=True)
class NoisyDQN(ValueLearning):
    """Deep Q-learning with noisy layers."""

    sigma: float = setting(0.4, "sigma_0, noise at the start", N_CHAIN, low=0.0)


@dataclass(frozen=True)
class BootstrappedDQN(ValueLearning):
    """Deep Q-learning with bootstrapped heads."""

    heads: int = setting(10, "heads K", N_CHAIN, low=1, high=1000)


@dataclass(frozen=True)
class BayesDQN(ValueLearning):
    """Deep Q-learning with a mean field over weights."""

    rho: float = setting(-3.0, "softplus(rho) is sigma at the start", N_CHAIN)
    divergence_weight: float = setting(
        312.5, "alpha: the divergence counts alpha / buffer_size", f"{N_CHAIN}: it divides by the batch, 32", low=0.0
    )


@dataclass(frozen=True)
class MNFDQN(Multipliers, ValueLearning):
    """Deep Q-learning with multiplicative normalizing flows."""

    flow: str = setting("masked", "masked couplings, or inverse autoregressive", "Section 3.2", choices=("masked", "iaf"))
    log_std: float = setting(-9.0, "ln sigma of the weights at the start", N_CHAIN)
    divergence_weight: float = setting(1.0, "alpha: the divergence counts alpha / buffer_size", N_CHAIN, low=0.0)


ATARI = f"{MNF_CODE}, Atari"
YOUNG = "peer: Young & Tian 2019"
ARCADE = ("MinAtar-Asterix", "MinAtar-Breakout", "MinAtar-Freeway", "MinAtar-Seaquest", "MinAtar-SpaceInvaders")


@dataclass(frozen=True)
class MinAtar(Multipliers, Settings):
    """Deep Q-learners on the games of MinAtar, which stand in for Atari's."""

    loop = "arcade"
    whole_fleet = True  # its networks are so small that another member costs little
    timeouts = "bootstrapped"  # the games have no time limit

    env: str = setting("MinAtar-Breakout", "game", "our choice: Atari in small", choices=ARCADE)
    agent: str = setting("mnf", "which weights have which noise", "Section 3.2", choices=("mnf", "bayes", "noisy", "dqn"))
    episode_steps: int = setting(5_000, "time limit of an episode", "our choice: the games have none", low=1, unit="steps")
    total_steps: int = setting(5_000_000, "environment steps", YOUNG, low=1, high=100_000_000, unit="steps")
    evaluate_every: int = setting(50_000, "interval of records, means since the last", "our choice", low=1, unit="steps")
    warmup: int = setting(5_000, "random actions before an agent acts and learns", YOUNG, low=0, unit="steps")
    update_every: int = setting(4, "interval of updates, and of new noise", ATARI, low=1, unit="steps")
    target_every: int = setting(1_000, "interval of copies to the target network", YOUNG, low=1, unit="steps")
    batch_size: int = setting(32, "transitions per update", ATARI, low=1, high=65_536)
    buffer_size: int = setting(100_000, "capacity of the replay buffer", YOUNG, low=1, unit="transitions")
    filters: int = setting(16, "filters of the convolution, 3 x 3, which has no noise", YOUNG, low=1, high=1024)
    units: int = setting(128, "units of the dense layer after it", YOUNG, low=1, high=4096)
    discount: float = setting(0.99, "discount factor gamma", ATARI, low=0.0, high=1.0)
    learning_rate: float = setting(1e-4, "Adam's learning rate", ATARI, low=0.0)
    adam_epsilon: float = setting(1.5e-4, "Adam's epsilon", N_CHAIN, low=0.0)
    epsilon_start: float = setting(1.0, "of dqn: probability of a random action at the start", YOUNG, low=0.0, high=1.0)
    epsilon_end: float = setting(0.1, "of dqn: the same at the end", YOUNG, low=0.0, high=1.0)
    epsilon_steps: int = setting(100_000, "of dqn: steps in which it falls", YOUNG, low=1, unit="steps")
    sigma: float = setting(0.4, "of noisy: sigma_0, noise at the start", N_CHAIN, low=0.0)
    flow: str = setting("masked", "masked couplings, or inverse autoregressive", "Section 3.2", choices=("masked", "iaf"))
    flow_length: int = setting(2, "flows in turn, of q and of r", "Section 3.2", low=1, high=10)
    flow_width: int = setting(50, "hidden units of a flow", "Section 3.2", low=1, high=256)
    log_std: float = setting(-9.0, "of mnf: ln sigma of the weights at the start", N_CHAIN)
    rho: float = setting(-3.0, "of bayes: softplus(rho) is sigma at the start", N_CHAIN)
    divergence_weight: float = setting(
        1e-3,
        "alpha: the divergence counts alpha / buffer_size",
        f"our choice: in the grid of {ATARI}, 1e-6 to 1e-2",
        low=0.0,
    )

    def problem(self) -> str | None:
        if self.total_steps < self.evaluate_every or self.total_steps > 200 * self.evaluate_every:
            return f"evaluate_every = {self.evaluate_every} must give 1 to 200 points in total_steps = {self.total_steps}"
        return super().problem()


# Multiplicative flows in the critic of an actor (Section 3.2).

DDPG_TOUATI = "peer: Touati et al. 2018, Appendix C"
COUNTED = ("plain", "mean_field", "masked", "iaf")


@dataclass(frozen=True)
class CriticLearning(OffPolicy):
    """What the DDPG learners share: actor and critic of two layers, each normalised before its ReLU."""

    whole_fleet = True  # an update is hundreds of small operations, which another member costs little
    policy_delay = 1  # updates of the critic per step of the actor

    base: str = setting("2x64", "layers x units of the actor", DDPG_TOUATI, choices=NETWORK_SIZES)
    critic: str = setting(
        "2x64", "layers x units of the critic, which sees the action from its second layer on", DDPG_TOUATI,
        choices=tuple(size for size in NETWORK_SIZES if size.startswith("2x")),
    )  # fmt: skip
    total_steps: int = setting(1_000_000, "environment steps", DDPG_TOUATI, low=1, high=100_000_000, unit="steps")
    warmup: int = setting(
        1_000, "random actions before the policy acts", "our choice: few, the same for all", low=0, unit="steps"
    )
    update_after: int = setting(128, "transitions before the first update", "our choice: a batch", low=1, unit="steps")
    batch_size: int = setting(128, "transitions per update", DDPG_TOUATI, low=1, high=65_536)
    buffer_size: int = setting(100_000, "capacity of the replay buffer", DDPG_TOUATI, low=1, unit="transitions")
    evaluate_every: int = setting(10_000, "interval of evaluations", DDPG_TOUATI, low=1, unit="steps")
    evaluation_episodes: int = setting(20, "episodes per evaluation, without noise", DDPG_TOUATI, low=1, high=100)
    coverage: bool = setting(
        True, "evaluations record how widely the states so far are spread", "our choice: where random critics lead"
    )
    discount: float = setting(0.99, "discount factor gamma", DDPG_TOUATI, low=0.0, high=1.0)
    target_rate: float = setting(1e-3, "rate tau of the targets' moving average", DDPG_TOUATI, low=0.0, high=1.0)
    learning_rate: float = setting(1e-4, "Adam's learning rate, actor", DDPG_TOUATI, low=0.0)
    critic_learning_rate: float = setting(1e-3, "Adam's learning rate, critic", DDPG_TOUATI, low=0.0)
    noise_deviation: float = setting(
        0.0, "sigma of the noise of actions, per step", f"{DDPG_TOUATI}: the critic alone is random", low=0.0
    )
    noise_rate: float = setting(
        0.15, "share of it that is lost per step", "peer: Lillicrap et al. 2016, Section 7", low=1e-3, high=1.0
    )


@dataclass(frozen=True)
class OUDDPG(CriticLearning):
    """DDPG with noise that lasts (Lillicrap et al. 2016)."""

    noise_deviation: float = setting(0.2, "sigma of the noise of actions, per step", DDPG_TOUATI, low=0.0)


@dataclass(frozen=True)
class NoisyDDPG(CriticLearning):
    """DDPG with a noisy critic."""

    sigma: float = setting(0.4, "sigma_0, noise at the start", N_CHAIN, low=0.0)


@dataclass(frozen=True)
class PosteriorCritic(CriticLearning):
    """What DDPG with a posterior over the critic's weights has beside the rest."""

    largest_std: float = setting(0.5, "clamp of the weights' sigma", MNF_CODE, low=1e-6, high=1e6)
    divergence_weight: float = setting(
        0.1,
        "alpha: the divergence counts alpha / buffer_size",
        "our choice: of the grid of Touati et al. 2018, 1e-6 to 0.8, of which they took the best",
        low=0.0,
    )


@dataclass(frozen=True)
class BayesDDPG(PosteriorCritic):
    """DDPG with a mean field over the critic's weights."""

    log_std: float = setting(-3.0, "ln sigma of the weights at the start", N_CHAIN)


@dataclass(frozen=True)
class MNFDDPG(Multipliers, PosteriorCritic):
    """DDPG with multiplicative normalizing flows in the critic."""

    flow: str = setting("masked", "masked couplings, or inverse autoregressive", "Section 3.2", choices=("masked", "iaf"))
    flow_length: int = setting(1, "flows in turn, of q and of r", "Section 3.2", low=1, high=10)
    flow_width: int = setting(16, "hidden units of a flow", "Section 3.2", low=1, high=256)
    log_std: float = setting(-9.0, "ln sigma of the weights at the start", N_CHAIN)


@dataclass(frozen=True)
class MNFCost(Multipliers, Iterations):
    """Operations of one step on dense layers of growing size."""

    total_steps = evaluate_every = 1  # nothing is trained

    posterior: str = setting("masked", "the layer's weights, or their posterior", "Section 3.2", choices=COUNTED)
    log_std: float = setting(-9.0, "ln sigma of the weights at the start", N_CHAIN)
    largest: int = setting(1024, "units of the largest layer, of as many inputs", "our choice", low=32, high=8192)
    batch_size: int = setting(128, "rows of a batch", DDPG_TOUATI, low=1, high=65_536)


# Implicit policies (Section 3.1.1).


@dataclass(frozen=True)
class EntropyBound(Iterations):
    """Entropy regularisation against the maximum-entropy objective, in small decision processes."""

    total_steps = evaluate_every = 1  # nothing is trained

    states: int = setting(10, "states", "our choice", low=2, high=200)
    actions: int = setting(4, "actions", "our choice", low=2, high=50)
    concentration: float = setting(0.3, "of the Dirichlet law of transitions", "our choice: few successors", low=1e-3)
    logits: float = setting(1.0, "deviation of the policy's logits", "our choice", low=0.0, high=10.0)
    discount: float = setting(0.9, "discount factor", "our choice", low=0.0, high=0.999)
    temperature: float = setting(0.1, "beta: weight of the entropy", "our choice: several", low=0.0)
    kl_radius: float = setting(0.01, "largest KL of a step over states", "our choice: several", low=1e-12, unit="nats")


FLOW = "as TRPO with flows: peer: Tang & Agrawal 2018, Appendix B"


@dataclass(frozen=True)
class PPOFlow(PPO):
    """PPO with a flow or a Gaussian, on the point with four goals."""

    loop = "goals"

    env: str = setting("MultiGoal-v0", "environment", "peer: Haarnoja et al.'s code", choices=("MultiGoal-v0",))
    policy: str = setting("flow", "policy class", "Section 3.1.1", choices=("gaussian", "flow"))
    couplings: int = setting(4, "couplings", FLOW, low=1, high=64)
    coupling_units: int = setting(3, "units per hidden layer of s and t", FLOW, low=1, high=1024)
    embedding_units: int = setting(64, "units per hidden layer of the network of the state", FLOW, low=1, high=4096)
    path_entropy_weight: float = setting(0.0, "weight of the entropy, along the samples", "our choice: several", low=0.0)
    entropy_samples: int = setting(10, "actions per state for the entropy", "peer: Tang & Agrawal's code", low=1, high=1000)
    rollouts: int = setting(200, "episodes of the trained policy that are followed", "our choice", low=1, high=100_000)


@dataclass(frozen=True)
class PPOLocomotion(PPOFlow):
    """The same on the robots of OpenAI Gym."""

    loop = "on_policy"

    env: str = setting("HalfCheetah-v4", "environment", "our choice: -v4", choices=ENVIRONMENTS)
    observation_noise: float = setting(
        0.0, "deviation of the noise on normalised observations", "our choice: several", low=0.0, high=100.0
    )


# Policies by algorithms: a question of ours.


@dataclass(frozen=True)
class PolicyClass(Settings):
    """Which policy, for every algorithm that trains it."""

    policy: str = setting("gaussian", "policy class", "Section 3.1.1", choices=("gaussian", "mixture", "coupling", "spline"))
    couplings: int = setting(4, "couplings of a flow", FLOW, low=1, high=64)
    coupling_units: int = setting(3, "units per hidden layer of a coupling", FLOW, low=1, high=1024)
    components: int = setting(2, "Gaussians of a mixture", "our choice: about as many parameters", low=2, high=100)
    bins: int = setting(3, "bins of a spline", "our choice: about as many parameters", low=2, high=64)
    bound: float = setting(
        3.0, "splines bend within +- this", "our choice: three deviations of the noise", low=0.1, high=100.0
    )


@dataclass(frozen=True)
class TRPOPolicies(PolicyClass, TRPO):
    """TRPO with one of the four classes."""


@dataclass(frozen=True)
class ACKTRPolicies(PolicyClass, ACKTR):
    """ACKTR with one of the four classes."""


@dataclass(frozen=True)
class PPOPolicies(PolicyClass, PPO):
    """PPO with one of the four classes."""


@dataclass(frozen=True)
class SACPolicies(PolicyClass, SAC):
    """Soft actor-critic with one of the four classes."""


SQL_CODE = "peer: the code of Haarnoja et al. 2017, soft Q-learning"


@dataclass(frozen=True)
class SoftQ(OffPolicy):
    """Soft Q-learning with an amortised sampler (Haarnoja et al. 2017)."""

    base: str = setting("2x128", "layers x units of the sampler", SQL_CODE, choices=NETWORK_SIZES)
    critic: str = setting("2x128", "layers x units of the critic", SQL_CODE, choices=NETWORK_SIZES)
    warmup: int = setting(1_000, "random actions before the sampler acts", SQL_CODE, low=0, unit="steps")
    update_after: int = setting(1_000, "transitions before the first update", SQL_CODE, low=1, unit="steps")
    batch_size: int = setting(128, "transitions per update", SQL_CODE, low=1, high=65_536)
    buffer_size: int = setting(
        1_000_000,
        "capacity of the replay buffer",
        f"{SQL_CODE}: ten times as large on HalfCheetah",
        low=1,
        unit="transitions",
    )
    discount: float = setting(0.99, "discount factor", SQL_CODE, low=0.0, high=1.0)
    temperature: float = setting(
        1 / 30, "entropy weight alpha", f"{SQL_CODE}: 1 / scale of rewards; Reacher: ours", low=1e-8
    )
    learning_rate: float = setting(3e-4, "Adam's learning rate, sampler and critic", SQL_CODE, low=0.0)
    particles: int = setting(8, "particles that are fixed, and that are moved", f"{SQL_CODE}: 16, half of them moved", low=1)
    value_particles: int = setting(16, "actions of the estimate of V", SQL_CODE, low=1)
    target_every: int = setting(1_000, "updates between copies of the critic", SQL_CODE, low=1, unit="updates")


# Latent-space policies (Section 3.1.3).

LSP_CODE = "peer: the code of Haarnoja et al. 2018, Latent space policies"


@dataclass(frozen=True)
class LSP(SAC):
    """Soft actor-critic with a policy that is a flow of latents, or a Gaussian."""

    loop = "staged"

    policy: str = setting("flow", "policy class", "Section 3.1.3", choices=("flow", "gaussian"))
    couplings: int = setting(2, "couplings of a level", LSP_CODE, low=2, high=64)
    bias_deviation: float = setting(1.0, "standard deviation of their biases at the start", LSP_CODE, low=0.0, high=10.0)
    base: str = setting(
        "2x256", "layers x units of the network of the state", f"{LSP_CODE}: 2x256, in hierarchies 2x128",
        choices=NETWORK_SIZES,
    )  # fmt: skip
    critic: str = setting("2x256", "layers x units of each critic", LSP_CODE, choices=NETWORK_SIZES)
    total_steps: int = setting(
        1_000_000,
        "environment steps",
        f"{LSP_CODE}: Hopper and Walker2d; ours for all",
        low=1,
        high=100_000_000,
        unit="steps",
    )
    warmup: int = setting(
        1_000, "random actions before the policy acts", f"{LSP_CODE}: 10,000 on HalfCheetah and Ant", low=0, unit="steps"
    )
    update_after: int = setting(
        1_000, "transitions before the first update", f"{LSP_CODE}: 10,000 on HalfCheetah and Ant", low=1, unit="steps"
    )
    batch_size: int = setting(256, "transitions per update", f"{LSP_CODE}: in hierarchies 128", low=1, high=65_536)
    buffer_size: int = setting(1_000_000, "capacity of the replay buffer", LSP_CODE, low=1, unit="transitions")
    evaluate_every: int = setting(10_000, "interval of evaluations", "our choice: 1,000 there", low=1, unit="steps")
    evaluation_episodes: int = setting(10, "episodes per evaluation", "our choice: 1 there", low=1, high=100)
    discount: float = setting(0.99, "discount factor", LSP_CODE, low=0.0, high=1.0)
    temperature: float = setting(
        0.2, "entropy weight alpha, fixed", f"{LSP_CODE}: rewards times 5, which is the same", low=0.0
    )
    target_rate: float = setting(
        5e-3, "rate tau of the target critics' moving average", f"{LSP_CODE}: in hierarchies 0.01", low=0.0, high=1.0
    )
    learning_rate: float = setting(3e-4, "Adam's learning rate, policy and critics", LSP_CODE, low=0.0)
    log_std_low: float = setting(-20.0, "lower clamp of ln sigma, of a Gaussian alone", "peer: Haarnoja et al. 2018")
    log_std_high: float = setting(2.0, "upper clamp of ln sigma, of a Gaussian alone", "peer: Haarnoja et al. 2018")


@dataclass(frozen=True)
class LSPSecond(LSP):
    """A second level on top of a frozen first one."""

    policy: str = setting("flow", "policy class", "Section 3.1.3", choices=("flow",))
    warmup: int = setting(0, "random actions before the policy acts", LSP_CODE, low=0, unit="steps")
    update_after: int = setting(1_000, "transitions before the first update", LSP_CODE, low=1, unit="steps")
    temperature: float = setting(
        0.2, "entropy weight alpha, fixed", f"our choice: the first level's; {LSP_CODE} has rewards times 3", low=0.0
    )


# Flow families (Section 2.3), for densities (2.1) and for variational inference (2.2).

SIMPLE = ("planar", "radial", "sylvester", "householder")
MODERN = ("nice", "realnvp", "permuted", "glow", "glow_lu", "maf", "iaf", "iaf_gated", "spline", "spline_ar")
FAMILIES = ("mean_field", *SIMPLE, *MODERN)


@dataclass(frozen=True)
class Family(Iterations):
    """Which flow."""

    family: str = setting("realnvp", "the flow; mean_field: none", "Section 2.3", choices=FAMILIES)
    flows: int = setting(8, "steps in turn", "our choice", low=1, high=1000)
    hidden: str = setting(
        "2x32", "layers x units of a step's networks", "our choice", choices=("1x16", "2x3", "2x8", "2x32", "2x64")
    )


@dataclass(frozen=True)
class FamilyCosts(Family):
    """What samples and densities cost; nothing is trained."""

    total_steps = evaluate_every = 1

    event: int = setting(2, "dimensions", "our choice", low=2, high=64)


@dataclass(frozen=True)
class Fitted(Family):
    """What flows share that are fitted to data, or to a posterior."""

    event = 2  # dimensions

    learning_rate: float = setting(
        3e-3, "Adam's learning rate; it falls to 0 over the second half of the updates", "our choice", low=0.0
    )
    batch_size: int = setting(256, "points, or samples, of an update", "our choice", low=1, high=1_000_000)
    gradient_limit: float = setting(10.0, "longest gradient of a member", "our choice", low=0.0)
    total_steps: int = setting(10_000, "updates", "our choice", low=1, high=10_000_000, unit="updates")
    evaluate_every: int = setting(500, "interval of evaluations", "our choice", low=1, unit="updates")
    grid_points: int = setting(61, "points per side of the grid that is drawn", "our choice", low=11, high=401)


@dataclass(frozen=True)
class Density(Fitted):
    """Density estimation in the plane."""

    data: str = setting("moons", "the distribution", "our choice", choices=("moons", "rings", "spirals", "checkerboard"))
    points: int = setting(10_000, "points, and as many held out", "our choice", low=10, high=1_000_000)
    mass_points: int = setting(401, "points per side of the grid of the mass", "our choice", low=11, high=2001)


RM = "peer: Rezende & Mohamed 2015"


@dataclass(frozen=True)
class Variational(Fitted):
    """Variational inference."""

    energy: str = setting(
        "U1",
        "the posterior: four energies in the plane, two bandits, or pairs of bananas in any even dimension",
        f"{RM}, Table 1; Figure 2; our choice",
        choices=("U1", "U2", "U3", "U4", "correlated", "bimodal", "bananas"),
    )
    event: int = setting(2, "dimensions", "our choice: several, of bananas", low=2, high=256)
    correlated: bool = setting(
        False, "a free linear map follows the flow; after none it makes a Gaussian with correlations", "our choice"
    )
    first_spread: float = setting(
        0.0, "deviation of the means before training", "our choice: of Gaussians alone, which stay near them", low=0.0
    )
    annealing: float = setting(
        0.5,
        "share of the updates in which the energy's weight rises from 0.01 to 1; 0: it is 1",
        f"{RM}, eq. 20: in 10,000 updates",
        low=0.0,
        high=1.0,
    )
    evaluation_samples: int = setting(10_000, "samples of an evaluation", "our choice", low=2, high=1_000_000)
    total_steps: int = setting(
        20_000, "updates", "our choice: twice those of the annealing", low=1, high=10_000_000, unit="updates"
    )

    def problem(self):
        if self.event % 2 or (self.event > 2 and self.energy != "bananas"):
            return f"event = {self.event}: {self.energy} lies in " + ("pairs" if self.energy == "bananas" else "the plane")
        return super().problem()
