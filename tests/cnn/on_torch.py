"""A process that works with Keras on torch: `python -m tests.cnn.on_torch FOLDER`.

It reads `*_before.keras` of the folder, and leaves results for tests/cnn/test_frameworks.py.
"""

import json
import sys
from pathlib import Path

import numpy as np

from freqquest.audio.clip import ClipConfig
from freqquest.cnn.devices import Device, prepare
from freqquest.cnn.model_file import load_model, to_bytes
from freqquest.cnn.network import predict_probabilities
from freqquest.dataset.clip_inputs import Inputs
from freqquest.storage import locate
from tests.cnn.conftest import EASY, make_clips, train_easily


def main(folder: Path) -> None:
    device = Device(gpu_backend="torch", num_threads=1)
    prepare(device)
    from freqquest.cnn.search.trial_logs import TrialLogs

    clips = np.load(folder / "clips.npy")
    for file in folder.glob("*_before.keras"):
        probabilities = predict_probabilities(load_model(locate(file)), Inputs(clips))
        np.save(folder / file.name.replace("_before.keras", "_on_torch.npy"), probabilities)
    accuracies = []
    for seed in range(2):
        model, epochs = train_easily(device, seed)
        accuracies.append(epochs[-1]["validation/accuracy"])
    again, _ = train_easily(device, seed)
    weights = zip(model.get_weights(), again.get_weights(), strict=True)
    difference = max(float(np.abs(first - second).max()) for first, second in weights)
    (folder / "trained.keras").write_bytes(to_bytes(model))
    np.save(folder / "trained.npy", predict_probabilities(model, Inputs(make_clips().spectrograms)))
    mixed = Device(gpu_backend="torch", num_threads=1, mixed_precision=True)
    logs = TrialLogs(locate(folder / "logs"))
    logs.log_config(EASY, "trial")
    logs.log_scalars(epochs[-1], 6)
    logs.log_predictions(make_clips(), np.arange(4), np.eye(2)[[0, 1, 0, 1]], ClipConfig(), 6)
    logs.close()
    model, mixed_epochs = train_easily(mixed, 0)
    (folder / "mixed.keras").write_bytes(to_bytes(model))
    np.save(folder / "mixed.npy", predict_probabilities(model, Inputs(make_clips().spectrograms)))
    report = {
        "accuracies": accuracies,
        "mixed_accuracy": mixed_epochs[-1]["validation/accuracy"],
        "difference_when_repeated": difference,
        "loss": epochs[-1]["train/loss"],
        "modules": sorted({name.split(".")[0] for name in sys.modules}),
    }
    (folder / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
