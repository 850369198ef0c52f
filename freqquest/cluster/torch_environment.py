"""Environment variables of worker processes that run torch. Ray is loaded by the function."""

import os

VARIABLES = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Variables that libgomp reads when torch loads it, so the process must start with them.

torch's threads usually spin while they wait for each other. Beside another program, they take the
cores from the threads that they wait for (docs/performance.md)."""


def torch_environment() -> dict[str, dict[str, str]]:
    """Return the `runtime_env` of workers that run torch. Needs an initialized Ray.

    It leaves out variables that the user or the submitted job has set.
    """
    import ray

    of_job = ray.get_runtime_context().runtime_env.get("env_vars", {})
    variables = {
        name: value
        for name, value in VARIABLES.items()
        if name not in os.environ and name not in of_job
    }
    return {"env_vars": variables} if variables else {}
