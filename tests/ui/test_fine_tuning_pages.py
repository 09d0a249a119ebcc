"""Fine-tuning on the pages: what is offered, what was started, and losses side by side."""

import pytest

from domain.loss_catalogue import LOSSES
from tests.ui import stage
from tests.ui.app import show, words
from tests.ui.test_pages import Make, trained
from ui import loss_comparison
from workflow import curves, jobs, rounds
from workflow.finetuning import starting_run
from workflow.project import Project
from workflow.speed import note_speed


def _learnt(project: Project) -> None:
    """The model in use has learnt from every answer."""
    stage.finish_jobs(project)
    stage.answer_questions(project, 40)
    stage.add_model(project, 1, metrics={"threshold": 0.3, "map": 0.5}, bits=40)


def test_every_loss_is_offered_with_a_sentence(make: Make) -> None:
    _learnt(make())
    app = show("rounds")
    offered = app.selectbox(key="rounds.finetune_loss")
    assert offered.options == [loss.title for loss in LOSSES]
    for loss in LOSSES:
        offered.select(loss.name).run()
        assert loss.sentence in words(app)


def test_the_model_in_use_is_fine_tuned_at_a_click(make: Make) -> None:
    project = make()
    _learnt(project)
    app = show("rounds")
    app.selectbox(key="rounds.finetune_loss").select("osap").run()
    app.button(key="rounds.finetune").click().run()
    job = jobs.running(project)
    assert job is not None
    assert (job.kind, job.params["loss"]) == (jobs.FINETUNE, "osap")
    assert app.button(key="rounds.finetune").disabled
    assert "Fine-tuning the model" in words(app)


def test_how_deep_it_reaches_is_chosen_and_what_that_takes_is_told(make: Make) -> None:
    project = make()
    _learnt(project)
    note_speed(project, "cpu", "CPU (2 threads)", embedded_per_s=30.0, trained_per_s=10.0)
    app = show("rounds")
    chosen = app.selectbox(key="rounds.finetune_depth")
    assert (chosen.value, chosen.options[0]) == ("auto", "As deep as it learnt")
    assert "the head is trained further. Seconds on this machine: CPU (2 threads)." in words(app)
    chosen.select("full").run()
    assert "trained further from pictures and answers" in words(app)
    assert "Up to 50 minutes on this machine: CPU (2 threads)." in words(app)
    app.selectbox(key="rounds.finetune_loss").select("pedc").run()
    app.button(key="rounds.finetune").click().run()
    job = jobs.running(project)
    assert job is not None
    assert (job.params["loss"], job.params["depth"]) == ("pedc", "full")


def test_a_model_whose_network_learnt_is_trained_further_as_a_whole(make: Make) -> None:
    project = make()
    _learnt(project)
    with project.store.transaction() as db:
        db.execute("UPDATE run SET depth = 'full'")
    assert "trained further from pictures and answers" in words(show("rounds"))


def test_a_round_can_go_on_to_fine_tuning(make: Make) -> None:
    project = make()
    trained(project)
    app = show("rounds")
    assert app.selectbox(key="rounds.then_finetune").value == "none"
    app.selectbox(key="rounds.then_finetune").select("triplet").run()
    app.button(key="rounds.start").click().run()
    job = jobs.running(project)
    assert job is not None
    assert (job.kind, job.params["then_finetune"]) == (jobs.ROUND, "triplet")


def test_without_a_training_no_fine_tuning_follows(make: Make) -> None:
    _learnt(make())
    assert "rounds.then_finetune" not in [each.key for each in show("rounds").selectbox]


def test_a_model_that_learnt_nothing_cannot_be_fine_tuned(make: Make) -> None:
    project = make()
    stage.finish_jobs(project)
    stage.add_model(project, 0, metrics={})
    app = show("rounds")
    assert app.button(key="rounds.finetune").disabled
    assert "learnt nothing" in words(app)


def test_the_device_is_named_before_anything_is_started(make: Make) -> None:
    project = make()
    _learnt(project)
    note_speed(project, "cuda", "NVIDIA H100 (79 GiB)")
    assert "It is trained on NVIDIA H100 (79 GiB)." in words(show("rounds"))


def test_the_rounds_page_says_what_came_of_it(make: Make) -> None:
    project = make()
    _learnt(project)
    parent = starting_run(project)
    stage.fine_tune(project, parent, "osap", after=0.9, metrics={"map": 0.6})
    stage.fine_tune(project, parent, "triplet", after=0.7, metrics={"map": 0.4})
    app = show("rounds")
    assert "The verdict about triplet." in words(app)
    (found,) = [each.value for each in app.dataframe if "Started from" in each.value]
    assert found["Model"].tolist() == ["r001-triplet", "r001-osap"]
    assert found["After"].tolist() == [pytest.approx(70), pytest.approx(90)]
    assert found["In use"].tolist() == [False, True]
    assert found["Trained"].tolist() == ["The head only"] * 2
    assert found["Trained on"].tolist() == ["CPU (2 threads)"] * 2
    assert rounds.list_rounds(project)[0].run == rounds.list_runs(project)[1]


def test_the_rounds_page_says_which_model_waits_and_why(make: Make) -> None:
    project = make()
    _learnt(project)
    assert "not in use" not in words(show("rounds"))
    stage.keep_back(project, starting_run(project), "Held-out images <b>decide</b>.")
    shown = words(show("rounds"))
    assert "(r002) is kept, but not in use. Held-out images" in shown
    assert [each.run for each in curves.quality_curve(project) if each.kept_back] == ["r002"]
    rounds.activate(project, "r002")
    assert not any(each.kept_back for each in curves.quality_curve(project))
    assert "not in use" not in words(show("rounds"))


def test_the_curve_compares_losses_apart_from_the_line_of_rounds(make: Make) -> None:
    project = make()
    _learnt(project)
    parent = starting_run(project)
    stage.fine_tune(project, parent, "osap", after=0.9, metrics={"map": 0.6})
    stage.fine_tune(project, parent, "triplet", after=0.7, metrics={"map": 0.4})
    app = show("curves")
    assert "Losses compared" in words(app)
    (found,) = [each.value for each in app.dataframe if "Settings" in each.value]
    assert found["Loss"].tolist() == [loss_comparison.START, "OSAP", "Triplet"]
    assert found["mAP"].tolist() == [pytest.approx(50), pytest.approx(60), pytest.approx(40)]
    held_out = found["Ranking of held-out images"].tolist()
    assert held_out == [pytest.approx(80), pytest.approx(90), pytest.approx(70)]


def test_the_chart_of_losses_says_its_figures_in_words(make: Make) -> None:
    project = make()
    _learnt(project)
    stage.fine_tune(project, starting_run(project), "osap", after=0.9, metrics={"map": 0.6})
    (points,) = curves.compared_losses(curves.quality_curve(project)).values()
    drawn = loss_comparison.chart(points, "map")
    assert drawn.words == "mAP by loss: before fine-tuning 50.0%; OSAP 60.0%."


def test_without_fine_tuning_nothing_is_compared(make: Make) -> None:
    _learnt(make())
    assert "Losses compared" not in words(show("curves"))
