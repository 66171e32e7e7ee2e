"""Tests run on one thread, as workers do: two would contend for the cores of the runs beside them."""

import torch

torch.set_num_threads(1)
