"""The catalogue: which images there are, and which files cannot be used."""

import json
import sqlite3
from collections.abc import Sequence

from domain.images import ImageRecord, Part, QuarantinedFile, ScannedImage

_COLUMNS = """
    image_id, path, sha256, pixel_sha256, perceptual_hash, width_px, height_px, class_name,
    duplicate_group, split_group, part
"""
_ADD = """
    INSERT INTO image (path, sha256, pixel_sha256, perceptual_hash, width_px, height_px,
        class_name, duplicate_group, split_group, part)
    VALUES (:path, :sha256, :pixel_sha256, :perceptual_hash, :width_px, :height_px,
        :class_name, :duplicate_group, :split_group, :part)
    ON CONFLICT (path) DO NOTHING
"""
_LIST = f"SELECT {_COLUMNS} FROM image ORDER BY image_id"  # noqa: S608 a constant
_LIST_PART = f"SELECT {_COLUMNS} FROM image WHERE part = :part ORDER BY image_id"  # noqa: S608
_PAGE = f"""
    SELECT {_COLUMNS} FROM image
    WHERE image_id > :after AND (:part IS NULL OR part = :part)
    ORDER BY image_id LIMIT :limit
"""  # noqa: S608 a constant
_GET = f"SELECT {_COLUMNS} FROM image WHERE image_id = :image_id"  # noqa: S608
_LIST_OF = f"""
    SELECT {_COLUMNS} FROM image WHERE image_id IN (SELECT value FROM json_each(:ids))
"""  # noqa: S608 a constant
_BY_HASH = f"SELECT {_COLUMNS} FROM image WHERE sha256 = :sha256 ORDER BY image_id"  # noqa: S608
_COPIES = """
    SELECT duplicate_group, count(*) FROM image
    WHERE duplicate_group IN (SELECT value FROM json_each(:groups)) GROUP BY duplicate_group
"""
_QUARANTINE = """
    INSERT INTO quarantine (path, reason) VALUES (:path, :reason)
    ON CONFLICT (path) DO UPDATE SET reason = excluded.reason
"""
_RELEASE = "DELETE FROM quarantine WHERE path = :path"


def add_images(
    db: sqlite3.Connection,
    images: Sequence[ScannedImage],
    *,
    duplicate_groups: Sequence[int],
    split_groups: Sequence[int],
    parts: Sequence[Part],
) -> int:
    """Catalogue images; those whose path is known already stay as they are.

    Args:
        db: inside a transaction.
        images: readable files.
        duplicate_groups, split_groups, parts: one for each image, see `ImageRecord`.

    Returns:
        How many images were new.
    """
    before = db.total_changes
    for image, duplicates, together, part in zip(
        images, duplicate_groups, split_groups, parts, strict=True
    ):
        groups = {"duplicate_group": int(duplicates), "split_group": int(together)}
        db.execute(_ADD, {**vars(image), **groups, "part": part.value})
    added = db.total_changes - before
    db.executemany(_RELEASE, [{"path": image.path} for image in images])
    return added


def list_images(db: sqlite3.Connection, *, part: Part | None = None) -> list[ImageRecord]:
    """Catalogued images by ascending id, of one part or all."""
    if part is None:
        return [_record(row) for row in db.execute(_LIST)]
    return [_record(row) for row in db.execute(_LIST_PART, {"part": part.value})]


def count_images(db: sqlite3.Connection) -> int:
    """How many images are catalogued."""
    (count,) = db.execute("SELECT count(*) FROM image").fetchone()
    return int(count)


def images_after(
    db: sqlite3.Connection, image_id: int, *, limit: int, part: Part | None = None
) -> list[ImageRecord]:
    """So many images by ascending id, from the one after the given on."""
    values = {"after": image_id, "limit": limit, "part": part.value if part else None}
    return [_record(row) for row in db.execute(_PAGE, values)]


def get_image(db: sqlite3.Connection, image_id: int) -> ImageRecord | None:
    """The image of that id, None if there is none."""
    row = db.execute(_GET, {"image_id": image_id}).fetchone()
    return _record(row) if row else None


def find_content(db: sqlite3.Connection, sha256: str) -> ImageRecord | None:
    """The first image whose file has that content, None if there is none."""
    row = db.execute(_BY_HASH, {"sha256": sha256}).fetchone()
    return _record(row) if row else None


def images_by_id(db: sqlite3.Connection, image_ids: Sequence[int]) -> dict[int, ImageRecord]:
    """Those of some images that the catalogue has."""
    found = map(_record, db.execute(_LIST_OF, {"ids": json.dumps(list(image_ids))}))
    return {record.image_id: record for record in found}


def images_in_group(db: sqlite3.Connection, duplicate_groups: Sequence[int]) -> dict[int, int]:
    """How many images have the same pixels, by duplicate group."""
    return dict(db.execute(_COPIES, {"groups": json.dumps(list(duplicate_groups))}).fetchall())


def image_ids_by_path(db: sqlite3.Connection) -> dict[str, int]:
    """The id of every image by its path below the archive's root."""
    return dict(db.execute("SELECT path, image_id FROM image ORDER BY image_id").fetchall())


def quarantine(db: sqlite3.Connection, files: Sequence[QuarantinedFile]) -> None:
    """Remember files that cannot be used; a later reason replaces an earlier one."""
    db.executemany(_QUARANTINE, [vars(file) for file in files])


def list_quarantined(db: sqlite3.Connection) -> list[QuarantinedFile]:
    """Files that cannot be used, by path."""
    rows = db.execute("SELECT path, reason FROM quarantine ORDER BY path")
    return [QuarantinedFile(row["path"], row["reason"]) for row in rows]


def _record(row: sqlite3.Row) -> ImageRecord:
    return ImageRecord(**{**dict(row), "part": Part(row["part"])})
