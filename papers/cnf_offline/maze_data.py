"""The data sets of the mazes, made as D4RL's were: one trajectory of the waypoint controller to random goals."""

import torch

from common.errors import UserError
from common.rl.datasets import checked, stacked


class Learner:
    """What a data set consists of; it learns nothing."""

    def __init__(self, config, seeds, device="cpu", inputs=None):
        from common.rl import pointmaze

        if len(seeds) > 1:
            raise UserError(f"the data of {config.env} have one seed each, not {len(seeds)}")
        self.config, [self.seed] = config, seeds
        pointmaze.register()

    def parts(self, observations, actions):
        """One part: the transitions."""
        from common.rl.waypoints import maze_rows

        c = self.config
        rows = torch.from_numpy(stacked(**maze_rows(c.env, c.total_steps, self.seed, c.noise)))
        yield checked(rows, observations, actions, f"data of {c.env}")

    @staticmethod
    def whole(data):
        """Episodes end at their goals, after as many steps as it takes; the last one is cut where the data end, and counts
        where there is no other."""
        episodes = data.episodes()
        return episodes[:-1] or episodes
