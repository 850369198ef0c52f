"""One shard: the same bytes everywhere, unreadable clips left out, finished shards kept."""

import os
import re
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.plan import ShardPlans, plan_dataset
from freqquest.dataset.shard import write_shard
from freqquest.storage import Location, locate
from tests.conftest import RATE_HZ, tone
from tests.servers import refusing_server


def plan(audio_dir, **settings):
    config = PreprocessConfig(audio_dir=str(audio_dir), dataset_dir="unused", **settings)
    planned = plan_dataset(config)
    return ShardPlans(planned.clips, planned.classes, config)


def write(shards, folder):
    return [write_shard(shard, locate(folder)) for shard in shards]


def rows_of(folder):
    """Return label, recording and spectrogram by clip; the split depends on the other clips."""
    rows = {}
    for path in folder.rglob("*.parquet"):
        table = pq.read_table(path)
        spectrograms = table["cgan"].chunk(0).to_numpy_ndarray()
        for row, values in zip(
            table.select(["clip_id", "label", "recording"]).to_pylist(), spectrograms, strict=True
        ):
            rows[row["clip_id"]] = (row["label"], row["recording"], values.tobytes())
    return rows


def test_one_process_makes_the_same_bytes_as_ray(dataset_dir, audio_dir, unlabeled_dir, tmp_path):
    planned = plan(
        audio_dir, test_dir=str(unlabeled_dir), num_augmented_copies=1, clips_per_shard=7
    )
    entries = [shard.entry for shard in reversed(write(reversed(planned), tmp_path))]
    assert entries == load_manifest(locate(dataset_dir)).shards


def test_every_augmentation_is_reproducible_and_marked(audio_dir, tmp_path):
    names = ("pitch", "speed", "gain", "shift", "noise")
    shard = plan(audio_dir, num_augmented_copies=2, augmentations=names, clips_per_shard=6)[0]
    (first,), (again,) = write([shard], tmp_path / "a"), write([shard], tmp_path / "b")
    assert first.entry == again.entry
    marks = set(pq.read_table(tmp_path / "a" / shard.path)["augmentation"].to_pylist())
    assert marks == {
        "none",
        "pitch speed gain shift noise, copy 1",
        "pitch speed gain shift noise, copy 2",
    }


def truncate(path):
    soundfile.write(path, tone(440.0), RATE_HZ)
    path.write_bytes(path.read_bytes()[:-50_000])


def change_rate(rate):
    def change(path):
        soundfile.write(path, tone(440.0), RATE_HZ)
        content = bytearray(path.read_bytes())
        content[24:28] = rate.to_bytes(4, "little")
        path.write_bytes(content)

    return change


FAULTS = {
    "truncated.wav": (truncate, "truncated"),
    "empty.wav": (lambda path: path.write_bytes(b""), "not readable as audio"),
    "header only.wav": (lambda path: soundfile.write(path, np.zeros(0), RATE_HZ), "no samples"),
    "nan.wav": (
        lambda path: soundfile.write(path, np.full(9, np.nan), RATE_HZ, subtype="FLOAT"),
        "NaN or infinite",
    ),
    "rate 0.wav": (change_rate(0), "sample rate|not readable"),
    "rate 2^31-1.wav": (change_rate(2**31 - 1), "sample rate 2147483647 Hz"),
    "not audio.wav": (lambda path: path.write_bytes(os.urandom(5000)), "not readable as audio"),
    "loop.wav": (lambda path: path.symlink_to(path.name), "circular or broken link"),
    "escape.wav": (lambda path: path.symlink_to("/etc/passwd"), "link out of"),
    "pipe.wav": (os.mkfifo, "not a regular file"),
}


@pytest.fixture(scope="module")
def clean(audio_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean")
    write(plan(audio_dir), folder)
    return folder


@pytest.mark.parametrize("name", FAULTS)
def test_an_unreadable_clip_is_quarantined_with_the_reason_and_the_others_are_unchanged(
    name, audio_dir, clean, tmp_path
):
    make, reason = FAULTS[name]
    shutil.copytree(audio_dir, tmp_path / "audio")
    make(tmp_path / "audio" / "low" / name)
    config = PreprocessConfig(
        audio_dir=str(tmp_path / "audio"), dataset_dir="unused", recording_pattern=r"^(\D+)"
    )
    planned = plan_dataset(config)
    written = write(ShardPlans(planned.clips, planned.classes, config), tmp_path / "dataset")
    quarantined = [row for shard in written for row in shard.statistics.quarantined]
    quarantined += planned.rejected.to_dict("records")
    (row,) = quarantined
    assert row["path"] == str(tmp_path / "audio" / "low" / name)
    assert re.search(reason, row["reason"])
    assert rows_of(tmp_path / "dataset") == rows_of(clean)


def test_a_clip_that_cannot_be_opened_is_quarantined(audio_dir, tmp_path):
    shutil.copytree(audio_dir, tmp_path / "audio")
    shard = plan(tmp_path / "audio")[0]
    gone = shard.clips[3]["path"]
    os.remove(gone)  # noqa: PTH107
    (written,) = write([shard], tmp_path / "dataset")
    (row,) = written.statistics.quarantined
    assert row["path"] == gone
    assert "No such file" in row["reason"]
    assert written.entry.num_rows == len(shard.clips) - 1


def test_an_outage_of_remote_storage_is_an_error_and_quarantines_no_clip(
    s3_clips, tmp_path, monkeypatch
):
    shard = plan(s3_clips)[0]
    with refusing_server(500, "Internal error", ("GET", "HEAD")) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        for clip in shard.clips:
            clip["path"] = clip["path"].replace("s3://bucket", "s3://broken")
        with pytest.raises(OSError, match="broken"):
            write([shard], tmp_path)


def test_a_long_recording_costs_no_more_than_a_clip(audio_dir, tmp_path):
    shutil.copytree(audio_dir, tmp_path / "audio")
    soundfile.write(
        tmp_path / "audio" / "low" / "bomb.flac", np.zeros(600 * RATE_HZ, np.int16), RATE_HZ
    )
    written = write(plan(tmp_path / "audio"), tmp_path / "dataset")
    assert sum(len(shard.statistics.quarantined) for shard in written) == 0
    assert sum(sum(shard.statistics.seconds.values()) for shard in written) == pytest.approx(21 * 4)
    assert sum(shard.statistics.num_cut for shard in written) == 1


def test_windows_and_augmented_copies_of_a_file_are_decoded_by_one_open(
    audio_dir, tmp_path, monkeypatch
):
    shard = plan(audio_dir)[0]
    row = shard.clips[0]
    places = [(2.0, 0), (0.0, 1), (1.0, 0), (0.0, 0), (9.0, 0), (2.0, 2)]
    rows = [
        row | {"clip_id": f"a#{start}", "start_s": start, "copy": copy} for start, copy in places
    ]
    opened = []
    open_location = Location.open

    def record(location):
        opened.append(str(location))
        return open_location(location)

    def written(clips, name):
        several = replace(shard, clips=clips, augmentations=("gain",), name=name)
        (result,) = write([several], tmp_path)
        tables = [pq.read_table(tmp_path / several.path)] if result.entry else []
        arrays = [table["cgan"].chunk(0).to_numpy_ndarray() for table in tables]
        return result.statistics, [each.tobytes() for array in arrays for each in array]

    alone = [written([each], "alone.parquet") for each in rows]
    monkeypatch.setattr(Location, "open", record)
    statistics, spectrograms = written([each for each in rows if each["start_s"] < 9], "a.parquet")
    assert len(opened) == 1
    assert spectrograms == [each for _, found in alone for each in found]
    assert sum(statistics.seconds.values()) == 2 + 3 + 4
    statistics, with_a_reason = written(rows, "b.parquet")
    assert with_a_reason == spectrograms
    assert [each["clip_id"] for each in statistics.quarantined] == ["a#9.0"]
    assert statistics.quarantined == alone[4][0].quarantined


def test_a_finished_shard_is_kept_unless_the_plan_changed(audio_dir, tmp_path):
    shard = plan(audio_dir)[0]
    path = tmp_path / shard.path
    (first,) = write([shard], tmp_path)
    written = path.stat().st_mtime_ns
    (again,) = write([shard], tmp_path)
    assert again == first
    assert path.stat().st_mtime_ns == written
    write([plan(audio_dir, seed=1)[0]], tmp_path)
    assert path.stat().st_mtime_ns != written


def test_a_shard_that_lacks_clips_is_made_again(audio_dir, tmp_path):
    shutil.copytree(audio_dir, tmp_path / "audio")
    shard = plan(tmp_path / "audio")[1]
    clip = tmp_path / "audio" / shard.clips[0]["clip_id"]
    clip.rename(tmp_path / "away.wav")
    (first,) = write([shard], tmp_path / "dataset")
    assert first.entry.num_rows == len(shard.clips) - 1
    (tmp_path / "away.wav").rename(clip)
    (second,) = write([shard], tmp_path / "dataset")
    assert second.entry.num_rows == len(shard.clips)
    assert second.statistics.quarantined == []


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_shard_is_made_again(audio_dir, tmp_path, share):
    shard = plan(audio_dir)[1]
    (first,) = write([shard], tmp_path)
    path = tmp_path / shard.path
    path.write_bytes(path.read_bytes()[: int(share * first.entry.num_bytes)])
    assert write([shard], tmp_path) == [first]
    assert path.stat().st_size == first.entry.num_bytes


def test_a_flipped_byte_is_detected_or_changes_nothing_that_is_read(audio_dir, tmp_path):
    shard = plan(audio_dir)[1]
    (first,) = write([shard], tmp_path)
    path = tmp_path / shard.path
    whole, rows = path.read_bytes(), rows_of(tmp_path)
    middle = list(np.random.default_rng(0).integers(0, len(whole), 8))
    footer = range(
        len(whole) - 30_000, len(whole), 499
    )  # holds the statistics; Parquet's checksums do not cover it
    num_remade = 0
    for position in [*middle, *footer]:
        content = bytearray(whole)
        content[position] ^= 1
        path.write_bytes(content)
        (again,) = write([shard], tmp_path)
        assert again.statistics == first.statistics
        num_remade += path.read_bytes() == whole
        if position in middle:
            assert rows_of(tmp_path) == rows
    assert num_remade > len(middle) + len(footer) // 2


def test_a_shard_without_a_readable_clip_leaves_no_file(audio_dir, tmp_path):
    shutil.copytree(audio_dir, tmp_path / "audio")
    shard = plan(tmp_path / "audio")[1]
    stale = tmp_path / "dataset" / shard.path
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"of an earlier run")
    for clip in shard.clips:
        os.truncate(clip["path"], 0)
    (written,) = write([shard], tmp_path / "dataset")
    assert written.entry is None
    assert len(written.statistics.quarantined) == len(shard.clips)
    assert not stale.exists()
