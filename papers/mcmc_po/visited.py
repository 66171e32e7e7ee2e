"""How widely a run's states are spread: the entropy of what its replay buffer holds."""

import torch

NEIGHBOUR = 3
CLOSEST = 1e-3  # two draws of one transition are no distance apart


@torch.no_grad()
def spread(obs):
    """Nearest-neighbour estimate of the states' differential entropy (Kozachenko & Leonenko 1987), without its constant
    and per dimension: mean ln distance to the third neighbour. obs: [members, batch, observations] -> one float a member.

    Units matter, so that it compares runs of one environment alone.
    """
    distances = torch.cdist(obs, obs).topk(NEIGHBOUR + 1, largest=False).values[..., -1]
    return distances.clamp(min=CLOSEST).log().mean(-1).tolist()


class Visited:
    """A learner that adds to every evaluation the spread of the last batch, a uniform sample of all states so far."""

    seen = None

    def update(self, batch, draws):
        self.seen = batch
        super().update(batch, draws)

    def summarise(self, trace):
        coverage = {} if self.seen is None else {"coverage": spread(self.seen.obs)}
        return super().summarise(trace) | coverage
