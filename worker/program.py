"""Which program makes a study's figures, so that no old row ever stands beside a new one."""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

_DECIDES_FIGURES = {"annealing", "archive", "domain", "retrieval", "training", "worker"}
_DECIDES_NO_FIGURE = {  # but how figures are kept, drawn and reported
    *("worker.kept_table", "worker.simulation_curve", "worker.loss_study_table", "worker.report"),
}


def program_digest(study: str, *, root: Path = Path(__file__).parents[1]) -> str:
    """A hash of the source that decides a study's figures.

    Args:
        study: the module that makes them; with it counts what it imports, directly or through
            others, of the packages that decide figures: the store and the pages do not.
        root: the folder of the product's packages.
    """
    digest = hashlib.sha256()
    for name, source in sorted(_reached(study, root).items()):
        if name.split(".")[0] in _DECIDES_FIGURES and name not in _DECIDES_NO_FIGURE:
            digest.update(f"{name}\0".encode() + source)
    return digest.hexdigest()


def _reached(study: str, root: Path) -> dict[str, bytes]:
    """The sources of the product's modules that are reached from one, by name."""
    found: dict[str, bytes] = {}
    waiting = [study]
    while waiting:
        name = waiting.pop()
        path = root / f"{name.replace('.', '/')}.py"
        if name not in found and path.is_file():
            found[name] = path.read_bytes()
            waiting += _imported(ast.parse(found[name]))
    return found


def _imported(source: ast.Module) -> Iterator[str]:
    """What may be a module's name; imports are absolute, and packages hold no code of their own."""
    for node in ast.walk(source):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)
