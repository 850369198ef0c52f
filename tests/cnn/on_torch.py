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
        model, epochs, states = train_easily(device, seed)
        accuracies.append(epochs[-1]["validation/accuracy"])
    again, continued = train_easily(device, seed)[0], train_easily(device, seed, states[2])[0]
    (folder / "trained.keras").write_bytes(to_bytes(model))
    np.save(folder / "trained.npy", predict_probabilities(model, Inputs(make_clips().spectrograms)))
    mixed = Device(gpu_backend="torch", num_threads=1, mixed_precision=True)
    logs = TrialLogs(locate(folder / "logs"))
    logs.log_config(EASY, "trial")
    logs.log_scalars(epochs[-1], 6)
    logs.log_predictions(make_clips(), np.arange(4), np.eye(2)[[0, 1, 0, 1]], ClipConfig(), 6)
    logs.close()
    mixed_model, mixed_epochs, states = train_easily(mixed, 0)
    mixed_continued = train_easily(mixed, 0, states[2])[0]
    (folder / "mixed.keras").write_bytes(to_bytes(mixed_model))
    mixed_probabilities = predict_probabilities(mixed_model, Inputs(make_clips().spectrograms))
    np.save(folder / "mixed.npy", mixed_probabilities)
    report = {
        "accuracies": accuracies,
        "mixed_accuracy": mixed_epochs[-1]["validation/accuracy"],
        "difference_when_repeated": difference(model, again),
        "difference_when_continued": difference(model, continued),
        "difference_when_continued_mixed": difference(mixed_model, mixed_continued),
        "loss": epochs[-1]["train/loss"],
        "modules": sorted({name.split(".")[0] for name in sys.modules}),
    }
    (folder / "report.json").write_text(json.dumps(report))


def difference(first, second) -> float:
    weights = zip(first.get_weights(), second.get_weights(), strict=True)
    return max(float(np.abs(one - other).max()) for one, other in weights)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
