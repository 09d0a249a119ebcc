import pytest
import torch

from domain.errors import InputError
from training.device import device_in_words, resolve_device


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto").type == "cuda"


def test_auto_takes_the_cpu_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto").type == "cpu"


def test_cpu_is_taken_even_beside_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("cpu").type == "cpu"


def test_asking_for_an_absent_gpu_says_what_to_do(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no usable NVIDIA GPU") as caught:
        resolve_device("cuda")
    assert "--device cpu" in caught.value.hint


def test_an_unknown_device_names_the_allowed_ones():
    with pytest.raises(InputError, match='"tpu"; must be one of auto, cpu, cuda'):
        resolve_device("tpu")


def test_the_cpu_is_named_with_its_threads():
    assert device_in_words(torch.device("cpu")).startswith(f"CPU ({torch.get_num_threads()} thread")
