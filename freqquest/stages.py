"""The stages as functions, for notebooks and services; the jobs call the same ones.

Each takes the settings of its job, and connects to Ray or starts it.
Light to import: Ray and the frameworks are loaded by the functions.
"""

from typing import TYPE_CHECKING

from freqquest.cluster import preflight

if TYPE_CHECKING:
    import pandas as pd

    from freqquest.cgan.config import TrainConfig
    from freqquest.cnn.tune_config import TuneConfig
    from freqquest.dataset.config import PreprocessConfig
    from freqquest.dataset.dataset import Dataset
    from freqquest.detection.config import DetectConfig
    from freqquest.pipeline_config import PipelineConfig
    from freqquest.runs.metrics import CnnMetrics, GeneratorMetrics


def preprocess(config: "PreprocessConfig") -> "Dataset":
    """Make a dataset, or verify one, and open it; a finished one is left as it is.

    Raises:
        UserError: The clips cannot make a dataset, too many of them are rejected, or the folder
            holds something else.
    """
    from freqquest.dataset.dataset import Dataset
    from freqquest.dataset.verify import verify_dataset
    from freqquest.dataset.write import write_dataset
    from freqquest.storage import locate

    if config.verify:
        verify_dataset(config.dataset_dir)
        return Dataset.open(config.dataset_dir)
    # Connects to Ray if there is work to do.
    return Dataset(locate(config.dataset_dir), write_dataset(config))


def tune(config: "TuneConfig") -> "CnnMetrics":
    """Search for the best classifier, and save the final model; a finished run is left as it is.

    Returns:
        The metrics of the best configuration.

    Raises:
        UserError: The dataset, the run folder or the cluster cannot be used, or no trial finished.
    """
    from freqquest.cnn.tune import check_request, tune_cnn
    from freqquest.runs.report import write_report

    request = check_request(config)
    if request.finished is None:
        preflight.connect(config.requirements)
    metrics = tune_cnn(config, request)
    write_report(config.run_dir)
    return metrics


def detect(config: "DetectConfig") -> "pd.DataFrame":
    """Find the sounds in recordings, and write them.

    Returns:
        Table with path, start_s, end_s, label and confidence.

    Raises:
        UserError: The model, the recordings, the annotations or the cluster cannot be used, the
            output exists, or too many recordings are unreadable.
    """
    from freqquest.detection import detect as stage

    request = stage.check_request(config)
    preflight.connect(config.requirements)
    return stage.detect(config, request).events


def train_generator(config: "TrainConfig") -> "GeneratorMetrics":
    """Train a generator; a run that was interrupted continues, a finished one is left as it is.

    Returns:
        The metrics of the last epoch, and the judge's.

    Raises:
        UserError: The dataset, the run folder, the judge or the cluster cannot be used, a batch is
            larger than the dataset, or the training diverged.
    """
    from freqquest.cgan.train import check_request
    from freqquest.cnn.judge import check_judge
    from freqquest.pipeline import train_with_judge
    from freqquest.runs.report import write_report
    from freqquest.storage import locate

    request = check_request(config)
    if request.finished is None:
        if config.judge is not None:
            check_judge(locate(config.judge), request.dataset, request.manifest)
        preflight.connect(config.requirements)
    metrics = train_with_judge(config, request)
    write_report(config.run_dir)
    return metrics


def run_pipeline(config: "PipelineConfig") -> str:
    """Run every stage that the run folder does not hold yet.

    Returns:
        The closing summary.

    Raises:
        UserError: A setting, a file or the cluster cannot be used.
    """
    from freqquest.pipeline import check_sources, run_stages

    sources = check_sources(config)
    preflight.connect(config.requirements)
    return run_stages(config, sources)
