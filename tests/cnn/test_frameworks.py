import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from freqquest.errors import UserError


def test_keras_computes_with_tensorflow_and_the_users_choice_stays_in_the_environment():
    code = "import os; from freqquest.cnn.frameworks import keras; " + (
        "print(keras.config.backend(), os.environ.get('KERAS_BACKEND'))"
    )
    for choice, expected in ((None, "None"), ("torch", "torch")):
        env = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
        env |= {} if choice is None else {"KERAS_BACKEND": choice}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        assert done.stdout == f"tensorflow {expected}\n"


def test_keras_with_another_backend_is_refused_with_the_fix(monkeypatch):
    loaded = SimpleNamespace(config=SimpleNamespace(backend=lambda: "torch"))
    monkeypatch.setitem(sys.modules, "keras", loaded)
    monkeypatch.delitem(sys.modules, "freqquest.cnn.frameworks", raising=False)
    with pytest.raises(UserError, match="backend torch .* needs tensorflow: use another process"):
        import freqquest.cnn.frameworks  # noqa: F401
