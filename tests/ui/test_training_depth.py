"""How deep a training reaches, as leads choose it and see what it takes on their machine."""

from domain.config import Depth
from tests.ui.app import show, words
from tests.ui.test_pages import Make, trained
from ui.training_depth import NAMES
from workflow import jobs
from workflow.speed import note_speed


def test_the_depth_is_chosen_and_its_time_told(make: Make) -> None:
    project = make()
    trained(project)
    note_speed(project, "cpu", "CPU (2 threads)", embedded_per_s=30.0, trained_per_s=10.0)
    app = show("rounds")
    chosen = app.selectbox(key="rounds.depth")
    assert chosen.value == "auto"
    assert chosen.options == list(NAMES.values())
    assert "Seconds on this machine: CPU (2 threads)." in words(app)
    chosen.select("full").run()
    assert "Up to 50 minutes on this machine: CPU (2 threads)." in words(app)
    app.button(key="rounds.start").click().run()
    job = jobs.running(project)
    assert job is not None
    assert job.params["depth"] == Depth.FULL.value


def test_what_suits_the_machine_is_the_whole_network_on_a_gpu_only(make: Make) -> None:
    project = make()
    trained(project)
    note_speed(project, "cpu", "CPU (2 threads)")
    assert "The features stay as they are; the head for groups" in words(show("rounds"))
    note_speed(project, "cuda", "NVIDIA H100 (79 GiB)")
    assert "is retrained from pictures and answers" in words(show("rounds"))


def test_before_the_worker_has_embedded_nobody_knows_how_long_it_takes(make: Make) -> None:
    project = make()
    trained(project)
    assert "is known once the worker has embedded the images" in words(show("rounds"))


def test_where_there_is_no_loss_to_watch_the_page_says_so(make: Make) -> None:
    project = make()
    trained(project)
    note_speed(project, "cpu", "CPU (2 threads)", embedded_per_s=30.0, trained_per_s=10.0)
    app = show("rounds")
    assert app.selectbox(key="rounds.strategy").value == "components"
    assert "without a loss to watch" in words(app)
    app.selectbox(key="rounds.strategy").select("mgue").run()
    assert "without a loss to watch" not in words(app)
    app.selectbox(key="rounds.strategy").select("components").run()
    app.selectbox(key="rounds.depth").select("full").run()
    assert "without a loss to watch" not in words(app)
