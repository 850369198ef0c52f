"""Make new clips of a class with a trained generator."""

from freqquest.cgan.config import GenerateConfig
from freqquest.cli import connected_to_ray, parse


def main() -> None:
    config = parse(GenerateConfig, __doc__)
    with connected_to_ray(config.requirements):
        from freqquest.cgan.generate import generate_clips

        clips = generate_clips(config)
        print(f"{len(clips)} clips in {config.output_dir}, the first is {clips[0].name}")


if __name__ == "__main__":
    main()
