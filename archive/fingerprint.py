"""What identifies a picture: its exact pixels, and a hash that small changes leave almost alone."""

import hashlib

import imagehash
from PIL import Image

HASH_SIDE = 16  # bits a side and channel


def pixel_sha256(*planes: Image.Image) -> str:
    """Equal for pictures of the same size with the same pixels, in RGB or in all their bands."""
    digest = hashlib.sha256(f"{planes[0].width}x{planes[0].height}:".encode())
    for plane in planes:
        digest.update(plane.tobytes())
    return digest.hexdigest()


def perceptual_hash(image: Image.Image) -> str:
    """768 bits as hexadecimal text: ImageHash's average hash, 16 × 16, of red, green and blue.

    Bits are counted by `archive.duplicates` to find near-duplicates. The channels are hashed one
    by one because the grey picture alone joins look-alikes.
    """
    channels = image.convert("RGB").split()
    return "".join(str(imagehash.average_hash(each, hash_size=HASH_SIDE)) for each in channels)
