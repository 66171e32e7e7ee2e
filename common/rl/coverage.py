"""How widely a run's states are spread: the entropy of what its replay buffer holds."""

import torch

NEIGHBOUR = 3
CLOSEST = 1e-3  # two draws of one transition are no distance apart


@torch.no_grad()
def coverage(obs: torch.Tensor) -> list[float]:
    """Nearest-neighbour estimate of the states' differential entropy (Kozachenko & Leonenko 1987), without its constant
    and per dimension: mean ln distance to the third neighbour. obs: [members, batch, observations], a uniform sample of all
    states so far. Returns one number per member.

    Units matter: only runs in the same environment compare.
    """
    distances = torch.cdist(obs, obs).topk(NEIGHBOUR + 1, largest=False).values[..., -1]
    return distances.clamp(min=CLOSEST).log().mean(-1).tolist()
