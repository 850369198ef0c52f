"""The export job: a model as a file for another runtime, compared with the original there.

Keras or torch is imported by the functions; no Ray.
"""

import tempfile
from pathlib import Path
from typing import Literal

from freqquest.errors import UserError
from freqquest.export.agreement import ExportReport, require_agreement, require_numbers
from freqquest.export.classifier import export_classifier
from freqquest.export.config import ExportConfig
from freqquest.export.generator import export_generator
from freqquest.export.output import check_output, write_output
from freqquest.storage import Location, locate


def export_model(config: ExportConfig) -> ExportReport:
    """Convert a model, compare both, and write the new one if they agree.

    Returns:
        Sizes, times and differences of both; `str` makes it a table.

    Raises:
        UserError: The model, the dataset or the output cannot be used, packages are missing, or the
            models disagree.
    """
    output, model_file = locate(config.output), locate(config.model)
    check_output(output, is_folder=config.format == "saved_model", overwrite=config.overwrite)
    is_classifier = kind_of(model_file) == "classifier"
    export = export_classifier if is_classifier else export_generator
    with tempfile.TemporaryDirectory(prefix="freqquest-export-") as folder:
        path = Path(folder) / "model"
        report = export(config, model_file, path)
        # The report tells how much 8 bits lose.
        (require_numbers if config.int8 else require_agreement)(report)
        write_output(path, output)
    return report


def kind_of(model_file: Location) -> Literal["classifier", "generator"]:
    """Return which model a file holds, by its first bytes.

    Raises:
        UserError: The file is missing, or neither.
    """
    fix = (
        "give the best_model.keras of a tune_cnn run, or the generator.safetensors of a train_cgan "
        "run"
    )
    if not model_file.is_file():
        problem = "is a folder" if model_file.exists() else "does not exist"
        raise UserError(f"`model={model_file}` {problem}: {fix}")
    with model_file.open() as stream:
        start = stream.read(9)
    if start.startswith(b"PK"):
        return "classifier"
    if start[8:] == b"{":  # safetensors: the length of a JSON header, and the header
        return "generator"
    raise UserError(f"`model={model_file}` is neither a classifier nor a generator: {fix}")
