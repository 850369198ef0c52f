"""freqquest's own preprocessing, once Ray and its workers are running.

As a program, given the folder of clips, a folder for datasets, and the windows of a file that
become clips, it prints three numbers: the seconds that all clips take, how many they are, and the
clips per second at which one core reads the cnn view again in shuffled batches.
"""

import sys
import time
from dataclasses import replace
from typing import cast

from freqquest.cluster import connection
from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.read import SplitReader
from freqquest.dataset.windows import WindowsKind
from freqquest.dataset.write import write_dataset
from freqquest.storage import locate

_BATCH_SIZE = 32


def main() -> None:
    """Time writing and reading."""
    audio_dir, work_dir, windows = sys.argv[1:]
    config = PreprocessConfig(
        audio_dir=audio_dir,
        dataset_dir=f"{work_dir}/dataset",
        windows=cast(WindowsKind, windows),
    )
    warm_up = replace(
        config, audio_dir=f"{audio_dir}/0", dataset_dir=f"{work_dir}/warm", clips_per_shard=16
    )
    connection.connect()
    write_dataset(warm_up, is_checked=True)
    started = time.perf_counter()
    manifest = write_dataset(config, is_checked=True)
    print(time.perf_counter() - started)
    print(sum(manifest.num_rows.values()))
    reader = SplitReader(locate(f"{work_dir}/dataset"), manifest, "train", "cnn")
    for epoch in (0, 1):  # the first one also verifies hashes
        started = time.perf_counter()
        num_read = sum(
            len(batch.clip_ids) for batch in reader.batches(_BATCH_SIZE, seed=0, epoch=epoch)
        )
    print(num_read / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
