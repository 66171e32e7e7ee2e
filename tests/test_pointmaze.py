"""The point mazes are D4RL's as far as published facts tell, and so is what their controller makes."""

import math
from collections import deque

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from common.errors import UserError
from common.rl import pointmaze, rollouts, waypoints
from common.rl.datasets import stacked
from common.rl.journal import MemoryJournal
from common.rl.pointmaze import HORIZONS, Ball, PointMaze, cells, goal
from common.rl.references import D4RL
from common.rl.simulators import Environment
from common.settings import resolve
from papers.cnf_offline import maze_data, mazes
from papers.cnf_offline.config import MazeData, Mazes
from papers.cnf_offline.tables import table_maze_references
from tests.synthetic import synthetic

MAZES = tuple(HORIZONS)
MASS = 1000 * 4 / 3 * math.pi * 0.1**3
FACTS = {  # goal, free cells, time limit
    "Maze2dUmaze-v0": ((1, 1), 7, 300),
    "Maze2dMedium-v0": ((6, 6), 26, 600),
    "Maze2dLarge-v0": ((7, 9), 46, 800),
}
# Returns: D4RL's random and stale ones, one of a proper planner, measured once; deviations between episodes.
RETURNS = {
    "Maze2dUmaze-v0": {"random": (23.85, 63), "stale": (161.86, 130), "replanning": (217.5, 53)},
    "Maze2dMedium-v0": {"random": (13.13, 65), "stale": (277.39, 270), "replanning": (431.1, 93)},
    "Maze2dLarge-v0": {"random": (6.7, 45), "stale": (273.99, 340), "replanning": (551.7, 116)},
}


@pytest.fixture(autouse=True)
def registered():
    pointmaze.register()


def cell_of(x, y):
    return math.floor(x + 0.7), math.floor(y + 0.7)


@pytest.mark.parametrize("maze", MAZES)
@pytest.mark.filterwarnings("error", "ignore:.*is -?infinity.*")
def test_a_maze_is_a_proper_environment(maze):
    target, free, horizon = FACTS[maze]
    assert (goal(maze), len(cells(maze)), HORIZONS[maze]) == (target, free, horizon)
    env = Environment(maze, "bounded")
    assert (env.observations, env.actions) == (4, 2)
    assert env.gym.spec.max_episode_steps == horizon and env.gym.unwrapped.model.opt.timestep == 0.01
    check_env(PointMaze(maze), skip_render_check=True)
    assert gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.gym.spec.to_json())).spec.id == maze


@pytest.mark.parametrize("maze", MAZES)
def test_one_seed_is_one_episode_and_only_time_ends_it(maze):
    episodes = []
    env = Environment(maze, "bounded")
    for seed in (3, 4, 3):
        rng = np.random.default_rng(0)
        episode, ends = [env.reset(seed)], []
        while not (ends and any(ends[-1])):
            obs, reward, *end = env.step(rng.uniform(-1, 1, 2).astype(np.float32))
            episode.append([*obs[:4], reward])
            ends.append(end)
        assert len(ends) == HORIZONS[maze] and ends[-1] == [False, True]
        episodes.append(np.concatenate(episode))
    np.testing.assert_array_equal(episodes[0], episodes[2])
    assert not np.array_equal(episodes[0], episodes[1])


def test_a_push_obeys_newton():
    """m (v' - v) / dt = 100 a - v', and velocities are clipped to 5 before a step, not after."""
    ball = Ball("Maze2dMedium-v0")
    ball.data.qpos[:] = 3 - 0.2, 3 - 0.2
    for start, push in ((0.0, 0.5), (4.99, 1.0), (9.0, 1.0), (-9.0, 0.0)):
        ball.data.qpos[:], ball.data.qvel[:] = (2.8, 2.8), (start, 0)
        x, y, v_x, v_y = ball.step(push, 0.0)
        clipped = min(max(start, -5), 5)
        expected = (MASS * clipped + 0.01 * 100 * push) / (MASS + 0.01)
        assert v_x == pytest.approx(expected, rel=1e-9) and x == pytest.approx(2.8 + 0.01 * expected)
        assert (v_y, y) == (0, 2.8)
        ball.data.qpos[:], ball.data.qvel[:] = (2.8, 2.8), (0, start)
        assert ball.step(0.0, push) == pytest.approx((2.8, x, 0, v_x))
    ball.data.qpos[:], ball.data.qvel[:] = (2.8, 2.8), 0
    assert ball.step(7.0, 0.0)[2] == pytest.approx(0.01 * 100 / (MASS + 0.01))  # the motor's limit


@pytest.mark.parametrize("maze", MAZES)
def test_the_ball_stays_between_the_walls(maze):
    """Thrown about at full force; a wall stops it at its radius."""
    ball, rng = Ball(maze), np.random.default_rng(0)
    ball.start(rng)
    for step in range(3000):
        if step % 30 == 0:
            push = rng.choice([-1.0, 0.0, 1.0], 2)
        x, y, _, _ = ball.step(*push)
        assert cell_of(x, y) in cells(maze)
    ball.data.qpos[:], ball.data.qvel[:] = (0.8, 0.8), 0
    ball.data.qpos[:] = np.array(cells(maze)[0]) - 0.2
    for _ in range(300):
        x, y, *_ = ball.step(-1.0, 0.0)
    assert x == pytest.approx(0.4, abs=0.02) and y == pytest.approx(0.8, abs=1e-6)


def test_walls_have_no_friction():
    """Along a wall, pressed to it, the ball moves as in the open."""
    ball = Ball("Maze2dUmaze-v0")
    ball.data.qpos[:] = 0.42, 0.8
    for _ in range(100):
        *_, v_y = ball.step(-1.0, 0.0)
    for _ in range(20):
        _, y, _, v_y = ball.step(-1.0, 0.5)
    expected = 0.0
    for _ in range(20):
        expected = (MASS * expected + 0.01 * 50) / (MASS + 0.01)
    assert v_y == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("maze", MAZES)
def test_the_reward_is_one_near_the_goal_alone(maze):
    env, target = PointMaze(maze), np.array(goal(maze))
    env.reset(seed=0)
    way = {"Maze2dUmaze-v0": (0, 1), "Maze2dMedium-v0": (-1, 0), "Maze2dLarge-v0": (0, -1)}[maze]  # no wall is near
    for distance, reward in ((0.0, 1), (0.45, 1), (0.499, 1), (0.501, 0), (0.6, 0)):
        env.data.qpos[:], env.data.qvel[:] = target + distance * np.array(way), 0
        obs, got, terminated, truncated, _ = env.step(np.zeros(2, np.float32))
        assert np.linalg.norm(obs[:2] - target) == pytest.approx(distance, abs=1e-3)
        assert (got, terminated, truncated) == (reward, False, False)


def test_episodes_start_in_every_cell():
    env = PointMaze("Maze2dUmaze-v0")
    starts = np.array([env.reset(seed=seed)[0] for seed in range(700)])
    near, counts = np.unique(np.round(starts[:, :2]), axis=0, return_counts=True)
    assert {tuple(cell) for cell in near} == set(cells("Maze2dUmaze-v0")) and counts.min() > 60
    away = starts[:, :2] - np.round(starts[:, :2])
    assert 0.095 < np.abs(away).max() <= 0.1 and abs(away.mean()) < 0.01
    assert starts[:, 2:].std() == pytest.approx(0.1, rel=0.1)


def distance(maze, start, target):
    """Steps of a shortest way, breadth first."""
    free, seen, queue = set(cells(maze)), {start}, deque([(start, 0)])
    while queue:
        (row, column), steps = queue.popleft()
        if (row, column) == target:
            return steps
        for near in {(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)} & free - seen:
            seen.add(near)
            queue.append((near, steps + 1))
    raise AssertionError(f"{maze}: no way from {start} to {target}")


@pytest.mark.parametrize("maze", MAZES)
def test_plans_are_shortest_ways(maze):
    for start in cells(maze):
        for target in cells(maze):
            way = waypoints.path(maze, start, target)
            assert way[-1] == target and len(way) == max(distance(maze, start, target), 1)
            steps = [abs(a[0] - b[0]) + abs(a[1] - b[1]) for a, b in zip([start, *way], way, strict=False)]
            assert steps == [1] * len(way) or start == target


def test_waypoints_lie_between_a_cells_place_and_its_centre():
    controller = waypoints.Controller("Maze2dLarge-v0", np.random.default_rng(0))
    found = []
    for _ in range(50):
        controller.aim(0.9, 0.7, (7, 9))
        *inner, last = controller.waypoints
        assert last == (7, 9)
        found += [np.subtract(way, point) for way, point in
                  zip(waypoints.path("Maze2dLarge-v0", (1, 1), (7, 9)), inner, strict=False)]  # fmt: skip
    assert 0 <= np.min(found) < 0.01 and 0.19 < np.max(found) <= 0.2


@pytest.mark.parametrize("x", [0.4, 1.2])
def test_a_plan_starts_at_the_cell_where_the_ball_is(x):
    """Which ends 0.5 from its centre, at 0.8, and not halfway between the cells' places."""
    controller = waypoints.Controller("Maze2dUmaze-v0", np.random.default_rng(0))
    controller.aim(x, x, (1, 3))
    assert len(controller.waypoints) == 2
    controller.aim(2.2, 2.75, (3, 3))
    assert len(controller.waypoints) == 1


def test_the_controllers_push():
    """10 to the waypoint less the velocity, clipped; the next waypoint within 0.1; solved within 0.1 of the target."""
    controller = waypoints.Controller("Maze2dUmaze-v0", np.random.default_rng(0))
    controller.aim(1.0, 1.0, (1, 3))
    controller.waypoints = [(1.0, 2.0), (1, 3)]
    assert controller.act(0.95, 1.97, 0.3, -0.2) == (pytest.approx(0.2), pytest.approx(0.5), False)
    assert controller.next == 1
    assert controller.act(1.05, 2.02, 0.1, 0.0) == (pytest.approx(-0.6), 1.0, False)
    assert controller.next == 1
    assert controller.act(1.0, 2.95, 0.0, 0.0) == (0.0, pytest.approx(0.5), True)


@pytest.mark.parametrize("maze", MAZES)
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_the_data_are_one_trajectory_whose_goals_change(maze, noise):
    rows = waypoints.maze_rows(maze, 4000, 1, noise)
    assert {name: field.dtype for name, field in rows.items()} == dict.fromkeys(rows, np.float32)
    assert stacked(**rows).shape == (4000, 13)
    np.testing.assert_array_equal(rows["obs"][1:], rows["next_obs"][:-1])  # across timeouts too
    assert not rows["terminated"].any() and rows["truncated"].any()
    assert np.abs(rows["action"]).max() == 1
    near = np.linalg.norm(rows["next_obs"][:, :2] - goal(maze), axis=1)
    clear = np.abs(near - 0.5) > 1e-5
    np.testing.assert_array_equal(rows["reward"][clear], (near <= 0.5)[clear])
    ends = np.flatnonzero(rows["truncated"])
    lengths = np.diff([-1, *ends])
    assert lengths.max() <= HORIZONS[maze] and lengths.min() < HORIZONS[maze]
    for end, length in zip(ends, lengths, strict=True):
        at = rows["obs"][end, :2]
        assert length == HORIZONS[maze] or np.linalg.norm(at - np.round(at)) < 0.1 + 1e-6
    assert len({tuple(np.round(rows["obs"][end, :2])) for end in ends}) > 3
    again, other = waypoints.maze_rows(maze, 4000, 1, noise), waypoints.maze_rows(maze, 4000, 2, noise)
    assert all(np.array_equal(rows[name], again[name]) for name in rows)
    assert not np.array_equal(rows["obs"], other["obs"])


def test_the_data_are_what_the_environment_answers():
    """The stored actions, float32, played again from the start."""
    maze = "Maze2dUmaze-v0"
    rows, env = waypoints.maze_rows(maze, 1000, 5, 0.5), PointMaze(maze)
    env.reset(seed=0)
    env.ball.start(waypoints.generator(5, "sample"))
    for t in range(1000):
        obs, reward, *_ = env.step(rows["action"][t])
        np.testing.assert_array_equal(obs.astype(np.float32), rows["next_obs"][t])
        assert reward == rows["reward"][t]


def test_noise_is_on_the_actions():
    plain, noisy = (waypoints.maze_rows("Maze2dMedium-v0", 3000, 0, noise)["action"] for noise in (0.0, 0.5))
    assert np.abs(np.diff(noisy, axis=0)).mean() > 3 * np.abs(np.diff(plain, axis=0)).mean()


@pytest.mark.parametrize("behaviour", waypoints.BEHAVIOURS)
@pytest.mark.parametrize("maze", MAZES)
def test_returns_are_d4rls(maze, behaviour):
    """Four standard errors of 100 episodes of theirs (60 of the planner's) and 60 of ours."""
    expected, spread = RETURNS[maze][behaviour]
    found = np.concatenate([waypoints.returns(maze, behaviour, 20, seed) for seed in range(3)])
    theirs = 60 if behaviour == "replanning" else 100
    assert abs(found.mean() - expected) < 4 * spread * math.sqrt(1 / len(found) + 1 / theirs)
    if behaviour != "replanning":
        assert expected == D4RL[maze][behaviour == "stale"]


def test_a_proper_planner_needs_a_new_plan_each_time():
    """The stale controller is the other until its first episode ends, and far worse afterwards."""
    stale, anew = (waypoints.returns("Maze2dLarge-v0", behaviour, 40, 0) for behaviour in ("stale", "replanning"))
    assert stale[0] == anew[0] and stale.mean() < 0.75 * anew.mean()
    assert (stale == 0).any() and (anew > 0).all()


def test_the_loop_of_roll_outs_takes_the_mazes():
    config = resolve(MazeData, {"env": "Maze2dMedium-v0", "total_steps": 1500}, "here")
    journal = MemoryJournal(1)
    rollouts.run(maze_data.Learner, config, [7], journal)
    np.testing.assert_array_equal(
        journal.produced["rows", 0]["rows"], stacked(**waypoints.maze_rows("Maze2dMedium-v0", 1500, 7))
    )
    journal = MemoryJournal(1)
    rollouts.run(maze_data.Learner, resolve(MazeData, {"env": "Maze2dUmaze-v0", "total_steps": 1500}, "here"), [7], journal)
    facts = {metric: value for _, _, metric, value in journal.records}
    data = waypoints.maze_rows("Maze2dUmaze-v0", 1500, 7)
    ends = np.flatnonzero(data["terminated"] + data["truncated"])
    returned = np.add.reduceat(data["reward"], [0, *(ends + 1)])[:-1]  # all but the last one, which the data cut
    assert facts["episodes"] == len(returned) > 2 and len(set(np.diff(ends))) > 1 and returned.sum() > 0
    assert facts["return"] == pytest.approx(returned.mean())
    short = MemoryJournal(1)
    rollouts.run(maze_data.Learner, resolve(MazeData, {"env": "Maze2dLarge-v0", "total_steps": 50}, "here"), [7], short)
    assert ("episodes", 1) in {(metric, value) for _, _, metric, value in short.records}, "no goal was reached"
    [(_, quantiles)] = journal.tables["returns"]
    assert [quantiles[0]["return"], quantiles[-1]["return"]] == pytest.approx([returned.min(), returned.max()])
    with pytest.raises(UserError, match="Maze2dMedium-v0 have one seed each, not 2"):
        maze_data.Learner(config, [0, 1])


def test_references_are_recorded_per_episode():
    learner = mazes.Learner(resolve(Mazes, {"episodes": 3}, "here"), [0, 1])
    [first, second] = learner.tables()["returns"]
    assert [row["behaviour"] for row in first] == ["random"] * 3 + ["stale"] * 3 + ["replanning"] * 3
    assert learner.measure()["return_replanning"][1] == np.mean([row["return"] for row in second[6:]])
    assert first != second


@pytest.mark.filterwarnings("error")
def test_the_table_says_how_far_ours_are_from_d4rls():
    def returns(experiment, cell, z):
        for behaviour in waypoints.BEHAVIOURS:
            low, high = D4RL[cell.config.env]
            middle = {"random": low, "stale": high + 3 * 14.1, "replanning": high}[behaviour]
            yield from ({"behaviour": behaviour, "episode": i, "return": middle + 100 * (-1) ** i} for i in range(100))

    found = synthetic("cnf_offline", "mazes", "paper", None, lambda *_: {"return_random": 0.0}, {"returns": returns}, 1)
    frame = table_maze_references(found).set_index(["maze", "behaviour"])
    for maze in MAZES:
        here = frame.loc[maze]
        assert here.loc["random", "apart"] == pytest.approx(0) and here.loc["random", "score"] == pytest.approx(0)
        assert here.loc["stale", "apart"] == pytest.approx(3, abs=0.03)
        assert math.isnan(here.loc["replanning", "D4RL"]) and here.loc["replanning", "score"] == pytest.approx(100)
    assert (frame["episodes"] == 100).all()
