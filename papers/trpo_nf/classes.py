"""The paper's policy classes: how figures call and colour each, and which builder makes it. Imports no learning library.

A new class is a row here and, unless a builder serves it already, one in `policies.BUILDERS` (and in `families.BUILDERS` for
the toys). A policy without an `actor` of its own acts through torch.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PolicyClass:
    """`components`: Gaussians of which it is a mixture."""

    label: str
    colour: str
    builder: str
    components: int = 1


CLASSES = {
    "gaussian": PolicyClass("Gaussian", "#0072B2", "gaussian"),
    "gmm2": PolicyClass("GMM, K = 2", "#E69F00", "mixture", components=2),
    "gmm5": PolicyClass("GMM, K = 5", "#009E73", "mixture", components=5),
    "flow": PolicyClass("flow", "#D55E00", "flow"),
}
LABELS = {name: kind.label for name, kind in CLASSES.items()}
COLOURS = {name: kind.colour for name, kind in CLASSES.items()}
