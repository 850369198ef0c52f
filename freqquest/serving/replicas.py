"""Replicas of a model, by Ray Serve, and the errors of requests to them."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Self

from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from freqquest.cluster import connection
from freqquest.cnn.devices import Device
from freqquest.cnn.gpu_backend import find_gpu_backend
from freqquest.errors import UserError
from freqquest.serving.answers import Answer, Hearing
from freqquest.serving.config import REQUESTS_AT_ONCE, ServeConfig
from freqquest.serving.errors import RequestError, busy
from freqquest.serving.serve_worker import Replica, ReplicaSettings
from freqquest.storage import locate

_MOST_WAITING = 128
"""Most requests that wait for a replica; further ones are refused."""

_HEALTH_S = 1.0
"""Time for which the health of the replicas is taken for known."""

_HEALTH_TIMEOUT_S = 5.0
"""Longest time that Ray Serve may take to tell it."""


@dataclass(kw_only=True, slots=True)
class Replicas:
    """The replicas of one service; needs an initialized Ray."""

    _name: str
    _handle: Any
    _health: tuple[float, bool] = (0.0, True)
    _checking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    def start(cls, config: ServeConfig, hearing: Hearing, name: str) -> Self:
        """Start replicas, and wait until they answer.

        No proxy of Ray Serve leads to them: it would take uploads into memory without a limit, and
        ask for no token.

        Args:
            config: Settings of the job.
            hearing: What replicas hear.
            name: Name of the application in Ray Serve, which nothing else has.

        Raises:
            UserError: The model cannot be loaded.
        """
        connection.configure("serve")
        serve.start(
            proxy_location="Disabled",
            logging_config={"log_level": "ERROR", "enable_access_log": False},
        )
        try:
            return cls(_name=name, _handle=_run(config, hearing, name))
        except BaseException:  # Ctrl+C, too
            serve.delete(name)
            raise

    async def answer(self, body: bytes, with_spectrogram: bool) -> Answer:
        """Return the answer of a replica for a file.

        Raises:
            RequestError: The file is not audio, or no replica can answer now.
            TimeoutError: The time limit is over.
        """
        response = self._handle.answer.remote(body, with_spectrogram)
        try:
            answer: Answer | str = await response
        except BackPressureError as error:
            raise busy(f"{_MOST_WAITING} requests wait for a replica") from error
        except (RayActorError, DeploymentUnavailableError) as error:
            raise busy("the replica was lost, and starts again") from error
        except asyncio.CancelledError:
            response.cancel()
            raise
        if isinstance(answer, str):
            raise RequestError(
                422,
                "not_audio",
                f"{answer}: send the bytes of a whole audio file (curl: --data-binary @FILE)",
            )
        return answer

    async def is_healthy(self) -> bool:
        """Return whether there is a replica that answers."""
        async with self._checking:  # one check, however many ask
            checked, is_healthy = self._health
            if time.monotonic() - checked > _HEALTH_S:
                try:
                    check = asyncio.to_thread(self._has_replica)
                    is_healthy = await asyncio.wait_for(check, _HEALTH_TIMEOUT_S)
                except Exception:  # Ray itself does not answer
                    is_healthy = False
                self._health = time.monotonic(), is_healthy
        return is_healthy

    def _has_replica(self) -> bool:
        application = serve.status().applications.get(self._name)
        deployments = application.deployments.values() if application else ()
        return any(each.replica_states.get("RUNNING", 0) for each in deployments)

    def stop(self) -> None:
        """Stop the replicas. Ray Serve itself ends with Ray; other services may use it."""
        serve.delete(self._name)


def _run(config: ServeConfig, hearing: Hearing, name: str) -> Any:
    """Run an application, and return its handle when it answers."""
    settings = ReplicaSettings(
        model_file=locate(config.model),
        hearing=hearing,
        device=Device(gpu_backend=find_gpu_backend() if config.use_gpu else None),
        time_limit_s=config.time_limit_s,
        max_batch=config.max_batch,
    )
    try:
        return serve.run(_deployment(config).bind(settings), name=name, route_prefix=None)
    except RuntimeError as error:
        problem = _problem(name) or str(error)
        raise UserError(f"`model={config.model}` does not start: {problem}") from error


def _deployment(config: ServeConfig) -> Any:
    """Return the deployment, for Ray Serve."""
    least, most = config.replica_range
    scaling: dict[str, Any] = {"num_replicas": least}
    if most > least:
        limits = {"min_replicas": least, "max_replicas": most}
        scaling = {"autoscaling_config": limits | {"target_ongoing_requests": REQUESTS_AT_ONCE / 2}}
    return serve.deployment(Replica).options(
        ray_actor_options={"num_cpus": 1, "num_gpus": int(config.use_gpu)},
        max_ongoing_requests=REQUESTS_AT_ONCE,
        max_queued_requests=_MOST_WAITING,
        graceful_shutdown_wait_loop_s=0.1,
        graceful_shutdown_timeout_s=1,
        **scaling,
    )


def _problem(name: str) -> str:
    """Return the last error in Ray Serve's messages about an application: whole tracebacks."""
    deployments = serve.status().applications[name].deployments.values()
    lines = "\n".join(each.message for each in deployments).splitlines()
    errors = [line.partition("Error: ")[2] for line in lines if "Error: " in line]
    return errors[-1] if errors else ""
