"""Run every stage: dataset, classifier, submission, generator, new clips, report. Without a folder, on demo clips."""

from freqquest.cli import connected_to_ray, parse
from freqquest.pipeline import run_pipeline
from freqquest.pipeline_config import PipelineConfig


def main() -> None:
    config = parse(PipelineConfig, __doc__)
    with connected_to_ray(config.requirements):
        print(run_pipeline(config))


if __name__ == "__main__":
    main()
