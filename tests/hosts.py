"""Hosts that are Linux namespaces of this machine, each with its own address and SSH server.

A host has its own network, processes, name, `/tmp` and home. It sees all other files of this
machine, as hosts with an NFS do. Nothing of a host exists outside of its namespaces, which end with
its first process, so hosts need no unique names or addresses, and leave nothing.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

NAMESPACES = ("--mount", "--net", "--pid", "--uts")
TOOLS = ("ip", "nsenter", "rsync", "ssh", "ssh-keygen", "sshd", "unshare")

START = r"""
set -e
folder=$1 name=$2
shift 2
hostname "$name"
ip link set lo up
mount --make-rprivate /
mkdir -p "$folder"/tmp/home
for shared in "$@"; do  # the host's own /tmp would hide it
  mkdir -p "$folder$shared"
  mount --bind "$shared" "$folder$shared"
done
sed 's,:/root:,:/tmp/home:,' /etc/passwd > "$folder"/passwd
mount --bind "$folder"/passwd /etc/passwd
mount --rbind "$folder"/tmp /tmp
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mkdir /run/sshd
"$(command -v sshd)" -f "${folder%/*}"/sshd_config  # sshd wants an absolute path
echo started
cat  # until the test ends, however it ends
exit  # so that the shell stays the first process, which must reap the others
"""

SSHD_CONFIG = """
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile none
"""


@dataclass(frozen=True)
class Host:
    """A host that runs."""

    address: str
    pid: int
    """First process of the host."""
    cable: str
    """Name of the host's connection in the network of the bridge."""
    bridge_pid: int
    """A process in that network."""

    def command(self, folder: Path, *command: str, **env: str) -> list[str]:
        """Return the command that runs a command in the host, in a folder."""
        inside = ["env", f"--chdir={folder}", "HOME=/tmp/home"]
        inside += [f"{name}={value}" for name, value in env.items()]
        return ["nsenter", f"--target={self.pid}", *NAMESPACES, *inside, *command]

    def cut_off(self) -> None:
        """Unplug the host's network cable."""
        _in_network(self.bridge_pid, f"ip link set {self.cable} down")

    def connect(self) -> None:
        """Plug the cable in again."""
        _in_network(self.bridge_pid, f"ip link set {self.cable} up")

    def processes(self) -> list[psutil.Process]:
        """Return the processes of the host."""
        namespace = _pid_namespace(self.pid)
        return [each for each in psutil.process_iter() if _pid_namespace(each.pid) == namespace]


def why_no_hosts() -> str | None:
    """Return why this machine cannot run hosts, or None."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "hosts made of namespaces need Linux and root"
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        return f"hosts made of namespaces need these programs: {', '.join(missing)}"
    for link in ("bridge", "veth"):
        attempt = ["unshare", *NAMESPACES, "--fork", "--mount-proc"]
        attempt += ["ip", "link", "add", "type", link]
        done = subprocess.run(attempt, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"hosts made of namespaces are not allowed here: {done.stderr.strip()}"
    return None


@contextmanager
def running_hosts(folder: Path, count: int, shared: list[Path]) -> Iterator[list[Host]]:
    """Run hosts, connected by a bridge in the network of the first.

    Args:
        folder: Gets the hosts' files, such as their `/tmp`, and `key`, which opens all of them.
        count: Number of hosts.
        shared: Folders that hosts see even if they are below `/tmp`.
    """
    for name in ("key", "host_key"):
        make_key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name]
        subprocess.run(make_key, check=True)
    (folder / "sshd_config").write_text(SSHD_CONFIG.format(folder=folder))
    hidden = [str(path) for path in shared if path.is_relative_to("/tmp")]
    names = [f"host{number}" for number in range(count)]
    with ExitStack() as stack:
        pids = [stack.enter_context(_first_process(folder / name, hidden)) for name in names]
        bridge_pid = pids[0]
        _in_network(bridge_pid, "ip link add eth0 type bridge")
        for name, pid in zip(names[1:], pids[1:], strict=True):
            _in_network(bridge_pid, f"ip link add {name} type veth peer name eth0 netns {pid}")
            _in_network(bridge_pid, f"ip link set {name} master eth0 up")
        hosts = []
        for number, (name, pid) in enumerate(zip(names, pids, strict=True), start=1):
            _in_network(pid, f"ip address add 10.0.0.{number}/24 dev eth0")
            _in_network(pid, "ip link set eth0 up")
            _in_network(pid, "ip route add default dev eth0")  # Ray finds its address by it
            hosts.append(Host(f"10.0.0.{number}", pid, name, bridge_pid))
        yield hosts


@contextmanager
def _first_process(folder: Path, shared: list[str]) -> Iterator[int]:
    """Run the first process of a host. Linux ends all others of its namespace with it."""
    folder.mkdir()
    command = ["unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc"]
    command += ["bash", "-c", START, "start", str(folder), folder.name, *shared]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as unshare:
        try:
            assert unshare.stdout.readline() == "started\n", f"{folder.name} did not start"
            (first,) = psutil.Process(unshare.pid).children()
            yield first.pid
        finally:
            unshare.kill()  # and, by --kill-child, the first process


def _in_network(pid: int, command: str) -> None:
    """Run a command in the network of a process."""
    subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", *command.split()], check=True)


def _pid_namespace(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/ns/pid").readlink()
    except OSError:  # it has just ended
        return None
