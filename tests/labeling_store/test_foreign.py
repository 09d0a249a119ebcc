"""Files of dedupe and Label Studio, as these programs write them."""

import json
from pathlib import Path

import pytest

from domain.errors import InputError
from labeling_store.foreign import read_foreign

FILES = Path(__file__).parents[1] / "fixtures" / "foreign"
CATALOGUED = [
    "harbor/a1.png", "harbor/a2.png", "forest/b1.png", "forest/b2.png", "forest/b 1.png",
    "forest/same.png", "harbor/same.png",
]  # fmt: skip


def triples(rows):
    return [(row["image_a"], row["image_b"], row["similar"]) for row in rows]


def written(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_training_file_of_dedupe():
    assert triples(read_foreign(FILES / "dedupe.json", CATALOGUED)) == [
        ("harbor/a1.png", "harbor/a2.png", 1),
        ("harbor/a1.png", "forest/b1.png", 0),
        ("harbor/a2.png", "forest/b2.png", 0),
    ]


def test_a_training_file_of_an_older_dedupe():
    assert triples(read_foreign(FILES / "dedupe-1.json", CATALOGUED)) == [
        ("harbor/a1.png", "harbor/a2.png", 1),
        ("harbor/a1.png", "forest/b1.png", 0),
    ]


def test_an_export_of_label_studio():
    rows = read_foreign(FILES / "label-studio.json", CATALOGUED)
    assert triples(rows) == [
        ("harbor/a1.png", "harbor/a2.png", 1),
        ("harbor/a1.png", "harbor/a2.png", 0),
        ("forest/b 1.png", "harbor/a1.png", None),
    ]
    first, second, third = rows
    assert (first["member"], second["member"]) == ("ann@example.org", "annotator 7")
    assert (first["answer_ms"], third["answer_ms"]) == (4288, 1000)
    assert first["answered_at"] == "2025-03-09T22:16:08.728353Z"
    assert len({row["key"] for row in rows}) == 3


def test_a_short_export_of_label_studio():
    rows = read_foreign(FILES / "label-studio-min.json", CATALOGUED)
    assert triples(rows) == [
        ("harbor/a1.png", "harbor/a2.png", 1),
        ("harbor/a1.png", "forest/b2.png", 0),
    ]
    assert [row["member"] for row in rows] == ["annotator 7"] * 2


def test_a_list_of_our_own_rows_is_taken_as_it_is(tmp_path):
    rows = [{"image_a": "harbor/a1.png", "image_b": "forest/b1.png", "similar": 0, "kind": None}]
    assert read_foreign(written(tmp_path, rows), CATALOGUED) == rows


def of_pair(first, second="harbor/a2.png"):
    return {"match": [[{"path": first}, {"path": second}]], "distinct": []}


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("harbor/a1.png", "harbor/a1.png"),
        ("C:\\archive\\harbor\\a1.png", "harbor/a1.png"),
        ("https://example.org/a/b/harbor/a1.png?x=1#top", "harbor/a1.png"),
        ("b1.png", "forest/b1.png"),
        ("elsewhere/b1.png", "elsewhere/b1.png"),
        ("/data/upload/b1.png", "forest/b1.png"),
        ("../harbor/a1.png", "../harbor/a1.png"),
        ("/archive/harbor/../../etc/a1.png", "/archive/harbor/../../etc/a1.png"),
        ("https://example.org/%2e%2e/harbor/a1.png", "https://example.org/%2e%2e/harbor/a1.png"),
        ("nowhere.png", "nowhere.png"),
    ],
)
def test_images_are_found_by_the_end_of_their_address_or_left_for_the_import_to_name(
    tmp_path, reference, found
):
    ((image, _, _),) = triples(read_foreign(written(tmp_path, of_pair(reference)), CATALOGUED))
    assert image == found


def task(**more):
    return {
        "id": 5,
        "data": {"image1": "harbor/a1.png", "image2": "harbor/a2.png"},
        "annotations": [{"id": 1, "result": [{"type": "choices", "value": {"choices": ["same"]}}]}],
        **more,
    }


def chosen(*words, kind="choices"):
    return [{"id": 1, "result": [{"type": kind, "value": {"choices": list(words)}}]}]


PAIRWISE = [{"id": 1, "result": [{"type": "pairwise", "value": {"selected": "left"}}]}]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (of_pair("same.png"), "'same.png' may be any of forest/same.png, harbor/same.png"),
        ({"match": [[{"path": "harbor/a1.png"}]]}, "pair 1: a pair needs two records"),
        ({"match": [[{"name": "x"}, {"name": "y"}]]}, 'no image of the archive in the record {"n'),
        ({"match": [["a", "b"]]}, "pair 1: a record is no object"),
        (
            {"distinct": [[{"p": "harbor/a1.png", "q": "forest/b1.png"}, {"p": "b2.png"}]]},
            "several images of the archive in the record",
        ),
        ([task(annotations=PAIRWISE)], "task 5 has the choices none; exactly one must be one of"),
        ([task(annotations=chosen("left"))], "task 5 has the choices left"),
        ([task(annotations=chosen("same", "different"))], "the choices same, different"),
        ([task(data={"image1": "harbor/a1.png"})], "task 5 has 1 images, not two"),
        ([task(data=["harbor/a1.png"])], "task 5 is not as Label Studio writes it"),
        ([task(annotations=[17])], "task 5 is not as Label Studio writes it"),
        ({"anneal_card": 1}, "is a data card"),
        ({"images": []}, "is neither a training file of dedupe"),
        ([1, 2], "is neither a training file of dedupe"),
        ("[" * 100_000, "is broken"),
        ('{"match": [', "is broken"),
        ('"\\ud800', "is broken"),
    ],
)  # fmt: skip
def test_what_gives_no_answer_is_named(tmp_path, content, problem):
    with pytest.raises(InputError) as caught:
        read_foreign(written(tmp_path, content), CATALOGUED)
    assert problem in caught.value.message


def test_wrong_entries_are_counted(tmp_path):
    bad = [task(annotations=chosen("left")) for _ in range(5)]
    with pytest.raises(InputError, match=r"5 of 6 entries give no answer.*and 2 more"):
        read_foreign(written(tmp_path, [task(), *bad]), CATALOGUED)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_foreign(tmp_path / "x.json", CATALOGUED)
