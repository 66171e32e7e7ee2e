"""Table 1 of the paper beside ours, and every setting with its source."""

import numpy as np
import pandas as pd

from common.lab.report import tabular
from common.lab.report.measures import environments, of_row
from common.lab.results import records
from papers.mcmc_po.comparisons import ENVIRONMENTS, final, rates, seconds, trained

COLUMNS = {
    "HMC": ("hmc",),
    "Langevin, TD3": ("langevin",),
    "Langevin, DDPG": ("langevin_ddpg",),
    "SAC": ("sac",),
    "SAC, tuned": ("sac_auto",),
    "SAC, couplings": ("sac_coupling",),
    "TD3": ("td3",),
    "DDPG": ("ddpg",),
    "bandit": ("bandit",),
}
CHAINED, LANGEVIN, STOCHASTIC = ("HMC", "bandit"), ("Langevin, TD3", "Langevin, DDPG"), ("HMC", "SAC", "SAC, tuned")
ROBOTS = tuple(name for name in COLUMNS if name != "bandit")
PEER = "peer: pytorch-soft-actor-critic"
# What is built into the algorithms and no setting: (what, columns, how, source).
BUILT_IN = (
    ("space of the chain", CHAINED, "before tanh", "our choice: Section 3.2 leaves [-1, 1]"),
    ("base distribution", STOCHASTIC, "diagonal Gaussian, squashed", "our choice: SAC's; Section 3.2 names none"),
    ("momentum", CHAINED, "N(0, I)", "Section 3.2"),
    ("Q of the chain and the objective", LANGEVIN, "the first critic's", "our choice: as TD3's policy"),
    ("critics' gradient in the chain", (*CHAINED, *LANGEVIN), "a constant: exact for ReLU", "our choice"),
    ("hidden activation of policy and critics", ROBOTS, "ReLU", PEER),
    ("hidden activation of sigma, S and T", (*CHAINED, *LANGEVIN), "tanh", "our choice: Section 4.2 names sigmoid and tanh"),
    ("inputs of sigma and T", CHAINED, "gradient, tanh(u), state", "Section 4.2"),
    ("scale of the gradient as an input", CHAINED, "its running root mean square", "our choice: it has no scale of its own"),
    ("T at the start", CHAINED, "0", "our choice: near plain leapfrog"),
    ("norm of eq. 6", LANGEVIN, "L2, sqrt(x'x + 1e-6)", "our choice"),
    ("masks of eq. 9", LANGEVIN, "every other entry, both in turn", "our choice: Section 3.1 keeps a half, any half"),
    ("clip of the action", LANGEVIN, "after every step, gradient passed straight through", "our choice"),
    ("optimisers", ROBOTS, "Adam, one each for policy and critics", PEER),
    ("optimiser of the transition", (*CHAINED, *LANGEVIN), "Adam, one of its own", "our choice: Section 3.1 has SGD"),
    ("updates", ROBOTS, "one per environment step", "Algorithm 1"),
    ("action in the environment", ("HMC",), "a_K from sampled a_0 and rho_0", "Algorithm 1"),
    ("action of evaluations", ("HMC",), "a_K from tanh(mu), rho_0 = 0", "our choice"),
    ("end of an episode by time limit", ROBOTS, "bootstrapped", "our choice"),
)


def table1_mcmc_po(hmc, sac, sac_auto, sac_coupling):
    """Return at the end of training: the paper's Table 1 (at 5e5 steps, 5 seeds; it does not say what its ± is) and ours,
    mean ± standard deviation over seeds of the last five evaluations. "Ours 4" of the paper may be K = 4."""
    rows = {
        "SAC, alpha = 0.05": (sac, {"temperature": 0.05}, "sac"),
        "SAC, alpha = 0.2": (sac, {"temperature": 0.2}, None),
        "SAC, alpha tuned": (sac_auto, {}, None),
        "SAC with couplings, alpha = 0.05": (sac_coupling, {"temperature": 0.05}, None),
        "SAC with couplings, alpha = 0.2": (sac_coupling, {"temperature": 0.2}, None),
        "Hamiltonian policy, K = 4": (hmc, {"leapfrog_steps": 4}, "hmc"),
        "Hamiltonian policy, K = 5": (hmc, {"leapfrog_steps": 5}, "hmc"),
    }
    return pd.DataFrame([_row(name, *row) for name, row in rows.items()])


def table_mcmc_po_hyperparameters():
    """Every setting of the Hamiltonian policy, of the Langevin policies, of the baselines and of the bandit as it is run at
    scale `paper`, with where it stands: in the paper, in papers or code of others that it resembles, or nowhere, so that it
    is our choice. The authors' code is not public."""
    return tabular.hyperparameters("mcmc_po", COLUMNS, BUILT_IN)


def table_mcmc_po_speed(
    hmc_steps,
    td3,
    ddpg,
    hmc="env=Hopper-v4",
    sac="env=Hopper-v4",
    sac_auto="env=Hopper-v4",
    sac_coupling="env=Hopper-v4",
    langevin="env=Hopper-v4, pid=true",
    langevin_ddpg="env=Hopper-v4",
):
    """Where the time goes, on Hopper: environment steps a core-second, time against SAC's, and the share of it that the
    chain takes: what a run lasts longer than one with K = 0. From the runs' records, evaluations included; only rows of one
    processor compare."""
    where = {"env": "Hopper-v4"}
    lengths = {k: (hmc if k in (4, 5) else hmc_steps, where | {"leapfrog_steps": k}) for k in (0, 1, 3, 4, 5, 10)}
    runs = {
        "SAC, alpha = 0.05": (sac, where | {"temperature": 0.05}),
        "SAC, alpha tuned": (sac_auto, where),
        "SAC with couplings, alpha = 0.05": (sac_coupling, where | {"temperature": 0.05}),
        **{f"Hamiltonian policy, K = {k}": run for k, run in lengths.items()},
        "TD3": (td3, where),
        **{f"TD3, {kind}": (langevin, where | {"kind": kind}) for kind in ("noisy", "flow")},
        "DDPG": (ddpg, where),
        **{f"DDPG, {kind}": (langevin_ddpg, where | {"kind": kind}) for kind in ("noisy", "flow")},
    }
    spent = {name: _mean(seconds(results, **at)) for name, (results, at) in runs.items()}
    chainless = spent["Hamiltonian policy, K = 0"]
    return pd.DataFrame(
        {
            "method": name,
            "steps a core-second": _mean(rates(results, **at)),
            "time / SAC's": spent[name] / spent["SAC, alpha = 0.05"],
            "share of the chain": 1 - chainless / spent[name] if name.startswith("Hamiltonian") else np.nan,
            "processor": ", ".join(_processors(results, at)),
        }
        for name, (results, at) in runs.items()
    )


def table_mcmc_po_chain(hmc="leapfrog_steps=5"):
    """What the chain of K = 5 does in training, by environment and step, mean over seeds. How far it moves an action, |a_K -
    a_0| of a range of 2, in evaluation; the share of the controlled distance that is the chain's own, (gain in Q / tau +
    energy error) / D, which leaves the policy's step the rest; the multiplier beta; ln sigma of the prior, of which -2.5 is
    the bound; and, at the end, the share of the gap to gradient ascent that five steps close."""
    return pd.DataFrame([row for env in environments(hmc) for row in _chain_rows(hmc, env)])


def _chain_rows(hmc, env):
    metrics = ("move", "value_gain", "energy_error", "distance", "beta", "prior_log_std")
    means = {name: hmc.curve(name, env=env).groupby("step")["value"].mean() for name in metrics}
    steps, floor = means["move"].index, hmc.setting("temperature")[0]
    bounds = {
        how: of_row(hmc, "gap", "bound", {"how": way, "size": size}, env=env)
        for how, way, size in (("none", "chain", 0), ("chain", "chain", 5), ("ascent", "ascent", 200))
    }
    closed = np.nanmean((bounds["chain"] - bounds["none"]) / (bounds["ascent"] - bounds["none"]))
    for share in (0.05, 0.1, 0.2, 0.4, 1.0):
        step = steps[np.abs(steps - share * steps[-1]).argmin()]
        at = {name: float(values.loc[step]) for name, values in means.items()}
        own = (at["value_gain"] / max(at["beta"], floor) + at["energy_error"]) / at["distance"]
        yield {"environment": env, "step": int(step), "move": at["move"], "share of D": own, "beta": at["beta"],
               "ln sigma": at["prior_log_std"], "gap closed": closed if share == 1 else np.nan}  # fmt: skip


def _row(name, results, where, printed):
    row = {"method": name}
    for env in ENVIRONMENTS:
        row |= {f"{env[:-3]}, paper": _printed(printed, env), f"{env[:-3]}, ours": _ours(final(results, env=env, **where))}
    return row


def _printed(algorithm, env):
    table = records.reported("mcmc_po")
    rows = table[(table["algorithm"] == algorithm) & (table["env"] == env.replace("-v4", "-v2"))]
    return "" if rows.empty else f"{rows['mean'].iloc[0]:.1f} ± {rows['spread'].iloc[0]:.1f}"


def _ours(values):
    """Mean ± standard deviation, and how many seeds diverged."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return "diverged" if len(values) else ""
    spread = f" ± {finite.std(ddof=1):.1f}" if len(finite) > 1 else ""
    lost = len(values) - len(finite)
    return f"{finite.mean():.1f}{spread} (n = {len(finite)}{f', {lost} diverged' if lost else ''})"


def _mean(values):
    return values.mean() if len(values) else np.nan


def _processors(results, where):
    """What the selected cells were trained on."""
    records = [source.record for source in trained(results, **where)]
    return sorted({record.get("processor") or record.get("platform") or "" for record in records} - {""})
