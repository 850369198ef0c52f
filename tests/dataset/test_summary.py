from dataclasses import replace

from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.summary import summarize
from freqquest.dataset.windows import WindowConfig
from freqquest.storage import locate
from tests.embedding.tiny_networks import DESCRIPTION


def test_the_summary_lists_classes_clips_recordings_sound_and_rates(dataset_dir):
    lines = summarize(load_manifest(locate(dataset_dir)), "there").splitlines()
    assert lines[0].split() == ["clips", "(recordings)", "train", "validation", "test", "sound"]
    assert lines[1].split() == ["high", "8", "(4)", "2", "(1)", "0", "(0)", "40.0", "s"]
    assert lines[3].split() == ["(no", "label)", "0", "(0)", "0", "(0)", "3", "(3)", "12.0", "s"]
    assert lines[4] == "layout: class folders"
    assert lines[5].startswith("recordings: from the file names, e.g. 200 of 200-1-0-0.wav, ")
    assert "rows: 32 train, 4 validation, 3 test" in lines
    assert "sample rates: 23 at 22050 Hz" in lines
    assert "rejected clips: 1 (listed in there/quarantine.csv)" in lines


def test_a_pretrained_network_is_recommended_for_few_clips(dataset_dir):
    manifest = load_manifest(locate(dataset_dir))
    train = dict.fromkeys(manifest.classes, 1000)

    def lines(count, **changes):
        clips = manifest.num_clips | {"train": train | {"low": count}}
        text = summarize(replace(manifest, num_clips=clips, **changes), "there")
        return [line for line in text.splitlines() if line.startswith("few clips:")]

    assert lines(49) == [
        "few clips: low has 49 to learn from; with so few, vectors of a pretrained network help "
        "most (`embedding`)"
    ]
    assert lines(50) == []
    assert lines(49, embedding=DESCRIPTION) == []


def test_the_summary_says_what_is_odd(dataset_dir):
    manifest = load_manifest(locate(dataset_dir))
    odd = replace(manifest, num_cut=3, num_padded=2, num_warnings=1, num_quarantined=0)
    lines = summarize(odd, "there").splitlines()
    assert any(
        line.startswith("cut: 3 clips are the first 4 s of something longer") for line in lines
    )
    assert any(
        line.startswith("padded: 2 clips have less than half of their 4 s") for line in lines
    )
    assert "warnings: 1 clips may be useless (listed in there/warnings.csv)" in lines
    assert "rejected clips: none" in lines
    windows = summarize(replace(odd, windows=WindowConfig(kind="all")), "there")
    assert "cut:" not in windows
