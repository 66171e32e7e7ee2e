"""What the paper claims of its toy, and what we ask beyond it; one function per claim.

There is one number per seed: the share of decoded points that are far from the data (`toys.py` defines far). Toys need
no long runs: 2,000 updates and three seeds give a verdict.
"""

from functools import partial

from common.lab.report import stats, verdicts
from common.lab.report.measures import of_row
from common.lab.report.verdicts import conjunction

AMPLITUDES = (1.0, 2.0, 3.0, 4.0, 6.0)
FEW = 0.05  # share of far points that still counts as the support of the data

judged = partial(verdicts.judged, steps=2_000, seeds=3)


def _far(moons, base, how, size):
    """Share of far points [seeds] of latents chosen in one way and of one size."""
    return of_row(moons, "reach", "far", {"how": how, "size": size}, base=base)


def c02_normal_latents_leave_the_data(moons="base=uniform|normal"):
    """Larger latents of the normal base decode to more points off the data; those of the uniform base, whose samples
    already use all its latents, do not (Section 3.1, Figures 2 and 3).

    Share of far points: rising over a = 1 to 6 for the normal base (Jonckheere and Terpstra); below 5 % for samples of
    the uniform base.
    """
    parts = {
        "normal, order": stats.ordered([_far(moons, "normal", "scaled", a) for a in AMPLITUDES]),
        "uniform, whole box": stats.mean_within(_far(moons, "uniform", "scaled", 1.0), high=FEW),
    }
    return judged(conjunction(parts, "share of far points"), moons)


def c19_no_actor_leaves_the_data(moons="base=uniform"):
    """With the uniform base no potential actor can choose actions outside of the data (Section 3.1 on the toy's base: such
    an actor should not be capable of it).

    Share of far points of latents tanh(4 N(0, I)), those of a policy that uses the whole box, below 5 %. The amplitude is
    ours; the paper's own policies are regressed on actions of the data (eq. 6), not free to choose.
    """
    share = _far(moons, "uniform", "pushed", 4.0)
    verdict = stats.mean_within(share, high=FEW, quantity="share of far points, latents tanh(4 N(0, I))")
    return judged(verdict.with_note("amplitude 4 is our choice"), moons)


def c20_both_flows_model_the_data(moons="base=uniform|normal"):
    """Flows of either base model the training distribution well (Section 3.1, Figure 2).

    Share of far points among samples of the base below 5 %, for each base.
    """
    parts = {base: stats.mean_within(_far(moons, base, "scaled", 1.0), high=FEW) for base in ("uniform", "normal")}
    return judged(conjunction(parts, "share of far points"), moons)


def own_the_edge_of_the_box_is_as_far_as_the_normal_tail(moons="base=uniform|normal"):
    """At equal mass beyond, the box is no safer than the normal base: latents with an entry at the ends beyond which
    10^-4 of the base's mass lies are off the data for both bases.

    Share of far points above 25 %, for each base.
    """
    parts = {base: stats.mean_within(_far(moons, base, "edge", 1e-4), low=0.25) for base in ("uniform", "normal")}
    return judged(conjunction(parts, "share of far points"), moons)


def own_bridge_between_the_moons(moons="base=uniform|normal"):
    """Both bases have points off the data: a bijection cannot part one box into two moons, and its bridge lies at small
    latents. Samples at a quarter of the base's amplitude are off the data more often than samples of the base.

    Share of far points, paired over seeds, for each base.
    """
    parts = {
        base: stats.difference(_far(moons, base, "scaled", 0.25), _far(moons, base, "scaled", 1.0), paired=True)
        for base in ("uniform", "normal")
    }
    return judged(conjunction(parts, "share of far points, a = 1/4 less a = 1"), moons)


def own_bases_fit_the_moons_alike(moons="base=uniform|normal"):
    """Ours: the two bases fit the moons equally well, as Figure 8 claims of the encoders of actions (`c01`).

    -ln p of held-out points, in nats: equivalent within 0.1.
    """
    uniform, normal = (moons.final("nll_held_out", 1, base=base) for base in ("uniform", "normal"))
    return judged(stats.equivalence(uniform, normal, 0.1, quantity="nats per held-out point, uniform - normal"), moons)
