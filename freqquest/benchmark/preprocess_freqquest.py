"""freqquest's own preprocessing, once Ray and its workers are running.

As a program, given the folder of clips and a folder for datasets, it prints the seconds that all
clips take, and then the clips per second at which one core reads the cnn view again in shuffled
batches.
"""

import sys
import time

from freqquest.cluster import connection
from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.read import SplitReader
from freqquest.dataset.write import write_dataset
from freqquest.storage import locate

_BATCH_SIZE = 32


def main() -> None:
    """Time writing and reading."""
    audio_dir, work_dir = sys.argv[1:]
    connection.connect()
    write_dataset(
        PreprocessConfig(
            audio_dir=f"{audio_dir}/0", dataset_dir=f"{work_dir}/warm", clips_per_shard=16
        ),
        is_checked=True,
    )
    started = time.perf_counter()
    manifest = write_dataset(
        PreprocessConfig(audio_dir=audio_dir, dataset_dir=f"{work_dir}/dataset"), is_checked=True
    )
    print(time.perf_counter() - started)
    reader = SplitReader(locate(f"{work_dir}/dataset"), manifest, "train", "cnn")
    for epoch in (0, 1):  # the first one also verifies hashes
        started = time.perf_counter()
        num_read = sum(
            len(batch.clip_ids) for batch in reader.batches(_BATCH_SIZE, seed=0, epoch=epoch)
        )
    print(num_read / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
