"""The three point mazes of D4RL (Fu et al. 2020), rebuilt from published facts with MJCF models of our own.

A ball of radius 0.1 is pushed about in a maze by forces along x and y. Observed are (x, y, v_x, v_y); the goal is not. The
reward is 1 in every step that ends within 0.5 of the goal, else 0; nothing ends an episode but its time limit. D4RL calls
them maze2d-umaze-v1, maze2d-medium-v1 and maze2d-large-v1.

                     time limit   goal
    Maze2dUmaze-v0   300          (1, 1)
    Maze2dMedium-v0  600          (6, 6)
    Maze2dLarge-v0   800          (7, 9)

Cell (row, column) is x, y = (row, column). As in D4RL the ball's body stands 0.2 beyond the walls' grid, so that the centre
of a cell is at (row - 0.2, column - 0.2), while goals and starts are at (row, column). An episode starts at any free cell,
each entry moved by up to 0.1, with velocities of deviation 0.1.
"""

from functools import cache

import gymnasium
import mujoco
import numpy as np
from gymnasium import spaces

LAYOUTS = {  # a wall, a free cell, the goal: # . G
    "Maze2dUmaze-v0": ("#####", "#G..#", "###.#", "#...#", "#####"),
    "Maze2dMedium-v0": ("########", "#..##..#", "#..#...#", "##...###", "#..#...#", "#.#..#.#", "#...#.G#", "########"),
    "Maze2dLarge-v0": (
        "############",
        "#....#.....#",
        "#.##.#.#.#.#",
        "#......#...#",
        "#.####.###.#",
        "#..#.#.....#",
        "##.#.#.#.###",
        "#..#...#.G.#",
        "############",
    ),
}
HORIZONS = {"Maze2dUmaze-v0": 300, "Maze2dMedium-v0": 600, "Maze2dLarge-v0": 800}  # steps
NEAR = 0.5  # of the goal: the reward's radius
FASTEST = 5.0  # velocities are clipped there before a step
OFFSET = 0.2  # of the ball's body from the walls' grid
CELL_NOISE = 0.1  # of places drawn in a cell, each entry by up to this
HEAD = f"""<mujoco model="maze">
  <option timestep="0.01" gravity="0 0 0" integrator="Euler"/>
  <default>
    <joint type="slide" damping="1"/>
    <geom density="1000" margin="0.002" condim="1"/>
    <motor gear="100" ctrllimited="true" ctrlrange="-1 1"/>
  </default>
  <worldbody>
    <body name="ball" pos="{1 + OFFSET} {1 + OFFSET} 0">
      <joint name="x" axis="1 0 0"/><joint name="y" axis="0 1 0"/><geom type="sphere" size="0.1"/>
    </body>
"""
TAIL = """  </worldbody>
  <actuator><motor joint="x"/><motor joint="y"/></actuator>
</mujoco>"""

Cell = tuple[int, int]


@cache
def cells(maze: str, kinds: str = ".G") -> tuple[Cell, ...]:
    """The cells of some kinds, row by row: free ones and the goal, or `#`."""
    lines = LAYOUTS[maze]
    return tuple((row, column) for row, line in enumerate(lines) for column, kind in enumerate(line) if kind in kinds)


def goal(maze: str) -> Cell:
    """Where the reward is: a cell, and a place."""
    return cells(maze, "G")[0]


def model(maze: str) -> str:
    """The MJCF text of a maze: the ball, and a box for each cell that is a wall, without friction."""
    walls = (f'<geom type="box" pos="{row + 1} {column + 1} 0" size="0.5 0.5 0.2"/>' for row, column in cells(maze, "#"))
    return HEAD + "\n".join(walls) + TAIL


class Ball:
    """The ball in a maze: its state is (x, y, v_x, v_y)."""

    def __init__(self, maze: str):
        self.model = mujoco.MjModel.from_xml_string(model(maze))
        self.data = mujoco.MjData(self.model)
        self.cells = cells(maze)

    def start(self, rng: np.random.Generator) -> tuple[float, float, float, float]:
        """A state as episodes begin."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] = place(self.cells, rng)
        self.data.qvel[:] = 0.1 * rng.standard_normal(2)
        mujoco.mj_forward(self.model, self.data)
        return self.state()

    def step(self, push_x: float, push_y: float) -> tuple[float, float, float, float]:
        """The state after 0.01 s of a push, whose entries are clipped to [-1, 1]."""
        velocity = self.data.qvel
        v_x, v_y = velocity.tolist()
        velocity[0] = min(max(v_x, -FASTEST), FASTEST)
        velocity[1] = min(max(v_y, -FASTEST), FASTEST)
        self.data.ctrl[0], self.data.ctrl[1] = push_x, push_y
        mujoco.mj_step(self.model, self.data)
        return self.state()

    def state(self) -> tuple[float, float, float, float]:
        """(x, y, v_x, v_y)."""
        return (*self.data.qpos.tolist(), *self.data.qvel.tolist())


def place(cells: tuple[Cell, ...], rng: np.random.Generator) -> np.ndarray:
    """A random place (x, y) about one of the cells."""
    return cells[rng.integers(len(cells))] + rng.uniform(-CELL_NOISE, CELL_NOISE, 2)


def rewards(x: np.ndarray, y: np.ndarray, maze: str) -> np.ndarray:
    """1 within 0.5 of the maze's goal, else 0, for places that steps led to."""
    row, column = goal(maze)
    return (np.hypot(x - row, y - column) <= NEAR).astype(float)


class PointMaze(gymnasium.Env):
    """One of the three mazes. The motors clip actions to [-1, 1]."""

    metadata = {"render_modes": []}

    def __init__(self, maze: str):
        self.maze, self.ball = maze, Ball(maze)
        self.model, self.data = self.ball.model, self.ball.data
        self.observation_space = spaces.Box(-np.inf, np.inf, (4,), np.float64)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        return np.array(self.ball.start(self.np_random)), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        state = np.array(self.ball.step(*action.tolist()))
        return state, float(rewards(state[0], state[1], self.maze)), False, False, {}


def register() -> None:
    """Make the mazes known to gymnasium; a second call does nothing."""
    entry = f"{PointMaze.__module__}:{PointMaze.__qualname__}"  # as text: data sets store it
    for maze, horizon in HORIZONS.items():
        if maze not in gymnasium.registry:
            gymnasium.register(maze, entry_point=entry, kwargs={"maze": maze}, max_episode_steps=horizon)
