"""Classify a folder of clips into a submission (Ray Data)."""

from freqquest.cli import connected_to_ray, parse
from freqquest.cnn.config import PredictConfig


def main() -> None:
    config = parse(PredictConfig, __doc__)
    with connected_to_ray(config.requirements):
        from freqquest.cnn.predict import predict_submission

        predictions = predict_submission(config)
        unreadable = int((predictions["reason"] != "").sum())
        if unreadable:
            print(f"{unreadable} clip(s) could not be read: see {config.output}.unreadable.csv")
        print(f"submission: {config.output} ({len(predictions)} rows)")


if __name__ == "__main__":
    main()
