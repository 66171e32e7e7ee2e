"""Settings of TRPO and ACKTR with the paper's policy classes, and of its toys. Imports no learning library."""

from dataclasses import dataclass

from common.rl import config as shared
from common.settings import fields, setting
from papers.trpo_nf.classes import CLASSES

PRESETS = ("equations", "released")
PRESET_MEANING = (
    "equations: K single couplings without layer normalisation, independent components with the mixture's own density, "
    "negative curvature takes no step; released: K pairs of couplings with layer normalisation, one trunk and the geometric "
    "mean of densities, no normalising constant, batches of negative curvature skipped by the flow"
)


def changed(config, *names):
    """'name = value' of the first of these settings, as far as the class has them, that is not at its default; or None."""
    declared = fields(type(config))
    for name in names:
        if name in declared and (value := getattr(config, name)) != declared[name].default:
            return f"{name} = {value}"
    return None


@dataclass(frozen=True)
class Policy(shared.Settings):
    """The policy classes, for every algorithm that trains them."""

    policy: str = setting("flow", "policy class", "Section 5.1", choices=tuple(CLASSES))
    preset: str = setting("equations", PRESET_MEANING, "paper and authors' code", choices=PRESETS)
    couplings: int = setting(4, "K: couplings, or pairs of them as released", "Appendix B", low=1, high=64)
    coupling_units: int = setting(3, "l1: units per hidden layer of s and t", "Appendix B", low=1, high=1024)
    embedding_units: int = setting(64, "units per hidden layer of the state embedding L", "Appendix B", low=1, high=4096)

    def problem(self):
        of_flows = ("couplings", "coupling_units", "embedding_units")
        ignored = changed(self, *(("hidden",) if self.policy == "flow" else of_flows))
        if ignored:
            instead = "; a flow's width is embedding_units" if self.policy == "flow" else ", policy = 'flow' alone has it"
            return f"{ignored} would be ignored by policy = {self.policy!r}{instead}"
        return super().problem()


@dataclass(frozen=True)
class TRPONF(Policy, shared.TRPO):
    """TRPO with a factorised Gaussian, a mixture of 2 or 5 Gaussians, or a normalizing flow (Sections 4 and 5)."""

    def problem(self):
        if self.fisher == "analytic" and self.policy != "gaussian":
            return f"fisher = 'analytic' is known for policy = 'gaussian' alone, not for {self.policy!r}"
        if self.preset == "released" and self.skip_negative_curvature:
            return "preset = 'released' sets skip_negative_curvature itself; leave it out"
        return super().problem()


@dataclass(frozen=True)
class PPONF(Policy, shared.PPO):
    """PPO with the same policies: the paper's conclusion says that the flow gains little there."""


@dataclass(frozen=True)
class ACKTR(Policy, shared.ACKTR):
    """ACKTR with the same policies (Section 5.1, Figure 5)."""

    kl_radius: float = setting(
        0.002, "KL that the step size aims at", "Appendix A: .02 and .002", low=1e-8, unit="nats", per_member=True
    )


@dataclass(frozen=True)
class Toys(Policy, shared.Iterations):
    """Distributions over actions in two dimensions, without state or environment (Sections 4.2 and 4.3)."""

    toy: str = setting(
        "kl_ball",
        "kl_ball, entropy: Figure 1; correlated, bimodal: the bandits of Figure 2",
        "Sections 4.2 and 4.3",
        choices=("kl_ball", "entropy", "correlated", "bimodal"),
    )
    constant: bool = setting(
        True, "the flow's log-density has its normalising constant", "eq. 6; the released density lacks it"
    )
    estimator: str = setting(
        "pathwise", "gradient of the bandits' objective", "our choice: the paper names both", choices=("pathwise", "score")
    )
    iterations: int = setting(10_000, "gradient steps", "our choice: the paper states none", low=1, high=1_000_000)
    samples: int = setting(512, "samples per gradient step", "our choice: the paper states none", low=2, high=100_000)
    learning_rate: float = setting(1e-3, "Adam's, falling to 0 over the last half", "our choice", low=0.0)
    kl: float = setting(0.01, "KL at the boundary of the ball", "Section 4.2", low=0.0, unit="nats")
    origin_std: float = setting(0.1, "standard deviation of the ball's centre", "Section 4.2", low=1e-6)
    origin_samples: int = setting(1000, "samples that form the ball's centre", "our choice", low=2, high=100_000)
    entropy: float = setting(-1.0, "entropy to reach", "Figure 1 (c): -1 and -4", unit="nats")
    temperature: float = setting(0.1, "weight c of the entropy", "our choice: the paper states none", low=1e-6)
    correlation: float = setting(
        0.9, "of Sigma = [[1, rho], [rho, 1]]", "our choice: the paper states none", low=-0.99, high=0.99
    )
    distance: float = setting(0.5, "modes of the bimodal bandit at -(d, d) and (d, d)", "our choice", low=0.0, high=2.0)
    width: float = setting(0.5, "Lambda = diag(width, width)", "our choice: the paper states none", low=1e-6)
    first_spread: float = setting(
        0.1, "deviation of the means before a bandit's training", "our choice: components start together", low=0.0
    )

    @property
    def total_steps(self):
        """What the loop counts."""
        return self.iterations

    @property
    def evaluate_every(self):
        """The interval of records, of which a run has 20."""
        return max(1, self.iterations // 20)

    def problem(self):
        bandits = ("correlated", "bimodal")
        read_by = {"kl": ("kl_ball",), "origin_std": ("kl_ball",), "origin_samples": ("kl_ball",), "entropy": ("entropy",),
                   "estimator": bandits, "temperature": bandits, "first_spread": bandits, "correlation": ("correlated",),
                   "distance": ("bimodal",), "width": ("bimodal",), "embedding_units": ()}  # fmt: skip
        if ignored := changed(self, *(name for name, toys in read_by.items() if self.toy not in toys)):
            return f"{ignored} would be ignored by toy = {self.toy!r}"
        if not self.constant and self.policy != "flow":
            return f"constant = False would be ignored by policy = {self.policy!r}, policy = 'flow' alone has it"
        return super().problem()
