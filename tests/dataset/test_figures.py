import matplotlib.image


def test_a_dataset_has_plots_of_its_contents(dataset_dir):
    for name in ("spectrograms.png", "counts.png"):
        picture = matplotlib.image.imread(dataset_dir / "figures" / name)
        assert min(picture.shape[:2]) > 100
        assert picture.std() > 0.05
