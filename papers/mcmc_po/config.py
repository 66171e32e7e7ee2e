"""Settings of the Hamiltonian and Langevin policies, their baselines and the toy bandit. Imports no learning library."""

import math
from dataclasses import dataclass

from common.rl import config as shared
from common.settings import setting

FLOOR = "our choice: the temperature that Section 5 gives SAC"
GATES = ("gated", "plain", "implicit")
GATE_SIZES = ("1x8", "1x16", "1x32", "1x64", "1x256", "2x16")


@dataclass(frozen=True)
class TrustRegion(shared.Settings):
    """How a policy is held near its last snapshot: the multiplier beta and its PID controller (Section 4.1)."""

    pid: bool = setting(True, "beta is controlled; else it stays as it starts", "Section 4.1")
    beta: float = setting(0.2, "multiplier beta at the start", "our choice: SAC's usual temperature", low=0.0, high=1e3)
    beta_cap: float = setting(10.0, "largest beta; bounds the integral too", "our choice: anti-wind-up", low=1e-6, high=1e6)
    proportional: float = setting(0.05, "gain K_P", "our choice: the paper tuned it empirically", low=0.0, high=1e3)
    integral: float = setting(0.005, "gain K_I", "our choice: the paper tuned it empirically", low=0.0, high=1e3)
    derivative: float = setting(0.01, "gain K_D", "our choice: the paper tuned it empirically", low=0.0, high=1e3)
    smoothing: float = setting(
        0.95, "weight of the past in the controlled distance", "peer: CPPO-PID's moving average", low=0.0, high=0.9999
    )
    threshold: float = setting(
        0.1, "distance to hold", "our choice: the paper gives none", low=0.0, high=1e3, unit="nats per action dimension"
    )
    snapshot_every: int = setting(
        50, "policy steps between snapshots theta_t", "our choice: at 1 the KL term has no gradient", low=1, high=10**9
    )

    pid_every: str = setting(
        "step",
        "beta moves at every policy step, or at the last one before a snapshot, by the distance then",
        "our choice: Section 4.1 has the end of every policy iteration, of several steps",
        choices=("step", "snapshot"),
    )

    def problem(self):
        if self.beta > self.beta_cap:
            return f"beta = {self.beta} exceeds beta_cap = {self.beta_cap}"
        return super().problem()


@dataclass(frozen=True)
class Leapfrog(shared.Settings):
    """The Hamiltonian transition: K leapfrog steps before tanh, and the gate (Sections 3.2 and 4.2)."""

    leapfrog_steps: int = setting(5, "leapfrog steps K", "Section 3.3: around 5", low=0, high=100)
    step_size: float = setting(
        0.05, "step sizes epsilon at the start; stable below 2 exp(log_std_low)", "our choice", low=1e-6, high=100.0
    )
    # A leapfrog step on a Gaussian diverges from epsilon = 2 sigma on. At this bound five steps of 0.05 change the energy by
    # 0.03 nats per action dimension, below the threshold on D; at ln sigma = -3 it is 0.14, at -5, where SAC may go, over
    # 50.
    log_std_low: float = setting(
        -2.5, "lower clamp of ln sigma", "our choice: the energy error of steps of 0.05 stays below the threshold"
    )
    largest_step: float = setting(
        0.5, "upper end of the step sizes' range", "peer: the Hamiltonian VAE's code", low=1e-5, high=100.0
    )
    kick_limit: float = setting(
        1.0, "clamp of epsilon times the gradient", "our choice: Q / beta has no scale", low=1e-6, high=1e9
    )
    gate: str = setting("gated", "gradient: gated, explicit alone, implicit alone", "Section 4.2", choices=GATES)
    gate_units: str = setting(
        "1x16",
        "layers x units of the networks sigma and T",
        "our choice: Section 5 has two layers of 16 neurons, to be read as 1x16 or as 2x16",
        choices=GATE_SIZES,
    )
    gate_open: float = setting(0.9, "sigma at the start", "our choice: near plain leapfrog", low=1e-6, high=0.999999)
    gate_state: bool = setting(True, "sigma and T see the state", "our choice: Section 4.2 leaves it open")
    learn_transition: bool = setting(True, "step sizes and gate are learned", "Section 3.2, eq. 11")
    transition_learning_rate: float = setting(1e-4, "Adam's learning rate, step sizes and gate", "our choice", low=0.0)
    alternation: str = setting(
        "fresh",
        "the step on h takes a chain of its own from the new theta, or shares that of the step on theta",
        "eq. 11: theta first, then h",
        choices=("fresh", "shared"),
    )

    def problem(self):
        if self.step_size >= self.largest_step:
            return f"step_size = {self.step_size} must lie below largest_step = {self.largest_step}"
        stable = 2 * math.exp(self.log_std_low)
        if self.leapfrog_steps and self.step_size >= stable:
            return f"step_size = {self.step_size} must lie below 2 exp(log_std_low) = {stable:.3g}: else chains diverge"
        return super().problem()


@dataclass(frozen=True)
class SACCoupling(shared.SAC):
    """The baseline with a coupling flow of about as many parameters as the Hamiltonian policy."""

    couplings: int = setting(2, "couplings", "our choice: each half of the action once", low=1, high=100)
    coupling_units: str = setting(
        "1x16", "layers x units of a coupling's networks", "our choice: as sigma and T", choices=GATE_SIZES
    )


@dataclass(frozen=True)
class HMC(TrustRegion, Leapfrog, shared.SAC):
    """Hamiltonian policy optimisation (Algorithm 1)."""

    temperature: float = setting(0.05, "least temperature inside the potential: max(beta, this)", FLOOR, low=1e-6)
    pessimism: str = setting(
        "min", "Q of the chain and the objective: least or mean of the critics", "our choice", choices=("min", "mean")
    )
    target: str = setting(
        "chain",
        "action of the critics' target: after the chain, before it, or after it with the KL term",
        "our choice: Q is the policy's plain value",
        choices=("chain", "base", "soft"),
    )


@dataclass(frozen=True)
class LangevinSteps(TrustRegion):
    """The Langevin transition, and how far it may take a deterministic policy's action (Section 3.1)."""

    kind: str = setting(
        "flow", "noisy chain of eq. 7 or flow of eq. 9", "Section 3.1: eq. 9 for DDPG and TD3", choices=("noisy", "flow")
    )
    chain_steps: int = setting(5, "Langevin steps or layers K", "our choice: as the Hamiltonian policy", low=0, high=100)
    step_size: float = setting(0.05, "epsilon at the start, one per step", "our choice", low=1e-6, high=100.0)
    largest_step: float = setting(0.5, "upper end of epsilon's range", "our choice", low=1e-5, high=100.0)
    noise: float = setting(0.05, "lambda of eq. 7 at the start", "our choice", low=1e-6, high=10.0)
    kick_limit: float = setting(
        0.1,
        "clamp of the gradient's part of a step",
        "our choice: K of them stay inside the action's range, however steep Q is; 1 would drive each action to a bound",
        low=1e-6,
        high=1e9,
    )
    units: str = setting("1x16", "layers x units of sigma, S and T", "our choice: as the gate", choices=GATE_SIZES)
    learn_transition: bool = setting(True, "epsilon, lambda and networks are learned", "Section 3.1, eq. 11")
    transition_learning_rate: float = setting(1e-4, "Adam's learning rate of these", "our choice", low=0.0)
    temperature: float = setting(0.05, "least temperature inside the gradient: max(beta, this)", FLOOR, low=1e-6)
    threshold: float = setting(
        0.1, "distance to hold, times the root of the action dimensions", "our choice", low=0.0, high=1e3
    )

    def problem(self):
        if self.step_size >= self.largest_step:
            return f"step_size = {self.step_size} must lie below largest_step = {self.largest_step}"
        return super().problem()


@dataclass(frozen=True)
class Langevin(LangevinSteps, shared.TD3):
    """TD3, or with its settings DDPG, whose action is moved by Langevin dynamics on the critic (Section 3.1)."""


@dataclass(frozen=True)
class Toys(TrustRegion, Leapfrog, shared.Iterations):
    """The bandit whose posterior is known. Every value is our choice: the paper has no toy."""

    prior: str = setting(
        "fixed", "prior of u: N(0, I), or the policy's last snapshot", "our choice", choices=("fixed", "snapshot")
    )
    base: str = setting(
        "1x4", "layers x units of the policy network", "our choice: small, to leave a gap", choices=("1x2", "1x4", "1x32")
    )
    log_std_high: float = setting(2.0, "upper clamp of ln sigma", "our choice: as HMC")
    pid: bool = setting(False, "beta is controlled; else it stays as it starts", "our choice: a posterior that stays")
    temperature: float = setting(
        0.05, "least temperature inside the potential: max(beta, this)", "our choice: as HMC", low=1e-6
    )
    learning_rate: float = setting(3e-3, "Adam's learning rate, policy", "our choice", low=0.0)
    transition_learning_rate: float = setting(3e-3, "Adam's learning rate, step sizes and gate", "our choice", low=0.0)
    batch_size: int = setting(128, "contexts per iteration", "our choice", low=1, high=65_536)
    total_steps: int = setting(2_000, "policy iterations", "our choice", low=1, high=10**7, unit="iterations")
    evaluate_every: int = setting(100, "interval of evaluations", "our choice", low=1, unit="iterations")
    contexts: int = setting(8, "contexts per evaluation", "our choice", low=1, high=1000)
    samples: int = setting(4_000, "samples per context, of which a histogram is made", "our choice", low=10, high=10**6)
