"""A dataset folder that is not empty: a finished dataset, an interrupted one, or something else."""

import json

from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.manifest import (
    DATASET_FILES,
    MANIFEST_NAME,
    UNFINISHED_NAME,
    Manifest,
    load_manifest,
)
from freqquest.dataset.plan import DatasetPlan, compared_settings
from freqquest.dataset.read import read_rows
from freqquest.dataset.sources import digest
from freqquest.errors import UserError
from freqquest.runs.folder import changed_settings
from freqquest.storage import Location, locate


def existing_shards(dataset: Location) -> dict[str, int]:
    """Return the sizes in bytes of the shards of an earlier or interrupted run.

    Raises:
        UserError: The folder holds anything else, which must not be mixed with a dataset or removed
            with it.
    """
    if not dataset.exists():
        return {}
    if not dataset.is_dir():
        raise UserError(f"`dataset_dir={dataset}` is a file: choose a new folder")
    entries = {entry.path: entry for entry in dataset.walk()}
    foreign = [
        path
        for path, entry in entries.items()
        if entry.problem or not DATASET_FILES.fullmatch(path)
    ]
    if foreign:
        raise UserError(
            f"`dataset_dir={dataset}` holds {foreign[0]}, which is not part of a dataset: choose "
            "an empty or new folder"
        )
    return {path: entry.num_bytes for path, entry in entries.items() if path.endswith(".parquet")}


def earlier_dataset(
    dataset: Location, config: PreprocessConfig, plan: DatasetPlan, existing: dict[str, int]
) -> Manifest | None:
    """Return the manifest of the planned dataset, or None if the dataset is not complete.

    Raises:
        UserError: The folder holds another dataset, or a part of one.
    """
    if (dataset / MANIFEST_NAME).is_file():
        manifest = load_manifest(dataset)
        changed = changed_from(manifest, config, plan)
        if not changed and manifest.sources_sha256 not in (
            plan.sources_sha256,
            _digest_of_version_3(dataset, manifest, plan),
        ):
            changed = [
                "the clips (files, sizes or modification times), their labels, recordings or folds "
                "(`append=True` adds new clips)"
            ]
        if not changed and manifest.background_label != plan.background_label:
            changed = [f"the class {plan.background_label}, which was no background then"]
        if config.clips_per_shard is None and len(changed) > 1:  # its default follows the others
            changed = [text for text in changed if not text.startswith("clips_per_shard=")]
        _refuse_changed(f"{dataset} holds a dataset", changed)
        return manifest
    if (dataset / UNFINISHED_NAME).is_file():
        # Changed clips do not matter here: unreadable ones may have been fixed.
        earlier = _defaults(config) | _unfinished_settings(dataset)
        changed = changed_settings(run_settings(config, plan), earlier)
        _refuse_changed(f"{dataset} holds an interrupted dataset", changed)
    elif existing:
        raise UserError(
            f"`dataset_dir={dataset}` holds {min(existing)}, but neither {MANIFEST_NAME} nor "
            f"{UNFINISHED_NAME}: choose a new folder, or run the preprocess job with "
            "`overwrite=True` to replace it"
        )
    return None


def changed_from(manifest: Manifest, config: PreprocessConfig, plan: DatasetPlan) -> list[str]:
    """Return a text for each setting that differs from those of a dataset."""
    changed = changed_settings(plan.settings, _defaults(config) | manifest.settings)
    if not changed and (manifest.clip, manifest.views) != (config.clip, config.views):
        return ["the spectrograms' settings, in another version of freqquest"]
    return changed


def _digest_of_version_3(dataset: Location, manifest: Manifest, plan: DatasetPlan) -> str:
    """Return the hash that the planned clips had before version 4, which included their splits."""
    if "sample_rate" in manifest.settings:
        return plan.sources_sha256
    rows = read_rows(dataset, manifest).drop_duplicates("clip_id").set_index("clip_id")
    stored = plan.clips["clip_id"].map(rows["split"])
    is_test = plan.clips["split"] == "test"
    return digest(plan.clips.assign(split=stored.mask(is_test, "test")))


def _defaults(config: PreprocessConfig) -> dict[str, object]:
    """Return the default settings, for datasets that are older than a setting."""
    return compared_settings(
        PreprocessConfig(dataset_dir=config.dataset_dir, audio_dir=config.audio_dir)
    )


def _unfinished_settings(dataset: Location) -> dict[str, object]:
    text = (dataset / UNFINISHED_NAME).read_bytes()
    try:
        settings: dict[str, object] = dict(json.loads(text)["settings"])
    except Exception as error:  # a damaged file may raise any
        raise UserError(
            f"{dataset / UNFINISHED_NAME} is corrupt: remove it, or run the preprocess job with "
            "`overwrite=True`"
        ) from error
    return settings


def run_settings(config: PreprocessConfig, plan: DatasetPlan) -> dict[str, object]:
    """Return the settings that a run shares with the interrupted one that it continues."""
    return plan.settings | {"audio_dir": str(locate(config.audio_dir or ""))}


def _refuse_changed(problem: str, changed: list[str]) -> None:
    if changed:
        raise UserError(
            f"{problem} made differently: {', '.join(changed)}; choose another `dataset_dir`, or "
            "run the preprocess job with `overwrite=True` to replace it"
        )
