"""A Slurm of the tests' own: controller and node on the loopback address, with folder, ports and munge key of its own.

It wants root, no systemd. Whatever fails, its daemons end with it.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "scontrol", "squeue", "scancel", "sinfo")


def why_not() -> str:
    """Why no Slurm can be started here; empty where one can."""
    missing = [name for name in PROGRAMS if not found(name)]
    if missing:
        return f"no {', '.join(missing)}: scripts/setup.sh test installs slurm-wlm and munge"
    return "" if os.geteuid() == 0 else "slurmd wants to be root"


def found(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def wait_for(what: str, is_so: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"{what}: not after {seconds} s"
        time.sleep(0.2)


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Slurm:
    """A cluster of one node. `jobs` of it run at once."""

    def __init__(self, folder: Path, jobs: int = 2):
        self.folder = folder
        self.daemons: list[subprocess.Popen] = []
        self.configuration = folder / "slurm.conf"
        self.environment = {
            **os.environ,
            "SLURM_CONF": str(self.configuration),
            "PATH": f"{os.environ['PATH']}:/usr/sbin",
        }
        for name in list(self.environment):  # those of a job that the tests themselves run in
            if name.startswith(("SLURM_", "SBATCH_")) and name != "SLURM_CONF":
                del self.environment[name]
        try:
            self.start_munge()
            self.configure(jobs)
            self.start("slurmctld", "-D", "-i")
            wait_for("the controller answers", lambda: self.answers("scontrol", "ping"), 60)
            self.start("slurmd", "-D", "-N", "node")
            wait_for("the node is idle", lambda: self.answers("sinfo", "-h", "-o", "%t", says="idle"), 60)
        except BaseException:
            self.stop()
            raise

    def start_munge(self) -> None:
        key, self.socket = self.folder / "munge.key", self.folder / "munge.socket"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        files = [f"--{name}-file={self.folder}/munge.{name}" for name in ("pid", "log", "seed")]
        self.start("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={self.socket}", *files)
        wait_for("munge listens", self.socket.exists, 30)

    def configure(self, jobs: int) -> None:
        controller, node = free_ports(2)
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        memory = 1000 * jobs  # MB, of which Slurm only counts
        host = socket.gethostname().split(".")[0]
        self.configuration.write_text(
            f"""ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={self.socket}
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
KillWait=5
SlurmdTimeout=300
SchedulerParameters=sched_interval=1,bf_interval=1
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={self.folder}/spool
SlurmctldPidFile={self.folder}/slurmctld.pid
SlurmdPidFile={self.folder}/slurmd.pid
SlurmctldLogFile={self.folder}/slurmctld.log
SlurmdLogFile={self.folder}/slurmd.log
SlurmdParameters=config_overrides
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs={jobs} RealMemory={memory} State=UNKNOWN
PartitionName=all Nodes=node Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""
        )

    def start(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.out").open("w") as out:
            self.daemons.append(
                subprocess.Popen(
                    [found(name), *arguments],
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=die_with_parent,
                )
            )

    def answers(self, *command: str, says: str = "") -> bool:
        told = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        return told.returncode == 0 and says in told.stdout

    def run(self, *command: str, folder: Path | None = None) -> str:
        told = subprocess.run(command, env=self.environment, cwd=folder, capture_output=True, text=True, timeout=120)
        assert told.returncode == 0, told.stderr
        return told.stdout

    def submit(self, file: Path, *options: str, folder: Path) -> int:
        """The number of the job."""
        return int(self.run("sbatch", "--parsable", *options, str(file), folder=folder).split(";")[0])

    def is_empty(self) -> bool:
        return not self.run("squeue", "-h")

    def states(self) -> dict[str, str]:
        """Of the tasks of an array, and other jobs, that are not over: "3_1": "RUNNING"."""
        return dict(line.split() for line in self.run("squeue", "-h", "-r", "-o", "%i %T").splitlines())

    def stop(self) -> None:
        """Ends jobs and daemons, the last one started first."""
        try:
            subprocess.run(["scancel", "--user=root"], env=self.environment, capture_output=True, timeout=20)
            wait_for("no job is left", self.is_empty, 20)
        except (AssertionError, OSError, subprocess.SubprocessError):
            pass
        for daemon in reversed(self.daemons):
            try:
                os.killpg(daemon.pid, signal.SIGTERM)
                daemon.wait(timeout=10)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass
            with contextlib.suppress(ProcessLookupError):
                os.killpg(daemon.pid, signal.SIGKILL)
            daemon.wait()
        self.end_steps()

    def end_steps(self) -> None:
        """slurmstepd is a session of its own; each that has this Slurm's configuration in its environment is ended."""
        ours = f"SLURM_CONF={self.configuration}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if ours in (process / "environ").read_bytes().split(b"\0"):
                    os.kill(int(process.name), signal.SIGKILL)
            except (OSError, ValueError):
                pass
