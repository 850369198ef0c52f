import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("modules", "excluded"),
    [
        ("train_job", {"torch", "ray", "tensorflow", "sklearn"}),
        ("train, generate", {"torch", "tensorflow"}),
        ("realism, judging", {"torch", "ray", "tensorflow"}),
        ("training_loop, recorder, generate_worker", {"ray", "tensorflow"}),
    ],
)
def test_modules_import_only_what_they_claim(modules, excluded):
    code = f"import sys; from freqquest.cgan import {modules}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not excluded & set(done.stdout.split())
