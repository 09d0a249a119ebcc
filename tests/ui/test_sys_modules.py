"""No page loads PyTorch: it costs the web process half a gigabyte and every click its latency."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.pictures import write_archive
from tests.ui import stage
from workflow.creation import create_project

ROOT = Path(__file__).parents[2]
FORBIDDEN = ("torch", "torchvision", "sklearn", "llvmlite", "training", "worker")
OPEN_PAGES = """
import json, sys
import app
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

manifest_scanner.scan_component_manifests = list  # AppTest would look through every package
type(app.st.context).ip_address = None  # AppTest's browser is a mock

loaded = {}
for page in sys.argv[1].split(","):
    shown = AppTest.from_file("ui/main.py", default_timeout=60)
    shown.query_params["image"] = "1"  # for the search page: look for something
    shown.switch_page(f"views/{page}.py").run()
    assert not shown.exception and not shown.error, page
    loaded[page] = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps(loaded))
"""


def test_no_page_loads_torch_sklearn_training_or_worker(tmp_path: Path) -> None:
    images = write_archive(tmp_path / "images", each=8)
    project = create_project(tmp_path / "project", images=images).project
    stage.finish_jobs(project)
    stage.add_model(project, 0, metrics={"map": 0.5, "threshold": 0.3})
    stage.answer_questions(project, 10)
    project.close()
    pages = sorted(path.stem for path in (ROOT / "ui" / "views").glob("[!_]*.py"))
    loaded = modules_after(pages, project.folder)
    assert sorted(loaded) == pages
    for page, modules in loaded.items():
        assert "streamlit" in modules
        assert not set(FORBIDDEN) & set(modules), page


def modules_after(pages: list[str], project: Path) -> dict[str, list[str]]:
    """Packages that a fresh process has loaded after the web app and each of the pages."""
    done = subprocess.run(
        [sys.executable, "-c", OPEN_PAGES, ",".join(pages)],
        cwd=ROOT,
        env={**os.environ, "ANNEAL_PROJECT": str(project)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))
