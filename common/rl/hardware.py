"""How a worker process uses the machine."""

import platform

import torch

from ..errors import UserError

# Error of a float32 product of two 256 x 256 standard normal matrices: about 5e-5. Rounding to bfloat16 gives over 0.1.
LARGEST_ERROR = 1e-3


def name_of(device: str) -> str:
    """What a record calls a device: the processor's architecture, or the GPU's model. UserError: it is not there."""
    if device == "cpu":
        return platform.machine()
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    number = int(device.partition(":")[2] or 0)
    if number >= count:
        raise UserError(f"device {device}: torch {torch.__version__} finds {count or 'no'} CUDA devices here; use cpu")
    return torch.cuda.get_device_name(number)


def prepare(device: str = "cpu") -> str:
    """One thread, denormals as zeros (dead units' Adam moments cost 20 times more otherwise), and on a CPU the faster of
    the two float32 matrix libraries; a GPU keeps float32 whole (TF32 would round its factors to 10 bits). Returns the name
    of the precision setting, for the run's record."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if device != "cpu":
        torch.set_float32_matmul_precision("highest")
    else:
        _choose_matmul()
    return torch.get_float32_matmul_precision()


def _choose_matmul():
    """Let torch use oneDNN for float32 products where that keeps float32's accuracy.

    torch routes float32 products to oneDNN only at precision "medium", which permits bfloat16. On a CPU without bfloat16
    matrix units oneDNN computes in float32 all the same, and on AMD's it is twice as fast as the default library. On a CPU
    that does round, the check fails and the default stays.
    """
    torch.set_float32_matmul_precision("medium")
    generator = torch.Generator().manual_seed(0)
    for rows, inner, columns in ((256, 23, 256), (256, 256, 256), (256, 256, 12), (256, 256, 1)):
        a = torch.randn(2, rows, inner, generator=generator)
        b = torch.randn(2, inner, columns, generator=generator)
        if (torch.bmm(a, b) - torch.bmm(a.double(), b.double())).abs().max() > LARGEST_ERROR:
            torch.set_float32_matmul_precision("highest")
            break
