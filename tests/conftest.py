"""Tests run on one thread, as workers do: two would contend for the cores of the runs beside them. And each begins with the
same random numbers, whichever tests ran before it in its process."""

import pytest
import torch

torch.set_num_threads(1)
pytest.register_assert_rewrite("tests.laws")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def double():
    """Everything in float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
