"""Files out of a project and into it, and the card that says what they are."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from domain.answers import Kind
from domain.errors import InputError
from domain.flags import NewFlag
from labeling_store import answers, images
from tests.pictures import write_archive
from tests.ui import stage
from workflow import exchange, flags
from workflow.creation import create_project
from workflow.exchange import card_of, export_file, import_file, import_upload, rehearse_upload
from workflow.project import Project, local_owner, open_project


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    archive = write_archive(root / "images", each=5)
    project = create_project(root / "project", images=archive).project
    project.close()
    return root / "project"


@pytest.fixture
def opened(made: Path, tmp_path: Path) -> Iterator[Callable[[str], Project]]:
    """Opens copies of one project without answers."""
    projects: list[Project] = []

    def copy(name: str) -> Project:
        shutil.copytree(made, tmp_path / name)
        projects.append(open_project(tmp_path / name))
        return projects[-1]

    yield copy
    for project in projects:
        project.close()


@pytest.fixture
def answered(opened: Callable[[str], Project]) -> Project:
    project = opened("project")
    stage.answer_questions(project, 12, unsure=2)
    first, second, third = stage.one_kind(project, 3)
    stage.answer_pair(project, first, second, Kind.SIMILAR)
    stage.answer_pair(project, second, third, Kind.SIMILAR)
    stage.add_model(project, 1, metrics={})
    return project


def card(out: Path) -> dict[str, object]:
    said: dict[str, object] = json.loads(card_of(out).read_text())
    return said


@pytest.mark.parametrize("what", exchange.WHATS)
@pytest.mark.parametrize("fmt", exchange.FORMATS)
def test_the_same_project_gives_the_same_file_and_card(
    answered: Project, tmp_path: Path, what: exchange.What, fmt: exchange.Format
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        export_file(answered, tmp_path / name / f"x.{fmt}", what=what, fmt=fmt)
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in ("one", "two"))
    assert one == two
    assert sorted(one) == [f"x.{fmt}", f"x.{fmt}.card.json"]


def test_a_card_says_what_is_in_the_file(answered: Project, tmp_path: Path) -> None:
    out = tmp_path / "x.csv"
    export_file(answered, out, what="answers", fmt="csv")
    said, effort = card(out), answers.effort(answered.store.reader())
    assert said["file"] == {
        "name": "x.csv",
        "format": "csv",
        "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
    }
    counts = said["counts"]
    assert isinstance(counts, dict)
    assert counts["rows"] == 16 == effort.answers
    assert (counts["similar"], counts["dissimilar"]) == (effort.similar, effort.dissimilar)
    assert counts["without_label"] == 2 == counts["kinds"]["unsure"]
    assert (counts["members"], counts["sources"]) == (1, {"click": 16})
    assert counts["first_answered_at"] <= counts["last_answered_at"]
    assert said["last_event_id"] == 16
    model = said["model"]
    assert isinstance(model, dict)
    assert model["name"] == "r001"


def test_a_card_counts_what_is_implied(answered: Project, tmp_path: Path) -> None:
    out = tmp_path / "x.jsonl"
    rows = export_file(answered, out, what="known", fmt="jsonl")
    written = [json.loads(line) for line in out.read_text().splitlines()]
    counts = card(out)["counts"]
    assert isinstance(counts, dict)
    assert counts["implied"] == sum(row["implied"] for row in written) > 0
    assert counts["rows"] == rows == len(written)


def test_a_card_counts_flags_by_how_they_ended(answered: Project, tmp_path: Path) -> None:
    owner = local_owner(answered)
    new = [NewFlag(f"flag-{number}", number, None) for number in (1, 2, 3)]
    undo = NewFlag("undo", 1, None, takes_back_key="flag-1")
    flags.submit_flags(answered, owner, [*new, undo])
    rows = export_file(answered, tmp_path / "x.csv", what="flags", fmt="csv")
    counts = card(tmp_path / "x.csv")["counts"]
    assert isinstance(counts, dict)
    assert (counts["rows"], counts["flags"], counts["members"]) == (rows, 3, 1)
    assert counts["kinds"] == {"open": 2, "taken_back": 1}
    assert counts["first_answered_at"] <= counts["last_answered_at"]


def test_the_hash_of_the_images_is_that_of_their_content(
    answered: Project, opened: Callable[[str], Project], tmp_path: Path
) -> None:
    other = opened("other")
    with other.store.transaction() as db:
        db.execute("UPDATE image SET sha256 = 'x' WHERE image_id = 3")
    hashes = []
    for project in (answered, other):
        export_file(project, tmp_path / "x.csv", what="labels", fmt="csv")
        hashes.append(card(tmp_path / "x.csv")["images"])
    records = images.list_images(answered.store.reader())
    lines = "".join(sorted(f"{each.sha256}  {each.path}\n" for each in records))
    expected = hashlib.sha256(lines.encode()).hexdigest()
    assert hashes[0] == {"count": 20, "sha256": expected}
    assert hashes[1] != hashes[0]


def test_a_card_is_no_file_to_import(answered: Project, tmp_path: Path) -> None:
    export_file(answered, tmp_path / "x.csv", what="answers", fmt="csv")
    with pytest.raises(InputError, match="is a data card"):
        import_file(answered, local_owner(answered), card_of(tmp_path / "x.csv"))


@pytest.mark.parametrize("fmt", exchange.FORMATS)
def test_an_export_goes_into_another_project(
    answered: Project, opened: Callable[[str], Project], tmp_path: Path, fmt: exchange.Format
) -> None:
    export_file(answered, tmp_path / f"x.{fmt}", what="answers", fmt=fmt)
    other = opened("other")
    content = (tmp_path / f"x.{fmt}").read_bytes()
    said = rehearse_upload(other, local_owner(other), f"x.{fmt}", content)
    assert answers.last_event_id(other.store.reader()) == 0
    report = import_upload(other, local_owner(other), f"X.{fmt.upper()}", content)
    assert report == said.report
    assert list(answers.events(other.store.reader())) == list(
        answers.events(answered.store.reader())
    )


def test_answers_of_other_programs_are_imported(opened: Callable[[str], Project]) -> None:
    project = opened("project")
    paths = [each.path for each in images.list_images(project.store.reader())]
    pairs = {"match": [[{"p": paths[0]}, {"p": paths[1]}]], "distinct": []}
    content = json.dumps(pairs).encode()
    assert import_upload(project, local_owner(project), "t.json", content).stored == 1
    assert import_upload(project, local_owner(project), "t.json", content).repeated == 1
    strange = json.dumps({"match": [[{"p": "no.png"}, {"p": paths[1]}]]}).encode()
    with pytest.raises(InputError, match=r"no such image in the archive: 'no\.png'"):
        import_upload(project, local_owner(project), "t.json", strange)


@pytest.mark.parametrize(
    "path",
    ["../../etc/passwd", "/etc/passwd", "..\\..\\x.png", "a\0b.png", "file:///etc/passwd", ""],
)
def test_paths_outside_the_catalogue_are_refused(
    opened: Callable[[str], Project], path: str
) -> None:
    project = opened("project")
    known = images.list_images(project.store.reader())[0].path
    row = json.dumps({"image_a": path, "image_b": known, "similar": 1})
    with pytest.raises(InputError, match="no such image in the archive"):
        import_upload(project, local_owner(project), "x.jsonl", row.encode())
    assert answers.last_event_id(project.store.reader()) == 0


def test_too_large_an_upload_is_refused(
    opened: Callable[[str], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = opened("project")
    monkeypatch.setattr(exchange, "UPLOAD_MB", 1)
    with pytest.raises(InputError, match="at most 1 can be uploaded"):
        import_upload(project, local_owner(project), "x.csv", bytes((1 << 20) + 1))


@pytest.mark.parametrize("name", ["x.exe", "../../../x.csv/..", "", "x", "x.csv\0.sh"])
def test_the_name_of_an_upload_leads_nowhere(
    opened: Callable[[str], Project], name: str, tmp_path: Path
) -> None:
    project = opened("project")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="allowed are"):
        import_upload(project, local_owner(project), name, b"image_a,image_b,similar\n")
    assert sorted(tmp_path.rglob("*")) == before
