import pytest
import torch
from torchvision import models

from domain.config import Backbone as BackboneName
from domain.errors import InputError
from training.backbones import BACKBONES, backbone_sha256, build_backbone, build_fused, folded

WIDTHS = {
    "resnet18": 512,
    "resnet50": 2048,
    "mobilenet_v2": 1280,
    "densenet121": 1024,
}


def test_every_backbone_of_the_settings_can_be_built():
    assert set(BACKBONES) == {name.value for name in BackboneName}


@pytest.mark.parametrize("name", WIDTHS)
def test_an_image_becomes_one_rectified_feature(name):
    backbone = build_backbone(name)
    with torch.inference_mode():
        features = backbone(torch.randn(2, 3, 64, 48))
    assert features.shape == (2, WIDTHS[name])
    assert backbone.feature_dim == WIDTHS[name]
    assert features.min() >= 0
    assert features.max() > 0


def test_the_feature_is_what_torchvision_hands_to_its_classifier():
    seen = []
    reference = models.resnet18(num_classes=3).eval()
    reference.fc.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    backbone = build_backbone("resnet18")
    backbone.network.load_state_dict(reference.state_dict(), strict=False)
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        reference(images)
        torch.testing.assert_close(backbone(images), seen[0])


def test_the_vgg_feature_is_the_mean_of_its_last_map():  # torchvision itself pools to 7x7
    backbone = build_backbone("vgg16")
    assert backbone.feature_dim == 512
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        expected = backbone.network.features(images).mean(dim=(2, 3))
        torch.testing.assert_close(backbone(images), expected)


def test_the_seed_decides_the_weights():
    first = backbone_sha256(build_backbone("mobilenet_v2", seed=1))
    assert backbone_sha256(build_backbone("mobilenet_v2", seed=1)) == first
    assert backbone_sha256(build_backbone("mobilenet_v2", seed=2)) != first


def test_building_disturbs_no_other_random_numbers():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_backbone("mobilenet_v2")
    assert torch.equal(torch.rand(3), expected)


def test_a_single_changed_weight_changes_the_hash():
    backbone = build_backbone("mobilenet_v2")
    before = backbone_sha256(backbone)
    with torch.no_grad():
        next(backbone.parameters())[0, 0, 0, 0] += 1e-6
    assert backbone_sha256(backbone) != before


def test_an_unknown_backbone_names_the_allowed_ones():
    with pytest.raises(InputError, match='"alexnet"; must be one of resnet18, resnet50'):
        build_backbone("alexnet")


OWN = ["resnet18_pbffn", "mobilenet_v2_pbffn", "s_cnn"]


@pytest.mark.parametrize("name", OWN)
def test_own_networks_give_a_feature_and_stages_of_the_widths_they_say(name):
    backbone = build_backbone(name)
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert backbone(images).shape == (2, backbone.feature_dim)
        widths = [stage.pooled.shape[1] for stage in backbone.stages(images)]
    assert tuple(widths) == backbone.stage_dims


@pytest.mark.parametrize("name", ["mobilenet_v2_pbffn", "s_cnn"])
def test_own_networks_compute_the_same_when_folded(name):
    backbone = build_backbone(name)
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(folded(backbone)(images), backbone(images), rtol=1e-3, atol=1e-4)


def test_every_part_of_a_fused_network_learns():
    backbone = build_backbone("resnet18_pbffn").train()
    backbone(torch.randn(4, 3, 64, 64)).square().mean().backward()
    still = [name for name, each in backbone.named_parameters() if each.grad is None]
    assert still == []


def test_the_shallow_network_averages_its_last_map():
    backbone = build_backbone("s_cnn")
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        maps = backbone.network.features(images)
        assert maps.shape == (1, 64, 8, 8)
        torch.testing.assert_close(backbone(images), maps.mean(dim=(2, 3)))


def test_all_levels_fused_are_the_named_network():
    named = build_backbone("resnet18_pbffn", seed=3)
    for name in ("resnet18", "resnet18_pbffn"):
        assert backbone_sha256(build_fused(name, (2, 3, 4), seed=3)) == backbone_sha256(named)


def test_no_level_fused_is_the_trunk():
    trunk = backbone_sha256(build_backbone("resnet18", seed=3))
    assert backbone_sha256(build_fused("resnet18_pbffn", (), seed=3)) == trunk


@pytest.mark.parametrize("levels", [(2, 3), (2, 4), (3, 4)])
def test_two_levels_are_fused_and_deeper_ones_do_not_matter(levels):
    backbone = build_fused("resnet18", levels)
    images = torch.randn(2, 3, 64, 64)
    features = backbone(images)
    assert features.shape == (2, 512) == (2, backbone.feature_dim)
    widths = [stage.pooled.shape[1] for stage in backbone.stages(images)]
    assert tuple(widths) == backbone.stage_dims
    features.square().mean().backward()
    learns = {name for name, each in backbone.trunk.named_parameters() if each.grad is not None}
    assert any(name.startswith("layer4") for name in learns) == (4 in levels)
    assert any(name.startswith("layer2") for name in learns)


def test_without_the_update_levels_are_put_together_as_they_are():
    named = {
        name for name, _ in build_fused("resnet18", (2, 3, 4), update=False).named_parameters()
    }
    whole = {name for name, _ in build_backbone("resnet18_pbffn").named_parameters()}
    assert {name.split(".")[2] for name in whole - named} == {"update"}


def test_the_parts_that_agree_can_get_what_the_coarser_map_left_over_too():
    named = {
        name for name, _ in build_fused("resnet18", (2, 3, 4), fuse_high=True).named_parameters()
    }
    plain = {name for name, _ in build_backbone("resnet18_pbffn").named_parameters()}
    assert {name.split(".")[4] for name in named - plain} == {"join_high"}
    assert plain < named


@pytest.mark.parametrize("levels", [(2,), (3, 2), (2, 5), (2, 2)])
def test_levels_that_cannot_be_fused_are_told(levels):
    with pytest.raises(InputError, match=r"cannot be fused.*Take two or more of 2, 3, 4"):
        build_fused("resnet18", levels)


def test_networks_without_levels_cannot_be_fused():
    with pytest.raises(InputError, match="s_cnn_pbffn"):
        build_fused("s_cnn", (2, 3))
