"""CPU cores and GPUs that Keras uses in a worker process.

The frameworks are imported inside the functions; no Ray.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from freqquest.cnn.frameworks import Backend, choose_backend


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """Hardware that a process computes on, and how."""

    num_threads: int = 1
    """CPU cores."""
    gpu_backend: Backend | None = None
    """Keras' backend on a GPU that the process was given; None for CPU cores, with TensorFlow."""
    mixed_precision: bool = False
    """Train in bfloat16, with float32 weights."""

    @property
    def num_loader_threads(self) -> int:
        """Threads that prepare batches ahead of a GPU; 0 where the training needs all cores."""
        return self.num_threads if self.gpu_backend else 0


@cache
def prepare(device: Device) -> None:
    """Load Keras, and limit it to its task's cores, and to no GPU or the memory that it needs.

    Call it before any operation, and before anything imports Keras.

    Raises:
        UserError: Keras is loaded already, with another backend.
    """
    choose_backend(device.gpu_backend or "tensorflow")
    if device.gpu_backend == "torch":
        _limit_torch(device.num_threads)
    else:
        _limit_tensorflow(device.num_threads, use_gpu=device.gpu_backend is not None)


def _limit_tensorflow(num_threads: int, use_gpu: bool) -> None:
    from freqquest.cnn.frameworks import tf

    tf.config.threading.set_intra_op_parallelism_threads(num_threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if use_gpu:
        grow_gpu_memory()
    else:  # Ray hides GPUs only from tasks that requested some
        tf.config.set_visible_devices([], "GPU")


def _limit_torch(num_threads: int) -> None:
    """Limit the cores, and compute on a GPU as exactly as on a CPU.

    torch takes GPU memory as it needs it anyway. TensorFloat32, which torch allows convolutions by
    default, changed probabilities by 6e-4; launches from Python take longer than either.
    """
    import torch

    torch.backends.cudnn.allow_tf32 = False
    torch.set_num_threads(num_threads)
    with suppress(RuntimeError):  # torch has begun to use its threads
        torch.set_num_interop_threads(1)


def grow_gpu_memory() -> None:
    """Let TensorFlow take GPU memory as it needs it, as torch does, rather than nearly all at once.

    Call it before any operation; later it has no effect.
    """
    from freqquest.cnn.frameworks import keras

    if keras.config.backend() == "torch":
        return
    from freqquest.cnn.frameworks import tf

    with suppress(RuntimeError):  # TensorFlow has begun to use its devices
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)


def finds_gpu(backend: Backend) -> bool:
    """Return whether a framework can train on a GPU in this process."""
    if backend == "torch":
        import torch

        return torch.cuda.is_available()
    from freqquest.cnn.frameworks import tf

    return bool(tf.config.list_physical_devices("GPU"))
