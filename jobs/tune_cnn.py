"""Search for the classifier that hears a dataset's unseen recordings best (Ray Tune, Keras)."""

from freqquest.cnn.config import TuneConfig
from freqquest.command import on_ray, parse


def main() -> None:
    config = parse(TuneConfig, __doc__)
    with on_ray():
        from freqquest.cnn.search import search

        metrics = search(config)
        print(f"accuracy {metrics['accuracy']:.3f} ({metrics['split']}, {metrics['num_clips']} clips)")
        print(f"model: {config.run_dir}/best_model.keras")


if __name__ == "__main__":
    main()
