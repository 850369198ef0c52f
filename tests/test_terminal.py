import subprocess
import sys

import pytest


def run(code: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """Run code after an import of the context."""
    code = f"from freqquest.terminal import tolerant_output\nwith tolerant_output():\n    {code}"
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=False
    )


def test_a_character_that_the_terminal_lacks_is_escaped():
    done = run("print('grillon des bois \u00e9t\u00e9')", PYTHONIOENCODING="ascii")
    assert done.stdout == b"grillon des bois \\xe9t\\xe9\n"
    assert done.returncode == 0


@pytest.mark.parametrize("num_lines", [1, 100_000])
def test_a_closed_pipe_ends_the_output_quietly(num_lines):
    code = f"[print('a line of help') for _ in range({num_lines})]"
    code = f"from freqquest.terminal import tolerant_output\nwith tolerant_output():\n    {code}"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 0
    process.stderr.close()
