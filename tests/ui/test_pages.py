"""Every page, in every state a project can be in, says what there is and what to do next."""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from domain.answers import Kind
from tests.ui import stage
from tests.ui.app import opened, show, table, words
from ui import tables
from workflow import jobs, labels, rounds, search
from workflow.project import Project
from workflow.run_files import drop_embeddings

PAGES = (
    "overview",
    "rounds",
    "curves",
    "search",
    "explore",
    "labels",
    "my_answers",
    "people",
    "you",
    "project",
    "instructions",
)
LEARNT = {"threshold": 0.3}
RETRIEVAL = {"map": 0.5, "map_at_5_min": 0.6, "map_at_5_hits": 0.7}
Make = Callable[..., Project]


pytestmark = pytest.mark.usefixtures("quick_app_tests")


def trained(project: Project, *, classes: bool = True) -> None:
    """Two models, a round answered in part, and a job that is done."""
    metrics = LEARNT | RETRIEVAL if classes else LEARNT
    stage.finish_jobs(project)
    stage.add_model(project, 0, metrics=metrics)
    stage.answer_questions(project, 40, unsure=2)
    stage.add_model(project, 1, metrics=metrics, bits=40)
    pairs = stage.training_pairs(project, 30)
    stage.next_round(project, 2, pairs, model="r001")
    stage.answer_questions(project, 20)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("classes", [True, False], ids=["class folders", "flat folder"])
def test_pages_of_a_fresh_project_lead_on(make: Make, page: str, classes: bool) -> None:
    make(classes=classes)
    app = show(page)
    assert len(app.title) == 1
    assert app.button or app.get("page_link")


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("classes", [True, False], ids=["class folders", "flat folder"])
def test_pages_of_a_trained_project_are_drawn(make: Make, page: str, classes: bool) -> None:
    trained(make(classes=classes), classes=classes)
    assert not show(page).error


@pytest.mark.parametrize("page", PAGES)
def test_without_a_project_pages_say_how_to_make_one(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANNEAL_PROJECT", str(tmp_path / "nowhere"))
    (error,) = show(page).error
    assert "init" in error.value.replace("\\", "")


def test_the_overview_counts_answers_and_names_the_next_step(make: Make) -> None:
    project = make()
    stage.answer_questions(project, 7, unsure=2)
    said = words(show("overview"))
    assert "Bits: 7" in said
    assert "Images: 40" in said
    assert "Go on answering" in said


@pytest.mark.parametrize("page", ["overview", "rounds"])
def test_a_round_whose_questions_are_out_of_the_ordinary_says_why(make: Make, page: str) -> None:
    project = make()
    pairs = stage.training_pairs(project, 5)
    stage.next_round(project, 2, pairs, model="r001", notes=("The threshold was <b>moved</b>.",))
    assert "The threshold was <b>moved</b>." in words(show(page))


def test_the_next_step_is_one_click_away(make: Make) -> None:
    make()
    app = show("overview")
    app.button(key="next_step.go").click().run()
    assert not app.exception
    assert not app.title  # the annotate page is all component


def test_files_put_aside_are_listed_with_their_reason(make: Make) -> None:
    make()
    app = show("overview")
    assert "1 unusable file" in [each.label for each in app.expander]
    (table,) = app.dataframe
    assert table.value["File"].tolist() == ["broken.png"]
    assert table.value["Reason"][0]


def test_a_waiting_job_is_shown_with_what_it_waits_for(make: Make) -> None:
    make()
    said = words(show("overview"))
    assert "Preparing the images" in said
    assert "worker" in said


def test_training_cannot_start_before_a_similar_pair_is_answered(make: Make) -> None:
    project = make()
    app = show("rounds")
    assert app.button(key="rounds.start").disabled
    assert rounds.check_can_train(project) in words(app)


def test_starting_a_round_enqueues_it_with_the_chosen_parameters(make: Make) -> None:
    project = make()
    trained(project)
    app = show("rounds")
    app.selectbox(key="rounds.strategy").select("random")
    app.number_input(key="rounds.pairs").set_value(25).run()
    app.button(key="rounds.start").click().run()
    job = jobs.running(project)
    assert job is not None
    assert job.kind == jobs.ROUND
    assert dict(job.params) == {"strategy": "random", "pairs": 25, "depth": "auto"}
    assert app.button(key="rounds.start").disabled


def test_a_round_is_started_once_however_often_it_is_clicked(make: Make) -> None:
    project = make()
    trained(project)
    first, second = show("rounds"), show("rounds")
    first.button(key="rounds.start").click().run()
    second.button(key="rounds.start").click().run()
    assert not second.exception
    assert len([job for job in jobs.recent(project) if job.kind == jobs.ROUND]) == 1
    assert "already" in " ".join(each.value for each in second.toast)


def test_a_running_job_can_be_cancelled(make: Make) -> None:
    project = make()
    app = show("rounds")
    job = jobs.running(project)
    assert job is not None
    app.button(key=f"rounds.cancel.{job.job_id}").click().run()
    assert jobs.running(project) is None


def test_a_failed_job_says_why_and_can_be_tried_again(make: Make) -> None:
    project = make()
    stage.finish_jobs(project, error="The disk is full. Free 2 GB.")
    app = show("rounds")
    (failed,) = jobs.recent(project)
    assert "The disk is full. Free 2 GB." in words(app)
    app.button(key=f"rounds.retry.{failed.job_id}").click().run()
    assert jobs.running(project) is not None


def test_the_log_of_a_job_can_be_read(make: Make) -> None:
    project = make()
    stage.write_log(project, "epoch 1: loss 0.25")
    app = show("rounds")
    app.session_state["rounds.logs"] = True
    app.run()
    assert "epoch 1: loss 0.25" in app.code[0].value


def test_an_earlier_model_can_be_used_again(make: Make) -> None:
    project = make()
    trained(project)
    app = show("rounds")
    earlier = next(run for run in rounds.list_runs(project) if not run.active)
    app.selectbox(key="rounds.run").select(earlier).run()
    app.button(key="rounds.use").click().run()
    assert [run.name for run in rounds.list_runs(project) if run.active] == [earlier.name]


def test_a_model_without_embeddings_is_embedded_with_before_it_is_used(make: Make) -> None:
    project = make()
    trained(project)
    earlier = next(run for run in rounds.list_runs(project) if not run.active)
    drop_embeddings(project.runs / earlier.name)
    assert not show("curves").exception
    app = show("rounds")
    app.selectbox(key="rounds.run").select(earlier).run()
    app.button(key="rounds.use").click().run()
    assert "embedded with it first" in app.toast[0].value
    job = jobs.running(project)
    assert job is not None
    assert (job.kind, job.params) == (jobs.USE, {"run": earlier.name})
    assert "Embedding the images with an earlier model" in words(app)


def test_rounds_are_listed_with_what_was_asked_and_answered(make: Make) -> None:
    trained(make())
    table = show("rounds").dataframe[0].value
    assert table["Round"].tolist() == [2, 1]
    assert table["Pairs"].tolist() == [30, 100]
    assert table["Answered"][0] == round(100 * 20 / 30)
    assert table["mAP@5"].tolist()[1] == pytest.approx(60.0)


def test_curves_of_a_flat_folder_judge_by_answers_only(make: Make) -> None:
    trained(make(classes=False), classes=False)
    app = show("curves")
    assert "The folders of this archive are not classes." in words(app)
    assert len(app.get("vega_lite_chart")) == 3  # AUC, balanced accuracy and the histogram


def test_curves_list_the_figures_of_every_model(make: Make) -> None:
    trained(make())
    table = show("curves").dataframe[0].value
    assert table["Bits"].tolist() == [0, 40]
    assert table["mAP@5"].tolist() == pytest.approx([60.0, 60.0])
    for name in ("AUC", "Average precision", "AUC, random pairs"):
        assert table[name].between(0, 100).any()


def test_percentages_are_not_multiplied_twice() -> None:
    """Rows hold 0…100; the format named "percent" would show 60 as 6000 %."""
    for column in (tables.round_columns()["mAP@5"], tables.curve_columns()["AUC"]):
        assert column["type_config"]["format"] == "%.1f %%"


def test_curves_without_a_model_lead_to_the_overview(make: Make) -> None:
    make()
    assert "No model yet" in words(show("curves"))


def test_curves_say_whether_another_round_is_worth_it(make: Make) -> None:
    project = make()
    trained(project)
    assert "It needs 4 trained models" in words(show("curves"))
    for number in range(2, 6):
        metrics = LEARNT | RETRIEVAL | {"map_at_5_min": 1 - 0.4 * 0.8**number}
        stage.add_model(project, number, metrics=metrics, bits=40 * 2**number)
    app = show("curves")
    assert "percentage points" in words(app)
    assert "mAP@5 of 95 %" in words(app).replace("\u2060", "")
    app.select_slider(key="curves.target").set_value(60).run()
    assert "has it already" in words(app)
    app.radio(key="curves.effort").set_value("minutes").run()
    assert not app.exception


def test_curves_compare_two_models_image_by_image(make: Make) -> None:
    project = make()
    trained(project)
    app = show("curves")
    assert "Better: " in words(app)
    app.selectbox(key="curves.Beside").select("r001").run()
    assert not app.exception
    assert "Better: 0 images" in words(app)
    assert "Worse: 0 images" in words(app)


def test_curves_lay_a_simulation_beside_the_own_models(make: Make) -> None:
    trained(make())
    app = show("curves")
    app.file_uploader[0].upload("curve.csv", b"strategy,bits\nmgue,1\n").run()
    (error,) = app.error
    assert "no column seed" in error.value
    table = b"strategy,seed,round,bits,map\nmgue,0,-1,0,0.5\nmgue,0,0,9,0.6\n"
    app = show("curves")
    app.file_uploader[0].upload("curve.csv", table).run()
    assert not app.error
    assert app.radio(key="curves.simulated_metric").options == ["mAP"]


def test_search_without_embeddings_says_what_to_wait_for(make: Make) -> None:
    make()
    assert "still being prepared" in words(show("search"))


def test_search_for_an_unknown_image_says_so(make: Make) -> None:
    trained(make())
    app = opened("search")
    app.query_params["image"] = "4000"
    app.run()
    assert not app.exception
    assert "4000" in words(app)
    assert "Or choose an image of the archive" in [each.value for each in app.header]


def test_search_texts_that_find_nothing_say_so(make: Make) -> None:
    trained(make())
    app = show("search")
    app.text_input(key="search.text").set_value("*no* such").run()
    assert not app.exception
    assert "No path contains “*no* such”, among all images." in words(app)


def test_search_says_which_images_are_shown_of_how_many(make: Make) -> None:
    trained(make())
    app = show("search")
    assert "1–24 of 40 images" in words(app)
    app.text_input(key="search.text").set_value("DOTS/").run()
    assert "1–10 of 10 found among 40 images" in words(app)


def search_for(image_id: int) -> AppTest:
    app = opened("search")
    app.query_params["image"] = str(image_id)
    app.run()
    assert not app.exception
    return app


def test_a_search_goes_on_with_more_results(make: Make) -> None:
    project = make()
    trained(project)
    app = search_for(stage.training_images(project)[0].image_id)
    app.button(key="search.more").click().run()
    assert not app.exception
    assert app.query_params["show"] in ("48", ["48"])
    assert not [each for each in app.button if each.key == "search.more"]  # all 39 are there


def test_a_picture_that_cannot_be_embedded_says_why(make: Make) -> None:
    trained(make())
    app = show("search")
    app.file_uploader[0].upload("mine.png", b"no picture").run()
    (error,) = app.error
    assert "The worker is not running" in error.value.replace("\\", "")


def test_explore_shows_the_images_nearest_to_one_that_is_named(make: Make) -> None:
    project = make()
    trained(project)
    (wanted,) = search.browse(project, "stripes/stripes03").images
    app = show("explore")
    app.selectbox(key="explore.which").select("The images nearest to one").run()
    assert len(app.selectbox(key="explore.near.image").options) == 40
    app.text_input(key="explore.near.text").set_value("Stripes03").run()
    assert app.selectbox(key="explore.near.image").options == [wanted.path]
    app.number_input(key="explore.near.count").set_value(5).run()
    assert not app.exception
    assert "5 images. Click one" in words(app)
    app.text_input(key="explore.near.text").set_value("nowhere").run()
    assert not app.exception
    assert "Ask these" not in [each.label for each in app.button]


def test_search_leads_to_the_same_images_on_explore(make: Make) -> None:
    project = make()
    trained(project)
    (wanted,) = search.browse(project, "stripes/stripes03").images
    app = show("explore", near=str(wanted.image_id))
    assert app.selectbox(key="explore.near.image").value == wanted.image_id
    assert "12 images. Click one" in words(app)


def test_explore_shows_the_images_of_a_group_without_the_mouse(make: Make) -> None:
    project = make()
    trained(project)
    alike = stage.one_kind(project, 4)
    for other in alike[1:]:
        stage.answer_pair(project, alike[0], other, Kind.SIMILAR)
    app = show("explore")
    assert "All 40 images are drawn." in words(app)
    assert "Nothing is selected" in words(app)
    largest = app.selectbox(key="explore.which").options[2]
    assert largest.startswith("group 1")
    app.selectbox(key="explore.which").select(largest).run()
    assert not app.exception
    count = int(largest.split(": ")[1].split()[0])
    assert count >= 4
    assert f"{count} images. Click one" in words(app)


def test_labels_list_conflicts(make: Make) -> None:
    project = make()
    contradict(project)
    app = show("labels")
    assert len(table(app)) == 3
    app.radio(key="labels.filter").set_value("In conflict").run()
    assert not app.exception
    shown = sum(label.in_conflict for label in labels.pair_labels(project))
    assert [row["note"] for row in table(app)] == ["in conflict"] * shown


def contradict(project: Project) -> None:
    """Say that a is like b and b like c, but a not like c."""
    a, b, c = stage.one_kind(project, 3)
    stage.answer_pair(project, a, b, Kind.SIMILAR)
    stage.answer_pair(project, b, c, Kind.SIMILAR)
    assert stage.answer_pair(project, a, c, Kind.DISSIMILAR).conflict


def test_answers_beyond_the_target_of_a_round_are_counted_apart(make: Make) -> None:
    project = make()
    stage.answer_questions(project, 103)
    app = show("overview")
    (bar,) = app.get("progress")
    assert "Round 1: 100 of 100 answered, and 3 more" in bar.proto.text
    assert "47 more pairs can be answered" in words(app)
    assert show("rounds").dataframe[0].value["Answered"].tolist() == [100]


def test_what_the_model_has_learnt_already_is_not_trained_again(make: Make) -> None:
    project = make()
    stage.finish_jobs(project)
    stage.answer_questions(project, 100)
    stage.add_model(project, 1, metrics=LEARNT, bits=100)
    assert "Ask the next pairs" in words(show("overview"))
    app = show("rounds")
    assert app.button(key="rounds.start").label == "Ask new pairs"
    app.button(key="rounds.start").click().run()
    job = jobs.running(project)
    assert job is not None
    assert job.kind == jobs.PROPOSE
    said = words(app)
    assert "Choosing new pairs" in said
    assert "New pairs are being chosen already." in said
    assert app.button(key="rounds.start").disabled


def test_a_classifier_of_pairs_is_trained_even_on_the_same_answers(make: Make) -> None:
    project = make()
    stage.finish_jobs(project)
    stage.answer_questions(project, 100)
    stage.add_model(project, 1, metrics=LEARNT, bits=100)
    rounds.start_round(project, strategy="bcgue")
    job = jobs.running(project)
    assert job is not None
    assert job.kind == jobs.ROUND


def test_a_job_whose_worker_is_gone_is_not_shown_as_running(make: Make) -> None:
    project = make()
    stage.report(project, stage.claim_job(project), 0.4, "epoch 6 of 15")
    said = words(show("rounds"))
    assert "Queued" in said
    assert "Running" not in said


def test_after_a_failed_preparation_the_overview_does_not_promise_a_model(make: Make) -> None:
    project = make()
    stage.finish_jobs(project, error="There is no such weights file.")
    said = words(show("overview"))
    assert "not ready, as the preparation of the images did not end" in said
    assert "waiting for the worker" not in said
