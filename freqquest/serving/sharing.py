"""A network that several threads share. NumPy only. Shapes: N windows, K classes."""

import queue
import threading
from concurrent.futures import Future

import numpy as np

from freqquest.dataset.clip_inputs import Inputs, join
from freqquest.detection.listen import Predict


class SharedNetwork:
    """A network that computes the windows of several threads together.

    What comes while it computes is its next batch, so that nothing waits for a batch to fill.

    ```python
    predict = SharedNetwork(partial(predict_probabilities, model), max_batch=8)
    probabilities = predict(inputs)  # in any thread
    ```
    """

    def __init__(self, predict: Predict, max_batch: int) -> None:
        """Start the thread that computes.

        Args:
            predict: The network.
            max_batch: Most calls that are computed together.
        """
        self._predict, self._max_batch = predict, max_batch
        self._waiting: queue.SimpleQueue[tuple[Inputs, Future[np.ndarray]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True, name="network").start()

    def __call__(self, inputs: Inputs) -> np.ndarray:
        """Return the probabilities `[N, K]` of windows."""
        result: Future[np.ndarray] = Future()
        self._waiting.put((inputs, result))
        return result.result()

    def _run(self) -> None:
        while True:
            batch = [self._waiting.get()]
            while len(batch) < self._max_batch and not self._waiting.empty():
                batch.append(self._waiting.get())
            calls, results = zip(*batch, strict=True)
            try:
                probabilities = self._predict(join(calls))
            except Exception as error:
                for result in results:
                    result.set_exception(error)
                continue
            ends = np.cumsum([len(call.spectrograms) for call in calls])
            for result, of_call in zip(results, np.split(probabilities, ends[:-1]), strict=True):
                result.set_result(of_call)
