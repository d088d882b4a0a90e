"""slurmdbd over a MariaDB of its own, for what Slurm can only do with accounting; ends both."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.slurm_lab import HOST, free_ports

_PATHS = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
WAIT_S = 60.0


def missing() -> str:
    """The first program that is not installed; empty where all are."""
    programs = ("slurmdbd", "mariadbd", "mariadb-install-db", "mariadb", "sacctmgr", "munged")
    return next((p for p in programs if shutil.which(p, path=_PATHS) is None), "")


def _as_root() -> list[str]:
    """MariaDB wants to be told to run as root, and can't become anybody else where we are not."""
    return ["--user=root"] if os.geteuid() == 0 else []


class Accounting:
    """Begins before a `Lab` that shares its folder and munge socket: `lines` are for that lab's slurm.conf."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port, self._dbd = free_ports(2)
        self._children: list[subprocess.Popen[bytes]] = []
        # In memory where there is such a folder: a database that lives for a minute need not reach a disk
        shm = Path("/dev/shm")  # noqa: S108 - a name of our own below it
        self._data = tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None)

    @property
    def lines(self) -> list[str]:
        """For slurm.conf: licences counted, limits of QOSs enforced."""
        return [
            "AccountingStorageType=accounting_storage/slurmdbd",
            "AccountingStorageHost=127.0.0.1",
            f"AccountingStoragePort={self._dbd}",
            "AccountingStorageTRES=license/power_kw",
            "AccountingStorageEnforce=limits,qos",
            f"AccountingStoragePass={self._folder}/munge.sock",
        ]

    def __enter__(self) -> Self:
        try:
            self._database()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start_slurmdbd(self) -> None:
        """Needs the lab's munge socket."""
        user = os.environ.get("USER", "root")
        conf = self._folder / "slurmdbd.conf"
        lines = [
            "AuthType=auth/munge", f"AuthInfo=socket={self._folder}/munge.sock", f"DbdHost={HOST}", "DbdAddr=127.0.0.1",
            f"DbdPort={self._dbd}", f"SlurmUser={user}", "StorageType=accounting_storage/mysql",
            "StorageHost=127.0.0.1", f"StoragePort={self._port}", "StorageUser=slurm", "StoragePass=slurm",
            "StorageLoc=slurm_acct",
            f"LogFile={self._folder}/slurmdbd.log", f"PidFile={self._folder}/slurmdbd.pid",
        ]  # fmt: skip
        conf.write_text("\n".join([*lines, ""]))
        conf.chmod(0o600)
        self._start(["slurmdbd", "-D"], {"SLURM_CONF": str(conf)})
        self._wait(self._listens, "slurmdbd")

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._dbd)) == 0

    def _wait(self, what: Callable[[], bool], name: str) -> None:
        begin = time.monotonic()
        while not what():
            if time.monotonic() - begin > WAIT_S or self._children[-1].poll() is not None:
                log = self._folder / f"{name}.log"
                raise AssertionError(f"no {name}: {log.read_text()[-800:] if log.exists() else ''}")
            time.sleep(0.1)

    def close(self) -> None:
        """End both."""
        for child in reversed(self._children):
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(10)
        self._children.clear()
        self._data.cleanup()

    def _database(self) -> None:
        data, sock = Path(self._data.name) / "db", self._folder / "db.sock"
        self._folder.mkdir(parents=True, exist_ok=True)
        small = ["--innodb-log-file-size=4M", "--innodb-buffer-pool-size=16M"]
        base = ["--no-defaults", f"--datadir={data}"]
        install = [*base, "--auth-root-authentication-method=normal", "--skip-test-db", *_as_root(), *small]
        self._run(["mariadb-install-db", *install])
        serve = [*base, f"--socket={sock}", f"--port={self._port}", "--bind-address=127.0.0.1", *_as_root(), *small]
        self._start(["mariadbd", *serve, f"--pid-file={self._folder}/db.pid"], {})
        self._wait(sock.exists, "mariadbd")
        statements = (
            "create database slurm_acct; create user slurm@'127.0.0.1' identified by 'slurm'; "
            "grant all on slurm_acct.* to slurm@'127.0.0.1';"
        )
        self._run(["mariadb", "--no-defaults", f"--socket={sock}", "--user=root", "-e", statements])

    def _run(self, argv: list[str]) -> None:
        done = subprocess.run(argv, env=self._env({}), capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise AssertionError(f"{argv[0]}: {done.stderr or done.stdout}")

    def _start(self, argv: list[str], more: dict[str, str]) -> None:
        path = shutil.which(argv[0], path=_PATHS)
        assert path is not None
        with (self._folder / f"{argv[0]}.out").open("ab") as log:
            self._children.append(
                subprocess.Popen([path, *argv[1:]], env=self._env(more), stdout=log, stderr=log)  # noqa: S603
            )

    def _env(self, more: dict[str, str]) -> dict[str, str]:
        return {**os.environ, "PATH": _PATHS, **more}
