"""Train a generator of new clips of each class of a dataset (Ray Train, PyTorch)."""

from freqquest.cgan.config import TrainConfig
from freqquest.command import on_ray, parse


def main() -> None:
    config = parse(TrainConfig, __doc__)
    with on_ray():
        from freqquest.cgan.train import train

        figures = train(config)
        print(f"epoch {figures['epoch']}: loss_D {figures['loss_D']:.3f}, loss_G {figures['loss_G']:.3f}")
        print(f"generator: {config.run_dir}/generator.safetensors")


if __name__ == "__main__":
    main()
