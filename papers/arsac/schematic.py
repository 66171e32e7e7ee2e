"""Figure 1: the policy's parts over three time steps, drawn from shapes."""

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

ENVIRONMENT, BASE, TRANSFORM, TEMPORAL = "#8E6BB0", "#0072B2", "#009E73", "#E69F00"
TIMES = ("t-1", "t", "t+1")
APART = 3.4  # of two columns
WIDE, HIGH = 2.0, 0.62  # a box
ENVIRONMENT_AT, BASE_AT, TRANSFORM_AT, ACTION_AT, PAST_AT = 4.0, 2.8, 1.45, 0.35, -0.35  # heights


def draw_policy():
    """The figure: one column per time step, from the state at the top to the action at the bottom."""
    fig, ax = plt.subplots(figsize=(6.4, 3.3))
    ax.set_axis_off()
    ax.set_xlim(-2.4, 8.6)
    ax.set_ylim(-0.6, 4.4)
    ax.set_aspect("equal")
    _box(ax, APART + 0.15, ENVIRONMENT_AT, r"environment  $p_{\mathrm{env}}(s_{t+1} \mid s_t, a_t)$", ENVIRONMENT, 9.3)
    ax.plot([-2.3, 2 * APART + 1.55], [PAST_AT, PAST_AT], color=TEMPORAL)
    for column, time in enumerate(TIMES):
        _step(ax, APART * column, time)
    return fig


def _step(ax, x, time):
    """One time step: state, base distribution, transform, action, and arrows to what the action affects."""
    _box(ax, x, BASE_AT, rf"$\pi_\phi(u_{{{time}}} \mid s_{{{time}}})$", BASE)
    _box(ax, x, TRANSFORM_AT, rf"$\beta_\theta \odot u_{{{time}}} + \delta_\theta$", TRANSFORM)
    half = HIGH / 2
    _path(ax, [(x, ENVIRONMENT_AT - half), (x, BASE_AT + half)], ENVIRONMENT)
    _path(ax, [(x, BASE_AT - half), (x, TRANSFORM_AT + half)], BASE)
    _path(ax, [(x, TRANSFORM_AT - half), (x, ACTION_AT + 0.22)], TRANSFORM)
    for symbol, y in (("s", (ENVIRONMENT_AT + BASE_AT) / 2), ("u", (BASE_AT + TRANSFORM_AT) / 2)):
        ax.text(x - 0.12, y, rf"${symbol}_{{{time}}}$", ha="right", va="center", fontsize=9)
    ax.text(x, ACTION_AT, rf"$a_{{{time}}}$", ha="center", va="center", fontsize=11)
    _path(ax, [(x + 0.35, ACTION_AT), (x + 1.3, ACTION_AT), (x + 1.3, ENVIRONMENT_AT - half)], ENVIRONMENT)
    ax.plot([x, x], [ACTION_AT - 0.25, PAST_AT], color=TEMPORAL)
    left = x - WIDE / 2
    _path(ax, [(left - 0.5, PAST_AT), (left - 0.5, TRANSFORM_AT), (left, TRANSFORM_AT)], TEMPORAL)
    ax.text(left - 0.42, TRANSFORM_AT - 0.75, rf"$a_{{<{time}}}$", color=TEMPORAL, ha="left", va="center", fontsize=9)


def _path(ax, points, colour):
    """A line through points, with an arrow's head at its end."""
    ax.plot(*zip(*points, strict=True), color=colour, solid_joinstyle="miter", solid_capstyle="butt")
    style = {"arrowstyle": "-|>", "mutation_scale": 9, "shrinkA": 0, "shrinkB": 0, "color": colour}
    ax.add_patch(FancyArrowPatch(points[-2], points[-1], **style))


def _box(ax, x, y, text, colour, wide=WIDE):
    corner = (x - wide / 2, y - HIGH / 2)
    ax.add_patch(FancyBboxPatch(corner, wide, HIGH, boxstyle="round,pad=0,rounding_size=0.12", color=colour))
    ax.text(x, y, text, ha="center", va="center", color="white", fontsize=9)
