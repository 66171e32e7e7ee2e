"""The controller of D4RL's point mazes, the data that it makes, and the returns that D4RL's scores are measured against.

Values of the cells, by iteration with discount 0.99, lead along a shortest path; each of its cells but the last gives a
waypoint, moved by up to 0.2 towards the cell's centre. The push is 10 (waypoint - place) - velocity, clipped to [-1, 1];
within 0.1 of a waypoint the next one counts. (D4RL also asks that the ball moved by less than 0.1 in the step before: at
its speed it always does.)
"""

import math
from functools import cache

import numpy as np

from .pointmaze import HORIZONS, OFFSET, Ball, Cell, PointMaze, cells, goal, rewards
from .randomness import generator, reset_seed

DISCOUNT, SWEEPS = 0.99, 50
PROPORTIONAL, DERIVATIVE = 10.0, 1.0
REACHED = 0.1
MOVES = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
BEHAVIOURS = ("random", "stale", "replanning")


def around(maze: str, cell: Cell) -> list[Cell]:
    """The cell and its free neighbours."""
    free = cells(maze)
    return [(cell[0] + row, cell[1] + column) for row, column in MOVES if (cell[0] + row, cell[1] + column) in free]


@cache
def successors(maze: str, target: Cell) -> dict[Cell, Cell]:
    """The cell to go to next from each cell on the way to a target, by value iteration."""
    options = {cell: around(maze, cell) for cell in cells(maze)}
    value = dict.fromkeys(options, 0.0)

    def worth(cell):
        return (cell == target) + DISCOUNT * value[cell]

    for _ in range(SWEEPS):
        value = {cell: max(map(worth, near)) for cell, near in options.items()}
    return {cell: max(near, key=worth) for cell, near in options.items()}


def path(maze: str, start: Cell, target: Cell) -> list[Cell]:
    """The cells after `start` up to the target."""
    following, found = successors(maze, target), [start]
    while len(found) == 1 or found[-1] != target:
        found.append(following[found[-1]])
    return found[1:]


class Controller:
    """Drives a ball from waypoint to waypoint of its plan; `aim` makes a new plan."""

    def __init__(self, maze: str, rng: np.random.Generator):
        self.maze, self.rng = maze, rng

    def aim(self, x: float, y: float, target: Cell) -> None:
        """Plan the way from a place to a cell."""
        here = (round(x + OFFSET), round(y + OFFSET))
        inner = path(self.maze, here, target)[:-1]
        self.waypoints = [*(inner - self.rng.uniform(0, OFFSET, (len(inner), 2))).tolist(), target] if inner else [target]
        self.next, self.target = 0, target

    def act(self, x: float, y: float, v_x: float, v_y: float) -> tuple[float, float, bool]:
        """The push along x and y, and whether the target was reached."""
        solved = math.hypot(self.target[0] - x, self.target[1] - y) < REACHED
        to_x, to_y = self.target if solved else self.waypoints[self.next]
        if not solved and math.hypot(to_x - x, to_y - y) < REACHED:
            self.next += 1
        push_x, push_y = PROPORTIONAL * (to_x - x) - DERIVATIVE * v_x, PROPORTIONAL * (to_y - y) - DERIVATIVE * v_y
        return min(max(push_x, -1.0), 1.0), min(max(push_y, -1.0), 1.0), solved


def maze_rows(maze: str, rows: int, seed: int, noise: float = 0.0) -> dict[str, np.ndarray]:
    """D4RL's data of a maze, `Maze2dUmaze-v0` and so on: one trajectory on which the controller drives to random goals.

    A goal is left when it is reached or the environment's time limit has passed, which the row states as `truncated`: the
    ball rolls on from there. Rewards are those of the environment's own goal. `noise` is the deviation of Gaussian noise on
    the actions, which are then clipped to [-1, 1].

    Returns the fields of `datasets.stacked` in float32: obs and next_obs [rows, 4], action [rows, 2], reward, terminated and
    truncated [rows].
    """
    rng = generator(seed, "sample")
    ball, controller, free = Ball(maze), Controller(maze, rng), cells(maze)
    states, pushes, ends = np.empty((rows + 1, 4)), np.empty((rows, 2), np.float32), np.zeros(rows, np.float32)
    state = states[0] = ball.start(rng)
    age = HORIZONS[maze]
    for t in range(rows):
        if age == HORIZONS[maze]:
            controller.aim(state[0], state[1], free[rng.integers(len(free))])
            age = 0
        *push, solved = controller.act(*state)
        pushes[t] = np.clip(push + noise * rng.standard_normal(2), -1, 1) if noise else push
        state = states[t + 1] = ball.step(*pushes[t].tolist())
        age = HORIZONS[maze] if solved else age + 1
        ends[t] = age == HORIZONS[maze]
    seen = states.astype(np.float32)
    reward = rewards(states[1:, 0], states[1:, 1], maze).astype(np.float32)
    return {"obs": seen[:-1], "action": pushes, "reward": reward, "terminated": np.zeros_like(reward), "truncated": ends,
            "next_obs": seen[1:]}  # fmt: skip


def returns(maze: str, behaviour: str, episodes: int, seed: int) -> np.ndarray:
    """Returns of whole episodes, [episodes]: of actions drawn uniformly (`random`), of the controller that plans anew in
    each episode (`replanning`), and of one that keeps its plan from the first episode on (`stale`), as the one did by which
    D4RL measured the return that scores 100. At the end of a stale plan stands the goal, so that it drives straight there.
    """
    env, rng, found = PointMaze(maze), generator(seed, "act"), np.zeros(episodes)
    controller = Controller(maze, rng)
    for episode in range(episodes):
        state, _ = env.reset(seed=reset_seed(seed, "reset", episode))
        if behaviour == "replanning" or episode == 0:
            controller.aim(state[0], state[1], goal(maze))
        for _ in range(HORIZONS[maze]):
            action = rng.uniform(-1, 1, 2) if behaviour == "random" else controller.act(*state)[:2]
            state, reward, *_ = env.step(np.array(action, np.float32))
            found[episode] += reward
    return found
