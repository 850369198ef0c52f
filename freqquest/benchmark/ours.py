"""freqquest's own preprocessing, on a Ray that runs already and with workers that have begun.

Run as a program, in a process of its own, with the folder of clips and one for datasets: it prints the seconds that
all clips took, and the seconds that one core took to read the cnn view again, in shuffled batches.
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
        )
    )
    started = time.perf_counter()
    manifest = write_dataset(
        PreprocessConfig(audio_dir=audio_dir, dataset_dir=f"{work_dir}/dataset")
    )
    print(time.perf_counter() - started)
    reader = SplitReader(locate(f"{work_dir}/dataset"), manifest, "train", "cnn")
    for epoch in (0, 1):  # the first one verifies hashes
        started = time.perf_counter()
        num_read = sum(
            len(batch.clip_ids) for batch in reader.batches(_BATCH_SIZE, seed=0, epoch=epoch)
        )
    print(num_read / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
