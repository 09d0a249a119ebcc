"""What identifies a picture: its exact pixels, and a hash that small changes leave almost alone."""

import hashlib

import imagehash
from PIL import Image

HASH_SIDE = 16  # bits a side and channel


def pixel_sha256(image: Image.Image) -> str:
    """Equal for pictures of the same size with the same RGB pixels."""
    digest = hashlib.sha256(f"{image.width}x{image.height}:".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


def perceptual_hash(image: Image.Image) -> str:
    """768 bits as hexadecimal text: ImageHash's average hash, 16 × 16, of red, green and blue.

    Bits are counted by `archive.duplicates` to find near-duplicates. The channels are hashed one
    by one because the grey picture alone joins look-alikes.
    """
    channels = image.convert("RGB").split()
    return "".join(str(imagehash.average_hash(each, hash_size=HASH_SIDE)) for each in channels)
