"""The quick lane: a process that holds the active model and embeds pictures people search with.

Run by `worker.supervisor` beside the long lane; `python -m worker.quick FOLDER PARENT_PID` is its
own program. It has the usual priority and the long lane the lowest, so that a search waits for no
round. It works on the CPU: one picture is little, and a GPU's memory may be full of training.
"""

import io
import logging
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from archive.decode import COLOUR_BANDS, decode, decode_planes, read_bytes
from archive.thumbnails import JPEG_QUALITY
from domain.arrays import FloatArray
from domain.errors import AnnealError, ModelError
from domain.jobs import silent
from labeling_store import runs
from training.checkpoints import load_head
from training.preprocessing import squares_of
from training.views import embedder
from worker.backbone import run_backbone
from worker.stopping import ANOTHER_WORKER, LOCK_PATIENCE_S, Stop, run_lane
from workflow import queries
from workflow.locks import held
from workflow.pictures import PAIR_PX
from workflow.project import CONFIG_NAME, Project, open_project, with_settings_of_now
from workflow.queries import QUICK_LOCK, Request
from workflow.run_files import CHECKPOINT, views_of

POLL_S = 0.01
LOOK_EVERY_S = 1.0
TIDY_EVERY_S = 600.0
# Several threads wait for the slowest after each of many small steps: on a machine that trains
# besides, two took thirty times as long as one, and an idle one is quick enough with one.
THREADS = 1

_log = logging.getLogger(__name__)


class RunModel:
    """The backbone and the head of one run, ready to embed a picture.

    Attributes:
        bands: that it takes of a picture; 3 are red, green and blue.
    """

    def __init__(self, project: Project, run: str) -> None:
        """Load both.

        Raises:
            ModelError: the weights or the checkpoint cannot be loaded.
        """
        settings = project.config.model
        backbone, _ = run_backbone(project, run, torch.device("cpu"), silent)
        backbone.eval().to(memory_format=torch.channels_last)
        views = views_of(project.runs / run)
        self._head = load_head(project.runs / run / CHECKPOINT)
        self._embedder = embedder(backbone, views=views, size_px=settings.image_size_px)
        self._embedder.prepare()
        self.bands = len(backbone.bands)
        colours = self.bands == COLOUR_BANDS
        blank = [Image.new("RGB" if colours else "L", (64, 64))] * (1 if colours else self.bands)
        self.embed(*blank)  # the first call of a network is slow

    def embed(self, *planes: Image.Image) -> FloatArray:
        """[D] the vector of a picture: in RGB, or a plane for each of the model's bands."""
        squares = squares_of(planes, self._embedder.sizes_px)
        with torch.inference_mode():
            features = self._embedder([torch.from_numpy(np.stack([each])) for each in squares])
        vector: FloatArray = self._head.embed(features.float().numpy())[0]
        return vector


class QuickLane:
    """Embeds what waits in the project's mailbox."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._model: RunModel | None = None
        self._of: tuple[str, int] | None = None  # run, and time of the settings
        self._told = ""

    def work(self, stop: Stop) -> None:
        """Serve until stopped."""
        looked = tidied = -float("inf")
        while not stop:
            request = queries.next_request(self._project)
            if request is not None:
                self._serve(request)
                continue
            if time.monotonic() - looked > LOOK_EVERY_S:
                self._get_ready()
                looked = time.monotonic()
            if time.monotonic() - tidied > TIDY_EVERY_S:
                queries.tidy(self._project)
                tidied = time.monotonic()
            stop.wait(POLL_S)

    def _serve(self, request: Request) -> None:
        try:
            data, model = read_bytes(request.path), self._model_of(request.run)
            shown = decode(data, "picture").image
            planes = decode_planes(data, "picture", model.bands)
            queries.answer(self._project, request, model.embed(*planes), _small(shown))
        except AnnealError as error:
            queries.refuse(self._project, request, error)
        except Exception as error:  # a defect of the program must not leave somebody waiting
            _log.exception("a picture could not be embedded")
            problem = ModelError(
                f"The picture could not be embedded ({type(error).__name__}: {error}).",
                "Try another picture; the worker's log says more.",
            )
            queries.refuse(self._project, request, problem)

    def _get_ready(self) -> None:
        """Load the active run before somebody asks."""
        run = runs.active_run(self._project.store.reader())
        if run is None:
            return
        try:
            self._model_of(run.name)
            self._told = ""
        except AnnealError as error:  # a broken setting, a file that is gone: somebody may mend it
            if str(error) != self._told:
                _log.warning("searches with pictures have to wait: %s", error)
            self._told = str(error)

    def _model_of(self, run: str) -> RunModel:
        changed_ns = (self._project.folder / CONFIG_NAME).stat().st_mtime_ns
        if self._model is None or self._of != (run, changed_ns):
            self._model = RunModel(with_settings_of_now(self._project), run)
            self._of = (run, changed_ns)
        return self._model


def _small(image: Image.Image) -> bytes:
    small = image.copy()
    small.thumbnail((PAIR_PX, PAIR_PX), Image.Resampling.LANCZOS, reducing_gap=3.0)
    content = io.BytesIO()
    small.save(content, "JPEG", quality=JPEG_QUALITY)
    return content.getvalue()


def _serve(folder: Path, stop: Stop) -> int:
    torch.set_num_threads(THREADS)
    project = open_project(folder)
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while not stop:
        with held(folder / QUICK_LOCK) as got:
            if got:
                queries.tidy(project)
                QuickLane(project).work(stop)
            elif time.monotonic() > deadline:
                return ANOTHER_WORKER
        stop.wait(POLL_S)
    project.close()
    return 0


if __name__ == "__main__":
    sys.exit(run_lane(_serve))
