"""Batches of a training, in the order and with the augmentation that (seed, epoch, step) determine.

No Ray. Shapes: N clips, B clips of a batch, M mel bands, T frames, K classes.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from threading import Lock

import numpy as np
import pandas as pd

from freqquest.cnn.augment import augment
from freqquest.cnn.config import CnnConfig
from freqquest.cnn.frameworks import keras
from freqquest.cnn.labeled_clips import LabeledClips
from freqquest.cnn.streamed_order import StreamedOrder, arrange
from freqquest.dataset.sharded_spectrograms import ShardedSpectrograms

Batch = tuple[np.ndarray, np.ndarray]

_NUM_AHEAD = 8
"""Batches that are prepared ahead of the training, where threads do it."""


class TrainingBatches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras is untyped
    """Shuffled, augmented batches `[B, M, T, 1]` with targets `[B, K]`.

    They depend on (seed, epoch, step) alone. The clips are not copied: trials share them in memory.
    """

    def __init__(
        self,
        clips: LabeledClips,
        rows: np.ndarray,
        config: CnnConfig,
        seed: int,
        num_threads: int = 0,
    ) -> None:
        """Prepare the batches; `close` ends the threads.

        Args:
            clips: Clips that the rows refer to.
            rows: Rows to train on.
            config: Augmentation, balance and batch size.
            seed: Seed of order and augmentation.
            num_threads: Threads that prepare batches ahead; 0 for none. Keras' own `workers` would
                mix leftovers of one epoch into the next.
        """
        super().__init__()
        self._clips, self._config, self._seed, self._epoch = clips, config, seed, 0
        self._versions = [np.array([row]) for row in rows]
        """Rows of each clip, one of which is drawn."""
        if config.copies == "draw":
            numbers, _ = pd.factorize(clips.clip_ids.codes[rows])  # by first appearance
            ends = np.cumsum(np.bincount(numbers))
            self._versions = np.split(rows[np.argsort(numbers, kind="stable")], ends[:-1])
        self._shares_until = np.cumsum(self._shares())
        self._num_drawn = len(self._versions)
        if config.min_steps:
            # Whole batches only: batch normalization suffers from batches of one or two clips.
            num_steps = max(self._num_drawn // config.batch_size, config.min_steps)
            self._num_drawn = num_steps * config.batch_size
        self.order_of = lru_cache(maxsize=2)(self._draw_order)
        """Rows of an epoch, in their order."""
        self._streamed_order_of = lru_cache(maxsize=2)(self._draw_streamed)
        self._read_ahead = (-1, -1)
        """Epoch and stretch whose shards, and those of the next stretch, were asked for last."""
        self.failure: Exception | None = None
        """Error of a batch, which TensorFlow replaces by one of its own."""
        self._order_lock, self._ahead_lock = Lock(), Lock()
        self._threads = ThreadPoolExecutor(num_threads) if num_threads else None
        self._ahead: dict[int, Future[Batch]] = {}

    def _shares(self) -> np.ndarray:
        """Return the share of each clip in an epoch; they sum to 1.

        A clip with several labels counts as one of its rarest label.
        """
        clips, firsts = self._clips, [versions[0] for versions in self._versions]
        recordings = clips.recordings.codes[firsts]
        sizes = np.bincount(recordings)[recordings].astype(float)
        labels = clips.class_indices[firsts]
        return _scale_by_class(
            sizes**-self._config.recording_balance, labels, self._config.class_balance
        )

    def __len__(self) -> int:
        return -(-self._num_drawn // self._config.batch_size)

    def __getitem__(self, step: int) -> Batch:
        try:
            return self._batch(self._epoch * len(self) + step)
        except Exception as error:
            self.failure = error
            raise

    def _batch(self, number: int) -> Batch:
        """Return a batch, given its number since the first epoch."""
        threads = self._threads
        if threads is None:
            return self._prepare(number)
        with self._ahead_lock:
            for coming in range(number, number + _NUM_AHEAD):
                if coming not in self._ahead:
                    self._ahead[coming] = threads.submit(self._prepare, coming)
            self._ahead = {key: batch for key, batch in self._ahead.items() if key >= number}
            batch = self._ahead.pop(number)
        return batch.result()

    def _prepare(self, number: int) -> Batch:
        """Draw and augment a batch, given its number since the first epoch."""
        epoch, step = divmod(number, len(self))
        rows = self._rows_of(epoch, step)
        spectrograms, targets = augment(
            self._clips.spectrograms[rows],
            self._clips.labels[rows].astype(np.float32),
            self._config,
            self._clips.normalization.mean,
            np.random.default_rng([self._seed, epoch, step]),
        )
        return spectrograms[..., None], targets

    def _rows_of(self, epoch: int, step: int) -> np.ndarray:
        """Return the rows of a batch; shards that come after those of the batch are read ahead."""
        part = slice(step * self._config.batch_size, (step + 1) * self._config.batch_size)
        with self._order_lock:  # so that only one thread draws the order of an epoch
            if isinstance(self._clips.spectrograms, np.ndarray):
                return self.order_of(epoch)[part]
            order = self._streamed_order_of(epoch)
            place = epoch, order.stretch_of(part.start)
            if place > self._read_ahead:
                self._read_ahead = place
                self._clips.spectrograms.prefetch(order.shards_from(place[1]))
            return order.rows[part]

    def begin_at(self, epoch: int) -> None:
        """Leave out the epochs before this one, counted from 0."""
        self._epoch = epoch

    def on_epoch_end(self) -> None:
        """Go on to the next epoch; Keras calls this after each epoch, and once before the first."""
        self._epoch += 1

    def close(self) -> None:
        """End the threads."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(cancel_futures=True)

    def _draw_order(self, epoch: int) -> np.ndarray:
        """Draw an epoch's rows and shuffle them."""
        rng = np.random.default_rng([self._seed, epoch])
        drawn = rng.permutation(self._draw_clips(rng))
        return np.array([rng.choice(self._versions[clip]) for clip in drawn])

    def _draw_clips(self, rng: np.random.Generator) -> np.ndarray:
        """Draw an epoch's clips by their shares: those of equal share equally often.

        This is systematic resampling.
        """
        quantiles = (np.arange(self._num_drawn) + rng.uniform(0.01, 0.99)) / self._num_drawn
        drawn = np.searchsorted(self._shares_until, quantiles)
        return np.minimum(drawn, len(self._versions) - 1)

    def _draw_streamed(self, epoch: int) -> StreamedOrder:
        """Draw an epoch's rows as `_draw_order` does, and arrange them by shards."""
        assert isinstance(self._clips.spectrograms, ShardedSpectrograms)
        rng = np.random.default_rng([self._seed, epoch])
        drawn = rng.permutation(self._draw_clips(rng))
        sizes = np.array([len(versions) for versions in self._versions])
        versions = np.cumsum(sizes)[drawn] - 1 - rng.integers(sizes[drawn])
        rows = np.concatenate(self._versions)[versions]
        return arrange(rows, self._clips.spectrograms, rng)


def _scale_by_class(weights: np.ndarray, labels: np.ndarray, is_balanced: bool) -> np.ndarray:
    """Scale weights `[N]` so that each class sums to its share of the clips, or all to the same."""
    sums, counts = np.bincount(labels, weights), np.bincount(labels)
    class_shares = (counts > 0) / np.count_nonzero(counts) if is_balanced else counts / len(labels)
    shares: np.ndarray = weights / sums[labels] * class_shares[labels]
    return shares
