from freqquest.cluster.requirements import Requirements


def test_requirements_read_as_a_phrase():
    assert str(Requirements()) == "1 worker(s), each 1 core or more"
    several = Requirements(num_workers=2, max_workers=8, cpus_per_worker=4, use_gpu=True)
    assert str(several) == "2 to 8 worker(s), each 4 core(s) and a GPU"
