"""Which processor the models run on: chosen by the user or found, and named in words."""

import torch

from domain.errors import InputError

CHOICES = ("auto", "cpu", "cuda")


def resolve_device(choice: str) -> torch.device:
    """The device to compute on; `auto` takes the GPU where one can be used.

    Raises:
        InputError: the choice is none of auto, cpu, cuda, or cuda is asked for and absent.
    """
    if choice not in CHOICES:
        raise InputError(
            f'device = "{choice}"; must be one of {", ".join(CHOICES)}.',
            'Use "auto" to take a GPU where there is one.',
        )
    has_gpu = choice != "cpu" and torch.cuda.is_available()
    if choice == "cuda" and not has_gpu:
        raise InputError(
            "device = cuda, but PyTorch finds no usable NVIDIA GPU on this machine.",
            'Use "--device cpu" or "--device auto", or install a GPU driver.',
        )
    return torch.device("cuda" if has_gpu else "cpu")


def device_in_words(device: torch.device) -> str:
    """What a log or a page says of the device, as `CPU (2 threads)` or `NVIDIA H100 (79 GiB)`."""
    if device.type != "cuda":
        threads = torch.get_num_threads()
        return f"CPU ({threads} thread{'' if threads == 1 else 's'})"
    found = torch.cuda.get_device_properties(device)
    return f"{found.name} ({found.total_memory / 2**30:.0f} GiB)"
