"""Tables as files: exact in every format, harmless in spreadsheets, and named where broken."""

import csv

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InputError
from labeling_store.files import read_rows
from tests.labeling_store.building import write_rows

FORMATS = ["csv", "jsonl", "parquet"]
NASTY = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "'=1", "''@", "'plain", 'a,b\n"c"', "<b>é 画</b>"]


@pytest.mark.parametrize("fmt", FORMATS)
def test_texts_that_look_like_formulas_come_back_unchanged(tmp_path, fmt):
    path = tmp_path / f"x.{fmt}"
    columns = {"text": str, "number": float}
    rows = [{"text": text, "number": -0.5} for text in NASTY]
    write_rows(path, rows, columns, fmt=fmt)
    assert [each["text"] for each in read_rows(path)] == NASTY
    assert {float(each["number"]) for each in read_rows(path)} == {-0.5}


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_spreadsheet_never_sees_a_formula(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    write_rows(path, [{"text": text}], {"text": str}, fmt="csv")
    with path.open(encoding="utf-8", newline="") as file:
        (_, (cell,)) = csv.reader(file)
    assert cell[0] not in "=+-@\t\r\0"
    assert read_rows(path) == [{"text": text}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", b'image_a,image_b,similar\n"a.png,b.png'),
        ("x.csv", b"image_a,image_b,similar\na.png,b.png\n"),
        ("x.csv", b"\xff\xfe\x00bad"),
        ("x.jsonl", b'{"image_a": "a.png", '),
        ("x.jsonl", b"[1, 2, 3]\n"),
        ("x.parquet", b"PAR1 this is none"),
        ("x.parquet", b""),
    ],
)
def test_a_broken_file_is_called_broken(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match="is broken"):
        read_rows(path)


def test_a_small_parquet_file_of_very_many_rows_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "x.parquet"
    nothing = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000_001, pa.int8()), [""])
    pq.write_table(pa.table({"image_a": nothing}), path)
    assert path.stat().st_size < 100_000
    with pytest.raises(InputError, match="10,000,001 rows; at most 10,000,000"):
        read_rows(path)


def test_an_unknown_ending_and_a_missing_file_are_named(tmp_path):
    with pytest.raises(InputError, match=r'ends in ".xlsx"; allowed are .csv, .jsonl, .parquet'):
        read_rows(tmp_path / "x.xlsx")
    with pytest.raises(InputError, match="cannot be read"):
        read_rows(tmp_path / "x.csv")
    with pytest.raises(InputError, match="cannot be written"):
        write_rows(tmp_path / "no" / "x.csv", [], {}, fmt="csv")
