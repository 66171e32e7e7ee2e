"""Replay: successors, the ring, and its log."""

import numpy as np
import pytest
import torch

from common.rl.replay import Replay

OBSERVATIONS, ACTIONS = 2, 1


def fill(replay, member, lengths, logs=None):
    """Episodes whose observations are (episode, step) and whose actions are 100 episode + step + 1."""
    for episode, length in enumerate(lengths):
        for step in range(length):
            row = np.array([episode, step, 100 * episode + step + 1, step, step == length - 1, step], dtype=np.float32)
            complete = replay.add(member, row, np.array([episode, step + 1]), step, step == length - 1)
            if logs is not None:
                logs.extend(complete)


@pytest.mark.parametrize("capacity", [1000, 40])
def test_batches_hold_successors(capacity):
    replay = Replay(2, OBSERVATIONS, ACTIONS, capacity)
    lengths = [[7, 1, 2, 30, 3, 11, 1, 1, 5], [4] * 15]
    for member in range(2):
        fill(replay, member, lengths[member])
    batch = replay.sample(np.random.default_rng(0).random((2, 400)))
    for m in range(2):
        seen = set()
        for b in range(400):
            episode, step = (int(v) for v in batch.obs[m, b])
            seen.add((episode, step))
            assert batch.action[m, b].item() == 100 * episode + step + 1
            assert batch.next_obs[m, b].tolist() == [episode, step + 1]
            assert batch.reward[m, b].item() == step
            assert batch.terminated[m, b].item() == (step == lengths[m][episode] - 1)
        assert len(seen) == min(capacity, sum(lengths[m]))  # every transition is reached


def test_the_ring_keeps_the_newest():
    replay = Replay(1, OBSERVATIONS, ACTIONS, 40)
    fill(replay, 0, [500])
    batch = replay.sample(np.random.default_rng(0).random((1, 2000)))
    assert batch.obs[0, :, 1].min() == 460 and batch.obs[0, :, 1].max() == 499


def test_many_short_episodes_still_sample_whole_transitions():
    replay = Replay(1, OBSERVATIONS, ACTIONS, 400)
    fill(replay, 0, [1] * 2000)
    assert 200 < replay.sizes()[0] <= 400
    batch = replay.sample(np.random.default_rng(0).random((1, 2000)))
    assert torch.equal(batch.next_obs[..., 0], batch.obs[..., 0]) and torch.all(batch.next_obs[..., 1] == 1)


@pytest.mark.parametrize("lengths", [[5, 3, 8], [500], [1] * 300, [7, 90]])
@pytest.mark.parametrize("open_episode", [0, 1, 4])
def test_restoring_from_the_log_gives_the_same_batches(lengths, open_episode):
    ours, log = Replay(1, OBSERVATIONS, ACTIONS, 60), []
    fill(ours, 0, lengths, log)
    for step in range(open_episode):
        row = np.array([99, step, 9900 + step + 1, step, 0, step], dtype=np.float32)
        log.extend(ours.add(0, row, np.array([99, step + 1]), step, False))
    restored = Replay(1, OBSERVATIONS, ACTIONS, 60)
    restored.restore(0, np.array(log), np.array([99, open_episode]) if open_episode else None)
    uniform = np.random.default_rng(0).random((1, 300))
    for a, b in zip(vars(ours.sample(uniform)).values(), vars(restored.sample(uniform)).values(), strict=True):
        assert torch.equal(a, b)


def test_a_million_half_cheetah_steps_fit_in_200_mb():
    replay = Replay(1, 17, 6, 1000)
    per_transition = (replay.rows.nbytes / replay.length) * 1.125 + replay.row_of.nbytes / replay.capacity
    assert per_transition * 1e6 <= 200e6
