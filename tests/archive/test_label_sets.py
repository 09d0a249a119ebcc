from pathlib import Path

import pytest

from archive.label_sets import read_label_sets
from domain.errors import InputError


def written(folder: Path, text: str) -> Path:
    path = folder / "labels.tsv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("mark", ["\t", ","])
def test_a_table_gives_the_labels_of_each_image(tmp_path: Path, mark: str) -> None:
    text = f"IMAGE{mark}sea{mark}ship\nharbour00{mark}1{mark}1\n\nbeach00{mark}1{mark}0\n"
    found = read_label_sets(written(tmp_path, text))
    assert found.images == ("harbour00", "beach00")
    assert found.labels == ("sea", "ship")
    assert found.values.tolist() == [[True, True], [True, False]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0 rows"),
        ("image\tsea\n", "0 rows"),
        ("image\nbeach00\n", "0 labels each"),
        ("image\tsea\nbeach00\t1\nbeach00\t0\n", "2 rows of 1 images"),
        ("image\tsea\nbeach00\tyes\n", "row 2: .* must be 0 or 1"),
        ("image\tsea\tship\nharbour00\t1\t1\nbeach00\t1\n", "row 3: 1 values for 2 labels"),
    ],
    ids=["empty", "no image", "no label", "an image twice", "a word", "a value is missing"],
)
def test_a_table_that_cannot_be_used_is_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_label_sets(written(tmp_path, text))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_label_sets(tmp_path / "none.tsv")
