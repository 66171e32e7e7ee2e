"""Table 1 of the paper beside ours, and every setting with its source."""

import numpy as np
import pandas as pd

from common.lab import records
from common.lab.config import fields
from papers.mcmc_po.config import HMC, SAC, Langevin
from papers.mcmc_po.evidence import ENVIRONMENTS, final

# What is built into the algorithms and no setting: (what, how, source).
BUILT_IN = (
    ("space of the chain", "before tanh", "our choice: Section 3.2 leaves [-1, 1]"),
    ("base distribution", "diagonal Gaussian, squashed", "Section 3.2"),
    ("momentum", "N(0, I)", "Section 3.2"),
    ("critics' gradient in the chain", "a constant: exact for ReLU", "our choice"),
    ("hidden activation of policy and critics", "ReLU", "peer: pytorch-soft-actor-critic"),
    ("hidden activation of sigma and T", "tanh", "our choice: Section 4.2 names sigmoid and tanh"),
    (
        "inputs of sigma and T",
        "gradient over its running root mean square, tanh(u), state",
        "Section 4.2; scale: our choice",
    ),
    ("T at the start", "0", "our choice: near plain leapfrog"),
    ("norm of eq. 6", "L2, sqrt(x'x + 1e-6)", "our choice"),
    ("masks of eq. 9", "every other entry, both in turn", "Section 3.1; odd dimensions: our choice"),
    ("optimisers", "Adam, one each for policy, critics, transition", "peer: pytorch-soft-actor-critic"),
    ("updates", "one an environment step", "Algorithm 1"),
    ("action in the environment", "a_K from sampled a_0 and rho_0", "Algorithm 1"),
    ("action of evaluations", "a_K from tanh(mu), rho_0 = 0", "our choice"),
    ("end of an episode by time limit", "bootstrapped", "our choice"),
    ("environments", "MuJoCo -v4", "our choice: -v2 no longer runs"),
)


def table1_mcmc_po(hmc, sac, sac_auto, sac_coupling):
    """Return at the end of training: the paper's Table 1 (at 5e5 steps, 5 seeds; it does not say what its ± is) and ours,
    mean ± standard deviation over seeds of the last five evaluations. "Ours 4" of the paper may be K = 4."""
    rows = {
        "SAC, alpha = 0.05": (sac, {"temperature": 0.05}, "sac"),
        "SAC, alpha = 0.2": (sac, {"temperature": 0.2}, None),
        "SAC, alpha tuned": (sac_auto, {}, None),
        "SAC with couplings, alpha = 0.05": (sac_coupling, {}, None),
        "Hamiltonian policy, K = 4": (hmc, {"leapfrog_steps": 4}, "hmc"),
        "Hamiltonian policy, K = 5": (hmc, {"leapfrog_steps": 5}, "hmc"),
    }
    return pd.DataFrame([_row(name, *row) for name, row in rows.items()])


def table_mcmc_po_hyperparameters():
    """Every setting of the Hamiltonian policy, of the Langevin policies and of SAC at its default, with where it stands: in
    the paper, in code of others that the paper resembles, or nowhere, so that it is our choice. The authors' code is not
    public."""
    settings = {"HMC": fields(HMC), "Langevin": fields(Langevin), "SAC": fields(SAC)}
    names = list(dict.fromkeys(name for known in settings.values() for name in known))
    rows = []
    for name in names:
        holders = {label: known[name] for label, known in settings.items() if name in known}
        facts = next(iter(holders.values())).metadata
        values = {label: _text(holders[label].default) if label in holders else "" for label in settings}
        source = facts["source"]
        rows.append({"setting": name, "meaning": facts["meaning"], **values, "unit": facts["unit"], **_origin(source)})
    for what, how, source in BUILT_IN:
        rows.append({"setting": "(built in)", "meaning": what, "HMC": how, "Langevin": "", "SAC": "", "unit": "",
                     **_origin(source)})  # fmt: skip
    return pd.DataFrame(rows)


def _row(name, results, where, printed):
    row = {"method": name}
    for env in ENVIRONMENTS:
        row[f"{env[:-3]}, paper"] = _printed(printed, env)
        row[f"{env[:-3]}, ours"] = _ours(final(results, env=env, **where))
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


def _origin(source):
    if source.startswith(("Section", "Algorithm", "eq.", "Table")) or source == "paper":
        origin = "stated"
    else:
        origin = "peer code" if source.startswith(("peer", "its ", "authors")) else "our choice"
    return {"origin": origin, "source": source}


def _text(value):
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else value
