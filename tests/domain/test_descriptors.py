"""Descriptors in a project's settings: what is allowed, what is refused and in which words."""

from pathlib import Path

import pytest

from domain.config import ModelSettings, ProjectConfig, config_toml, project_toml, read_config
from domain.descriptors import PLAIN, Descriptor, Pooling, check_descriptor
from domain.errors import InputError

_HEAD = 'name = "a"\n[archive]\nimages = "images"\n'


def _read(folder: Path, text: str) -> ProjectConfig:
    path = folder / "project.toml"
    path.write_text(_HEAD + text, encoding="utf-8")
    return read_config(path)


def test_settings_that_say_nothing_are_the_mean_of_the_image_as_it_is(tmp_path: Path) -> None:
    config = _read(tmp_path, "")
    assert config.model.descriptor == PLAIN == Descriptor(pooling=Pooling.MEAN, scales=(1.0,))
    assert "descriptor" not in project_toml(config)


def test_what_is_set_is_read_back_as_it_was(tmp_path: Path) -> None:
    config = _read(tmp_path, '[model.descriptor]\npooling = "gem"\npower = 4\nscales = [1, 0.7]\n')
    assert config.model.descriptor == Descriptor(pooling=Pooling.GEM, power=4.0, scales=(1.0, 0.7))
    for written in (config_toml(config), project_toml(config)):
        (tmp_path / "again.toml").write_text(written, encoding="utf-8")
        assert read_config(tmp_path / "again.toml") == config


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('pooling = "sum"', ["model.descriptor.pooling = 'sum'", "'mean', 'max' or 'gem'"]),
        ("power = 0.5", ["model.descriptor.power = 0.5", "greater than or equal to 1"]),
        ("power = 7", ["model.descriptor.power = 7", "less than or equal to 6"]),
        ("scales = []", ["model.descriptor.scales = []", "above 0, up to 2"]),
        ("scales = [1, 1]", ["model.descriptor.scales = [1, 1]", "each once"]),
        ("scales = [0.0, 1]", ["[0.0, 1]", "above 0"]),
        ("scales = [2.5]", ["[2.5]", "up to 2"]),
        ("scales = [nan]", ["[nan]", "up to 2"]),
        ("scales = [1, 0.1]", ["22 px at scale 0.1", "32 px or more"]),
        ("scale = [1]", ["model.descriptor.scale", 'did you mean "scales"']),
    ],
)
def test_what_cannot_be_is_told_with_its_value_and_what_can(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        _read(tmp_path, f"[model.descriptor]\n{text}\n")
    assert all(each in caught.value.message for each in words), caught.value.message
    assert "Value error" not in caught.value.message


def test_the_smallest_scale_is_of_the_image_size_that_is_set(tmp_path: Path) -> None:
    text = "[model]\nimage_size_px = 320\n[model.descriptor]\nscales = [0.1]\n"
    assert _read(tmp_path, text).model.descriptor.smallest_px(320) == 32
    with pytest.raises(InputError, match="Images of 300 px are 30 px"):
        _read(tmp_path, text.replace("320", "300"))


def test_roots_are_not_taken_of_fused_maps() -> None:
    for pooling in (Pooling.MEAN, Pooling.MAX):
        check_descriptor(Descriptor(pooling=pooling), backbone="vgg16_pbffn", size_px=224)
    check_descriptor(Descriptor(pooling=Pooling.GEM), backbone="vgg16", size_px=224)
    with pytest.raises(InputError, match="gem does not go with vgg16_pbffn"):
        check_descriptor(Descriptor(pooling=Pooling.GEM), backbone="vgg16_pbffn", size_px=224)
    with pytest.raises(ValueError, match="gem does not go with"):
        ModelSettings.model_validate(
            {"backbone": "resnet18_pbffn", "descriptor": {"pooling": "gem"}}
        )
