"""A PostgreSQL server of the tests' own: on a private socket, with a role that owns little."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

ROLE, PASSWORD = "shop", "s3cret/@:?#"
_USERS = ("postgres", "nobody")  # the server refuses to run as root


@dataclass(frozen=True)
class Server:
    """A running server, reached by the socket in its folder.

    Attributes:
        socket: The folder of the socket.
        port: Of 127.0.0.1, where it speaks TLS only; 0: it listens nowhere but on the socket.
        certificate: What it shows there, signed by itself.
    """

    socket: Path
    port: int = 0
    certificate: Path = Path()

    def url(self, database: str = "shop", password: str | None = PASSWORD, role: str = ROLE) -> str:
        """An address of the server."""
        said = "" if password is None else f":{quote(password, safe='')}"
        port = f"&port={self.port}" if self.port else ""
        return (
            f"postgresql://{role}{said}@/{database}?host={quote(str(self.socket), safe='')}{port}"
        )

    @property
    def admin(self) -> str:
        """An address for the superuser, who makes databases and stops sessions."""
        return self.url("postgres", role="admin")


def make_certificate(folder: Path, name: str) -> Path:
    """A certificate for localhost, signed by itself, as `name`.crt beside `name`.key."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    path = folder / f"{name}.crt"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-nodes", "-days", "2", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost", "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(path.with_suffix(".key")),
            "-out", str(path),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return path


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl, the newest there is; None without one."""
    on_path = shutil.which("initdb")
    if on_path and shutil.which("pg_ctl"):
        return Path(on_path).resolve().parent
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3])
    )
    return versions[-1].parent if versions else None


@contextmanager
def running_server(*, tls: bool = False) -> Iterator[Server]:
    """Start a server for as long as the block lasts; skip the test where there can be none."""
    pytest.importorskip("psycopg", reason='needs psycopg: pip install "regulars[postgres]"')
    found = binaries()
    if found is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    # Not pytest's folders: those are closed to other users, and too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="regulars-pg-"))
    try:
        as_user = _as_user(folder)
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        data, place = folder / "data", folder / "socket"

        def call(*command: str) -> None:
            done = subprocess.run(
                [*as_user, *command], cwd="/", capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr

        call("mkdir", str(place))
        call(
            str(found / "initdb"), "-D", str(data), "-U", "admin", "-E", "UTF8", "--locale=C",
            "--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--no-sync",
        )  # fmt: skip
        options = f"-c unix_socket_directories='{place}' -c fsync=off"
        server = Server(place)
        if tls:
            server = Server(place, _free_port(), make_certificate(folder, "server"))
            key = server.certificate.with_suffix(".key")
            key.chmod(0o600)
            shutil.chown(key, folder.stat().st_uid, folder.stat().st_gid)
            options += f" -c listen_addresses=127.0.0.1 -c port={server.port} -c ssl=on"
            options += f" -c ssl_cert_file={server.certificate} -c ssl_key_file={key}"
            hba = data / "pg_hba.conf"
            hba.write_text("local all all scram-sha-256\nhostssl all all all scram-sha-256\n")
        else:
            options += " -c listen_addresses=''"
        log = str(folder / "data" / "log")
        call(str(found / "pg_ctl"), "-D", str(data), "-w", "-l", log, "-o", options, "start")
        try:
            _make_role(server)
            yield server
        finally:
            call(str(found / "pg_ctl"), "-D", str(data), "-w", "-m", "fast", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as_user(folder: Path) -> list[str]:
    """How to run a command as a user that may run a server, who then owns the folder."""
    if os.geteuid() != 0:
        return []
    import pwd

    known = {entry.pw_name for entry in pwd.getpwall()}
    user = next((name for name in _USERS if name in known), None)
    if user is None or not shutil.which("setpriv"):
        pytest.skip(f"root cannot run PostgreSQL, and there is no user {' or '.join(_USERS)}")
    entry = pwd.getpwnam(user)
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    return [
        "setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", "--",
    ]  # fmt: skip


def _make_role(server: Server) -> None:
    import psycopg
    from psycopg import sql

    with psycopg.connect(server.admin, autocommit=True) as con:
        con.execute(
            sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER PASSWORD {}").format(
                sql.Identifier(ROLE), sql.Literal(PASSWORD)
            )
        )
