"""The dataset of a benchmark that tests on folds."""

from typing import NamedTuple

from freqquest.cnn.labeled_clips import MAX_BYTES, LabeledClips, load_labeled
from freqquest.dataset.manifest import Manifest, load_manifest
from freqquest.errors import UserError
from freqquest.storage import locate


class FoldedClips(NamedTuple):
    """Clips with one label each, and the folds to test on."""

    manifest: Manifest
    clips: LabeledClips
    folds: tuple[str, ...]


def load_folds(dataset_dir: str, folds: tuple[str, ...], max_bytes: int = MAX_BYTES) -> FoldedClips:
    """Read a dataset's labeled clips, and check the folds that the user names.

    Args:
        dataset_dir: Folder of the dataset.
        folds: Folds to test on; none for all.
        max_bytes: Most bytes of spectrograms in memory.

    Raises:
        UserError: The dataset is not usable, or lacks one of the folds.
    """
    dataset = locate(dataset_dir)
    manifest = load_manifest(dataset)
    manifest.require_one_label(dataset_dir, "this benchmark", "give another dataset")
    clips = load_labeled(dataset, manifest, max_bytes)
    return FoldedClips(manifest, clips, find_folds(dataset_dir, folds, clips))


def about_embedding(manifest: Manifest) -> str:
    """Return the end of a phrase on the measurements: the pretrained network, if there is one."""
    return f"; embedding by {manifest.embedding.name}" if manifest.embedding else ""


def find_folds(dataset_dir: str, folds: tuple[str, ...], clips: LabeledClips) -> tuple[str, ...]:
    """Return the folds to test on: those that the user names, or all of the dataset.

    Raises:
        UserError: The dataset lacks one of them, or has none at all and none is named.
    """
    known = set(clips.groups)
    if not folds and clips.groups.equals(clips.recordings):
        raise UserError(f"`dataset_dir={dataset_dir}` has no folds: name recordings with `folds`")
    if unknown := set(folds) - known:
        raise UserError(
            f"`folds={' '.join(sorted(unknown))}`: `dataset_dir={dataset_dir}` has no such folds"
        )
    return folds or tuple(sorted(known))
