"""What several tests of this package set up."""

import pytest
import torch


@pytest.fixture
def two_threads():
    """Two lanes, however many cores the test machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)
