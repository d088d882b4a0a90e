"""A real Slurm on loopback: munged, slurmctld and slurmds as our children, without systemd; ends them all."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_NO_ACCOUNTING = "AccountingStorageType=accounting_storage/none"
_LONGEST_SOCKET = 107
"""Bytes of a Unix socket's path on Linux (unix(7)), its end aside."""
HOST = socket.gethostname().partition(".")[0]


def free_ports(count: int) -> list[int]:
    """Different ports of loopback that nobody listens on now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class Lab:
    """`real` nodes with slurmds, and `more` that exist on paper only (state unknown to them: down).

    names: of the real ones in place of n1, n2 ...; extra: lines for slurm.conf; `leaves`: a switch for each list of
    nodes; before: what needs munge and comes first.
    """

    def __init__(
        self,
        folder: Path,
        *,
        real: int = 8,
        names: Sequence[str] = (),
        more: int = 0,
        cred_expire_s: int | None = 5,
        extra: Sequence[str] = (),
        leaves: Sequence[Sequence[str]] = (),
        before: Callable[[], None] | None = None,
    ) -> None:
        self.folder, self.user = folder, getpass.getuser()
        self.nodes = list(names) or [f"n{i}" for i in range(1, real + 1)]
        self._paper = more
        self._cred_expire_s = cred_expire_s
        self._extra, self._leaves, self._before = list(extra), leaves, before
        self._ports = free_ports(len(self.nodes) + 2)
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self.conf = folder / "slurm.conf"

    def __enter__(self) -> Self:
        self._write()
        try:
            self._munge()
            if self._before is not None:
                self._before()
            self.start_controller()
            for node in self.nodes:
                self._start(node, ["slurmd", "-N", node, "-D", "-f", str(self.conf)])
            self.until(lambda: self.states().count("idle") >= len(self.nodes), 30, "idle nodes")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def env(self) -> dict[str, str]:
        """What a client of this cluster needs."""
        return {**os.environ, "SLURM_CONF": str(self.conf), "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}

    def run(self, *argv: str, check: bool = True, timeout_s: float = 30.0) -> str:
        """A client command's output."""
        done = subprocess.run(  # noqa: S603 - Slurm's own clients
            argv, env=self.env, capture_output=True, text=True, timeout=timeout_s, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(argv)}: {done.stderr or done.stdout}")
        return done.stdout + done.stderr

    def submit(self, script: str, *options: str) -> str:
        """Submit a batch script; its job id."""
        path = self.folder / f"job-{time.monotonic_ns()}.sh"
        path.write_text(f"#!/bin/sh\n{script}\n")
        return self.run("sbatch", "--parsable", f"--output={self.folder}/%j.out", *options, str(path)).strip()

    def job(self, job: str) -> dict[str, str]:
        """Fields of `scontrol show job`."""
        return dict(w.partition("=")[::2] for w in self.run("scontrol", "-o", "show", "job", job).split())

    def states(self) -> list[str]:
        """State of each node that has a slurmd."""
        return self.run("sinfo", "-h", "-N", "-o", "%t", "-n", ",".join(self.nodes), check=False).split()

    def until(self, what: Callable[[], object], seconds: float, text: str) -> float:
        """Wait until it is true; how long that took [s]."""
        begin = time.monotonic()
        while not what():
            if time.monotonic() - begin > seconds:
                raise AssertionError(f"not within {seconds:g} s: {text}; {self._log()}")
            time.sleep(0.05)
        return time.monotonic() - begin

    def start_controller(self) -> None:
        """By its full path: a reconfigure executes it again (24.11)."""
        path = shutil.which("slurmctld", path=self.env["PATH"])
        assert path is not None
        self._start("slurmctld", [path, "-D", "-f", str(self.conf)])
        self.until(lambda: "UP" in self.run("scontrol", "ping", check=False), 30, "slurmctld")

    def stop_controller(self, *, kill: bool = False) -> None:
        """Take the controller away; its nodes and jobs go on."""
        child = self._children.pop("slurmctld")
        child.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        child.wait(20)

    def pause_controller(self, *, paused: bool) -> None:
        """Stop or continue the controller: it is there and does not answer."""
        self._children["slurmctld"].send_signal(signal.SIGSTOP if paused else signal.SIGCONT)

    def close(self) -> None:
        """End every child, jobs first: they are children of slurmds, not ours."""
        if "slurmctld" in self._children:
            self._children["slurmctld"].send_signal(signal.SIGCONT)
            with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                self.run("scancel", f"--user={self.user}", timeout_s=5.0)
                self.until(lambda: not self.run("squeue", "-h", check=False), 5, "an end of all jobs")
        for child in reversed(list(self._children.values())):
            child.kill()
            child.wait(10)
        self._children.clear()
        self._end_steps()

    def _end_steps(self) -> None:
        """A step whose slurmd was killed never ends; ours have our configuration in their environment."""
        mark = f"SLURM_CONF={self.conf}".encode()
        for environ in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in environ.read_bytes().split(b"\0") and int(environ.parent.name) != os.getpid():
                    os.kill(int(environ.parent.name), signal.SIGKILL)

    def _start(self, name: str, argv: list[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._children[name] = subprocess.Popen(argv, env=self.env, stdout=log, stderr=log)  # noqa: S603 - as above

    def _munge(self) -> None:
        key, socket_path = self.folder / "munge.key", self.folder / "munge.sock"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        argv = ["munged", "-F", f"--socket={socket_path}", f"--key-file={key}", f"--pid-file={self.folder}/munge.pid"]
        argv += [f"--log-file={self.folder}/munged.log", f"--seed-file={self.folder}/munge.seed", "--force"]
        self._start("munged", argv)
        self.until(socket_path.exists, 10, "munged")

    def _write(self) -> None:
        longest = f"{self.folder}/spool/{max(self.nodes, key=len)}/{max(self.nodes, key=len)}_99.4294967291"
        assert len(longest) <= _LONGEST_SOCKET, (
            f"{longest}: too long for slurmstepd's socket, it would die without a word"
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        for name in ("ctld", "spool"):
            (self.folder / name).mkdir(exist_ok=True)
        if self._leaves:
            lines = [f"SwitchName=leaf{i} Nodes={','.join(leaf)}" for i, leaf in enumerate(self._leaves, 1)]
            names = ",".join(f"leaf{i}" for i in range(1, len(self._leaves) + 1))
            (self.folder / "topology.conf").write_text("\n".join([*lines, f"SwitchName=spine Switches={names}", ""]))
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=disabled\n" if version() >= (24,) else "")
        self.conf.write_text("\n".join([*self._lines(), ""]))

    def _lines(self) -> list[str]:
        control, *ports = self._ports
        expire = "" if self._cred_expire_s is None else f",cred_expire={self._cred_expire_s}"
        paper, size = f"p[1-{self._paper}]", "CPUs=2 RealMemory=500 Weight=10"
        every = [*self.nodes, *([paper] if self._paper else [])]
        return [
            "ClusterName=lab",
            f"SlurmctldHost={HOST}(127.0.0.1)",
            f"SlurmctldPort={control}",
            f"AuthInfo=socket={self.folder}/munge.sock{expire}",
            f"SlurmUser={self.user}",
            f"SlurmdUser={self.user}",
            f"StateSaveLocation={self.folder}/ctld",
            f"SlurmdSpoolDir={self.folder}/spool/%n",
            f"SlurmctldPidFile={self.folder}/slurmctld.pid",
            f"SlurmdPidFile={self.folder}/slurmd-%n.pid",
            "ProctrackType=proctrack/linuxproc",
            "TaskPlugin=task/none",
            "JobAcctGatherType=jobacct_gather/none",
            *([] if any("AccountingStorageType" in x for x in self._extra) else [_NO_ACCOUNTING]),
            "MpiDefault=none",
            "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_CPU",
            "SchedulerParameters=batch_sched_delay=1,bf_interval=2,sched_interval=2",
            "ReturnToService=2",
            "KillWait=2",
            "SlurmdTimeout=300",
            f"MaxNodeCount={len(self.nodes) + self._paper + 8}",
            *(["TopologyPlugin=topology/tree"] if self._leaves else []),
            *self._extra,
            *(
                f"NodeName={node} NodeHostname={HOST} NodeAddr=127.0.0.1 Port={port} {size}"
                for node, port in zip(self.nodes, ports, strict=False)
            ),
            *([f"NodeName={paper} NodeHostname={paper} NodeAddr=127.0.0.1 {size} State=DOWN"] if self._paper else []),
            f"PartitionName=main Nodes={','.join(every)} Default=YES MaxTime=INFINITE State=UP",
        ]

    def _log(self) -> str:
        path = self.folder / "slurmctld.log"
        return path.read_text(errors="replace")[-800:] if path.exists() else ""


def version() -> tuple[int, ...]:
    """Of the Slurm that is found first, as (24, 11, 5)."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    program = shutil.which("slurmctld", path=path)
    assert program is not None
    told = subprocess.run([program, "-V"], capture_output=True, text=True, check=True)  # noqa: S603 - as above
    words = told.stdout.split()
    return tuple(int(part) for part in words[-1].split(".") if part.isdigit())
