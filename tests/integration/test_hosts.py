"""A cluster on three hosts by `ray up` with on_premises.yaml, and a host that is cut off.

The hosts are namespaces of this machine; a fourth one is the user's computer.
"""

import json
import shlex
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml

from freqquest.cnn.model_file import read_card
from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.write import write_dataset
from freqquest.storage import locate
from tests.conftest import write_clips
from tests.hosts import running_hosts, why_no_hosts
from tests.integration.conftest import ROOT, TINY
from tests.servers import DEADLINE_S, wait_until

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
CLIPS_PER_SHARD = 2
NOT_RAY = {"bash", "cat", "sleep", "sshd"}


class Cluster:
    """The cluster, as its user sees it."""

    def __init__(self, user, hosts, file):
        self.user, self.hosts, self.file = user, hosts, file
        self.tunnel = None
        self.env = {"RAY_AUTH_MODE": "token", "RAY_API_SERVER_ADDRESS": "http://127.0.0.1:8265"}

    def command(self, *arguments, **env):
        ray = [str(BIN / "ray"), *map(str, arguments)]
        return self.user.command(ROOT, *ray, **self.env | env)

    def ray(self, *arguments, **env):
        return subprocess.run(
            self.command(*arguments, **env),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )

    @contextmanager
    def start(self, *arguments):
        pipe = subprocess.PIPE
        with subprocess.Popen(
            self.command(*arguments), stdout=pipe, stderr=pipe, text=True
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    for child in psutil.Process(process.pid).children(recursive=True):
                        child.kill()

    def alive(self):
        """Return the addresses of the hosts that Ray counts as alive."""
        done = self.ray("list", "nodes", "--format", "json")
        nodes = json.loads(done.stdout) if done.returncode == 0 else []
        return {node["node_ip"] for node in nodes if node["state"] == "ALIVE"}

    def has_all(self):
        return self.alive() == {host.address for host in self.hosts}


def as_edited(hosts, key):
    """Return on_premises.yaml as a user edits it, but with this machine's packages.

    Hosts get one core each, and no more shared memory than they need.
    """
    config = yaml.safe_load((ROOT / "on_premises.yaml").read_text())
    head, *workers = (host.address for host in hosts)
    config["provider"] |= {"head_ip": head, "worker_ips": workers}
    config["auth"] = {"ssh_user": "root", "ssh_private_key": str(key)}
    *downloads, remember = config["setup_commands"]
    assert ["uv" in command for command in downloads] == [True] * 3
    config["setup_commands"] = [f"ln -sfn {sys.prefix} ~/env", remember]
    small = "ray start --num-cpus=1 --object-store-memory=200000000"
    for name in ("head_start_ray_commands", "worker_start_ray_commands"):
        config[name] = [command.replace("ray start", small) for command in config[name]]
    return config


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if reason := why_no_hosts():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("hosts")
    shared = [tmp_path_factory.getbasetemp(), ROOT, Path(sys.prefix), Path(sys.base_prefix)]
    with running_hosts(folder, 4, shared) as (user, *hosts):
        cluster = Cluster(user, hosts, folder / "on_premises.yaml")
        cluster.file.write_text(yaml.safe_dump(as_edited(hosts, folder / "key")))
        assert cluster.ray("get-auth-token", "--generate").returncode == 0
        for _ in range(3):  # Ray fails after 30 s where the machine is very busy
            up = cluster.ray("up", "--yes", cluster.file)
            if up.returncode == 0:
                break
        assert up.returncode == 0, up.stdout + up.stderr
        with cluster.start("dashboard", cluster.file) as cluster.tunnel:
            wait_until(cluster.tunnel, cluster.has_all)
            yield cluster


def job_command(name, *arguments):
    return shlex.join(["python", f"jobs/{name}.py", *map(str, arguments)])


def makers_of_shards(host):
    return [each for each in host.processes() if "_write_planned" in each.name()]


def test_a_host_cut_off_during_a_job_costs_only_time_and_joins_again_by_itself(
    cluster, local_ray, tmp_path
):
    clips, alone = write_clips(tmp_path / "clips", num_recordings=12), tmp_path / "alone"
    config = {"audio_dir": str(clips), "clips_per_shard": CLIPS_PER_SHARD}
    write_dataset(PreprocessConfig(dataset_dir=str(alone), **config))
    dataset, run = tmp_path / "dataset", tmp_path / "run"
    few = ("--num-trials", 1, "--max-epochs", 1, "--num-members", 0, *TINY)
    shards = ("--audio-dir", clips, "--dataset-dir", dataset, "--clips-per-shard", CLIPS_PER_SHARD)
    search = ("--dataset-dir", dataset, "--run-dir", run, *few)
    script = f"{job_command('preprocess', *shards)} && {job_command('tune_cnn', *search)}"
    lost = cluster.hosts[-1]
    others = {host.address for host in cluster.hosts} - {lost.address}
    with cluster.start("job", "submit", "--working-dir", ".", "--", "sh", "-c", script) as job:
        for process in wait_until(job, lambda: makers_of_shards(lost)):
            process.suspend()  # so its shards stay unfinished, however slow the machine is
        lost.cut_off()
        output, errors = job.communicate(timeout=DEADLINE_S)
    assert job.returncode == 0, output + errors
    assert "all 3 nodes can" in output
    assert cluster.alive() == others
    assert load_manifest(locate(dataset)).shards == load_manifest(locate(alone)).shards
    assert read_card(locate(run / "best_model.keras"), "").classes == ["high", "low"]

    lost.connect()
    wait_until(cluster.tunnel, cluster.has_all)


@pytest.mark.parametrize("wrong", [{"RAY_AUTH_TOKEN": "wrong"}, {"RAY_AUTH_MODE": "disabled"}])
def test_the_hosts_take_no_job_without_the_token(cluster, wrong):
    done = cluster.ray("job", "submit", "--", "true", **wrong)
    assert done.returncode == 1
    assert "Ensure that the token for the cluster is available" in done.stderr


def test_other_hosts_do_not_reach_the_dashboard(cluster):
    head = cluster.hosts[0].address
    connect = ["bash", "-c", f"exec 3<> /dev/tcp/{head}/8265"]
    done = subprocess.run(cluster.user.command(ROOT, *connect), capture_output=True, text=True)
    assert "Connection refused" in done.stderr


def test_the_commands_that_end_the_cluster_leave_no_process(cluster):
    done = cluster.ray("down", "--yes", cluster.file)
    assert done.returncode == 0, done.stdout + done.stderr
    _, *workers = cluster.hosts
    for host in workers:
        ssh = ["ssh", "-o", "StrictHostKeyChecking=no", "-i", str(cluster.file.parent / "key")]
        stop = cluster.user.command(ROOT, *ssh, f"root@{host.address}", "~/env/bin/ray stop")
        subprocess.run(stop, check=True, capture_output=True)
    for host in cluster.hosts:
        assert {process.name() for process in host.processes()} <= NOT_RAY
