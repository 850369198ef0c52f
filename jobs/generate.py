"""Make new clips of a class with a trained generator."""

from freqquest.cgan.config import GenerateConfig
from freqquest.command import on_ray, parse


def main() -> None:
    config = parse(GenerateConfig, __doc__)
    with on_ray():
        from freqquest.cgan.generate import generate_clips

        paths = generate_clips(config)
        print(f"{len(paths)} clips in {config.output_dir}: {paths[0]} ...")


if __name__ == "__main__":
    main()
