"""How images become features, for the Project page."""

from labeling_store import runs
from workflow.project import Project
from workflow.run_files import descriptor_of, reads_own_backbone


def features_in_words(project: Project) -> str:
    """What the settings say of an image's feature, and the model in use where it says otherwise."""
    wanted = project.config.model.descriptor
    words = f"An image's feature is {wanted.words}."
    run = runs.active_run(project.store.reader())
    if run is None:
        return words
    folder = project.runs / run.name
    made_by = descriptor_of(folder)
    if made_by == wanted:
        return words
    keeps = reads_own_backbone(folder) and made_by.pooling is not wanted.pooling
    return (
        f"{words} The model in use, {run.name}, has others: {made_by.words}. So have pictures that "
        f"are searched with, until the next training{' at full depth' if keeps else ''}."
    )
