"""Features of images whose files are gone or were replaced by links."""

import numpy as np
import pytest
import torch

from domain.errors import ArchiveError
from domain.jobs import silent
from labeling_store import images
from worker.backbone import archive_features

CPU = torch.device("cpu")


@pytest.fixture
def first_file(project):
    record = images.list_images(project.store.reader())[0]
    return project.images_root / record.path


def test_a_file_that_is_gone_is_named(project, first_file):
    first_file.unlink()
    with pytest.raises(ArchiveError, match=first_file.name):
        archive_features(project, CPU, silent)


def test_features_that_are_kept_do_not_need_the_file(project, first_file):
    before = archive_features(project, CPU, silent)
    first_file.unlink()
    after = archive_features(project, CPU, silent)
    assert np.array_equal(before.features, after.features)


def test_a_file_replaced_by_a_link_to_outside_is_not_read(project, first_file, tmp_path):
    outside = first_file.rename(tmp_path / "outside.png")
    first_file.symlink_to(outside)
    with pytest.raises(ArchiveError, match="leads to outside the images folder"):
        archive_features(project, CPU, silent)
