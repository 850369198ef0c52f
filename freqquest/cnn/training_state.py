"""The state of a training between two epochs, from which another process goes on with it. No Ray.

A state is the bytes of an `.npz` file: all variables, and a header in JSON.
"""

import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypedDict

import numpy as np

from freqquest.choices import check_types
from freqquest.cnn.frameworks import keras

if TYPE_CHECKING:
    import torch

_VERSION = 1
_HEADER = "header"
_PLATEAU_FIELDS = ("best", "wait", "cooldown_counter", "stopped_epoch")
"""Fields by which Keras' callbacks for plateaus remember the epochs before."""


class UnusableStateError(Exception):
    """Raised when a state is damaged, or is that of another network, backend or version."""


class Evaluation(Protocol):
    """What the evaluation of the epochs remembers."""

    seconds: float
    best: float
    best_weights: list[np.ndarray] | None


class _Header(TypedDict):
    version: int
    backend: str
    num_epochs: int
    has_ended: bool
    seconds: float
    best: float
    plateau: list[dict[str, float | None]]


class TrainingState(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped
    """Saves the state of a training, and restores it. The last callback, so that nothing is missed.

    The order and the augmentation of the clips depend on (seed, epoch, step) and are not saved.
    """

    def __init__(
        self,
        trained: keras.Model,
        kept: keras.Model,
        evaluation: Evaluation,
        plateau: Sequence[keras.callbacks.Callback],
    ) -> None:
        """Save or restore the state of these.

        Args:
            trained: Compiled model that is trained.
            kept: Model with the averages of its weights; may be the same model.
            evaluation: The evaluation of the epochs.
            plateau: Keras' callbacks for plateaus, if there are any.
        """
        super().__init__()
        self._trained, self._kept = trained, kept
        self._evaluation, self._plateau = evaluation, plateau
        self._restored: list[dict[str, float | None]] = []
        self._random: dict[str, np.ndarray] = {}
        self.num_epochs = 0
        """Epochs done."""
        self.has_ended = False
        """Whether the training ended early after the last of them."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Give the other callbacks their memory, which they have just cleared.

        Keras has drawn random numbers to build the network; these are taken back.
        """
        for name, generator in _torch_generators().items():
            if name in self._random:  # it may be the state of a machine without a GPU
                earlier = generator.get_state()
                generator.set_state(earlier.new_tensor(self._random[name]))
        for callback, fields in zip(self._plateau, self._restored, strict=False):
            vars(callback).update(fields)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Count the epoch."""
        self.num_epochs, self.has_ended = epoch + 1, self.model.stop_training

    def save(self) -> bytes:
        """Return the state after the last epoch."""
        header: _Header = {
            "version": _VERSION,
            "backend": keras.config.backend(),
            "num_epochs": self.num_epochs,
            "has_ended": self.has_ended,
            "seconds": self._evaluation.seconds,
            "best": self._evaluation.best,
            "plateau": [
                {name: vars(each)[name] for name in _PLATEAU_FIELDS if name in vars(each)}
                for each in self._plateau
            ],
        }
        arrays = {_HEADER: np.array(json.dumps(header))}
        arrays |= {
            f"{name}_{number}": variable.numpy()
            for name, variables in self._variables().items()
            for number, variable in enumerate(variables)
        }
        for number, weight in enumerate(self._evaluation.best_weights or []):
            arrays[f"best_{number}"] = weight
        for name, generator in _torch_generators().items():
            arrays[name] = generator.get_state().numpy()
        stream = io.BytesIO()
        np.savez(stream, allow_pickle=False, **arrays)
        return stream.getvalue()

    def restore(self, saved: bytes) -> None:
        """Go on from a state that `save` returned for a training of the same settings.

        Raises:
            UnusableStateError: The state cannot be used; nothing has changed.
        """
        try:
            with np.load(io.BytesIO(saved)) as arrays:
                header: _Header = json.loads(str(arrays[_HEADER]))
                values = {name: arrays[name] for name in arrays.files if name != _HEADER}
            self._check(header, values)
        except UnusableStateError:
            raise
        except Exception as error:  # a damaged file may raise any
            raise UnusableStateError(f"it is damaged ({error})") from error
        for name, variables in self._variables().items():
            for number, variable in enumerate(variables):
                variable.assign(values[f"{name}_{number}"])
        self.num_epochs, self.has_ended = header["num_epochs"], header["has_ended"]
        self._restored = header["plateau"]
        self._random = {name: each for name, each in values.items() if name.startswith("random")}
        self._evaluation.seconds, self._evaluation.best = header["seconds"], header["best"]
        if "best_0" in values:
            count = len(self._kept.weights)
            self._evaluation.best_weights = [values[f"best_{number}"] for number in range(count)]

    def _check(self, header: _Header, values: dict[str, np.ndarray]) -> None:
        """Refuse a state whose variables are not those of this training."""
        check_types(header, _Header)
        made_by = header["version"], header["backend"]
        if made_by != (_VERSION, keras.config.backend()):
            raise UnusableStateError("it has version {} and is of the backend {}".format(*made_by))
        expected = self._variables()
        if "best_0" in values:
            expected["best"] = self._kept.weights
        for name, variables in expected.items():
            for number, variable in enumerate(variables):
                value = values[f"{name}_{number}"]
                if value.shape != tuple(variable.shape) or value.dtype.kind not in "biuf":
                    raise UnusableStateError("it is of another network")

    def _variables(self) -> dict[str, list[keras.Variable]]:
        """Return all variables, with those of random numbers, which `weights` leaves out."""
        found = {"trained": self._trained.variables, "optimizer": self._trained.optimizer.variables}
        return found if self._kept is self._trained else found | {"kept": self._kept.variables}


def _torch_generators() -> dict[str, "torch.Generator"]:
    """Return torch's random numbers by device, from which Keras on torch draws dropout."""
    if keras.config.backend() != "torch":
        return {}
    import torch

    found = {"random_cpu": torch.default_generator}
    if torch.cuda.is_available():
        found["random_gpu"] = torch.cuda.default_generators[torch.cuda.current_device()]
    return found
