"""The plan of a dataset and its shards, in a process of its own, which is measured as a whole.

As a program, it is given the folder of clips and a folder for the dataset, which stays empty.
"""

import sys

from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.plan import ShardPlans, plan_dataset


def main() -> None:
    """Plan the dataset."""
    audio_dir, dataset_dir = sys.argv[1:]
    config = PreprocessConfig(audio_dir=audio_dir, dataset_dir=dataset_dir)
    plan = plan_dataset(config)
    ShardPlans(plan.clips, plan.classes, config)


if __name__ == "__main__":
    main()
