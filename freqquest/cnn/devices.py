"""CPU cores and GPUs that TensorFlow uses in a worker process.

TensorFlow is imported inside the functions; no Ray.
"""

from contextlib import suppress
from functools import cache


@cache
def prepare_tensorflow(num_threads: int, use_gpu: bool) -> None:
    """Limit TensorFlow to its task's cores, and to no GPU or the GPU memory that it needs.

    Call it before any operation.
    """
    from freqquest.cnn.frameworks import tf

    tf.config.threading.set_intra_op_parallelism_threads(num_threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if not use_gpu:  # Ray hides GPUs only from tasks that requested some
        tf.config.set_visible_devices([], "GPU")
        return
    grow_gpu_memory()


def grow_gpu_memory() -> None:
    """Let TensorFlow take GPU memory as it needs it, rather than nearly all at once.

    Call it before any operation; later it has no effect.
    """
    from freqquest.cnn.frameworks import tf

    with suppress(RuntimeError):  # TensorFlow has begun to use its devices
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)


def finds_gpu() -> bool:
    """Return whether TensorFlow can train on a GPU in this process."""
    from freqquest.cnn.frameworks import tf

    return bool(tf.config.list_physical_devices("GPU"))
