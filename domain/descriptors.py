"""What is made of a network's last map, and at which sizes it looks at an image.

Source: DCL, sections on pooling and on multi-scale descriptors.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, field_validator

from domain.errors import InputError

# Of a side of an image; networks make nothing of smaller ones.
SMALLEST_PX = 32
LARGEST_SCALE = 2.0
# Ends the names of backbones that fuse maps; fused maps have negative values.
FUSED_SUFFIX = "_pbffn"


class Pooling(StrEnum):
    """How each channel of the last map becomes one number."""

    MEAN = "mean"  # SPoC; the paper's best
    MAX = "max"  # MAC
    GEM = "gem"  # the root of the mean of powers, between the two


class Descriptor(BaseModel):
    """How the features of images are made, beside the network and the views.

    Attributes:
        pooling: of the network's last map.
        power: of GeM, which learns it at full depth, from here on; no other pooling reads it.
            With 1 it is the mean. Of more than 6 the smallest values are nothing in float32.
        scales: of an image's sides; with several the directions of its features are averaged.
            A network learns from images at scale 1, whatever they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pooling: Pooling = Pooling.MEAN
    power: float = Field(default=3.0, ge=1, le=6)
    scales: tuple[float, ...] = (1.0,)

    @field_validator("scales")
    @classmethod
    def _scales_are_sizes(cls, scales: tuple[float, ...]) -> tuple[float, ...]:
        fits = all(0 < scale <= LARGEST_SCALE for scale in scales)
        if not scales or not fits or len(set(scales)) < len(scales):
            raise InputError(
                f"scales must be one or more numbers above 0, up to {LARGEST_SCALE:g}, each once."
            )
        return scales

    @property
    def words(self) -> str:
        """For people, after "a feature is"."""
        of_map = {
            Pooling.MEAN: "the mean of a network's last map (SPoC)",
            Pooling.MAX: "the largest values of a network's last map (MAC)",
            Pooling.GEM: f"a mean of powers of a network's last map (GeM, power {self.power:g})",
        }[self.pooling]
        if self.scales == (1.0,):
            return of_map
        *most, last = (f"{scale:.3g}" for scale in self.scales)
        sizes = f"scales {', '.join(most)} and {last}" if most else f"scale {last}"
        return f"{of_map}, at the {sizes} of its sides"

    @property
    def at_scale_one(self) -> "Descriptor":
        """The same of the images as they are, which is what networks learn from."""
        return self.model_copy(update={"scales": (1.0,)})

    def smallest_px(self, size_px: int) -> int:
        """The shortest side at which images of this size are looked at."""
        return round(min(self.scales) * size_px)


PLAIN = Descriptor()


def check_descriptor(descriptor: Descriptor, *, backbone: str, size_px: int) -> None:
    """Whether a backbone can make such features of images of this size.

    Raises:
        InputError: it cannot.
    """
    shortest_px = descriptor.smallest_px(size_px)
    if shortest_px < SMALLEST_PX:
        raise InputError(
            f"Images of {size_px} px are {shortest_px} px at scale {min(descriptor.scales):g}; it "
            f"must be {SMALLEST_PX} px or more.",
            "Take a larger scale, or larger images.",
        )
    check_pooling(descriptor, backbone)


def check_pooling(descriptor: Descriptor, backbone: str) -> None:
    """Whether a backbone's last map can be pooled in this way.

    Raises:
        InputError: it cannot.
    """
    if descriptor.pooling is Pooling.GEM and backbone.endswith(FUSED_SUFFIX):
        raise InputError(
            f"pooling gem does not go with {backbone}: roots need values from 0, and fused maps "
            "have others.",
            "Take mean or max.",
        )
