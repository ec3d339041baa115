"""Everything back without training: a fresh clone, `dvc pull` from a remote, `publish`."""

import asyncio
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from tests.conftest import AUTHOR
from tests.hard.conftest import locked, outputs, run_dvc, run_pipeline

pytestmark = pytest.mark.hard


@pytest.fixture
def over_ssh(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The options of a remote behind an SSH server with SFTP on 127.0.0.1, which knows one key."""
    storage, keys = tmp_path / "storage", tmp_path / "keys"
    storage.mkdir()
    keys.mkdir(mode=0o700)
    for name in ("host", "client"):
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(keys / name)
        (keys / name).chmod(0o600)
    asyncssh.read_private_key(keys / "client").write_public_key(keys / "authorized")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def factory(channel: "asyncssh.SSHServerChannel[bytes]") -> asyncssh.SFTPServer:
        return asyncssh.SFTPServer(channel, chroot=str(storage).encode())

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[str(keys / "host")],
            authorized_client_keys=str(keys / "authorized"),
            sftp_factory=factory,
            allow_scp=False,
        )

    acceptor = asyncio.run_coroutine_threadsafe(listen(), loop).result(30)
    yield {
        "url": f"ssh://somebody@127.0.0.1:{acceptor.get_port()}/store",
        "keyfile": str(keys / "client"),
        "allow_agent": "false",
    }

    async def close() -> None:
        acceptor.close()
        await acceptor.wait_closed()

    asyncio.run_coroutine_threadsafe(close(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def in_a_folder(tmp_path: Path) -> dict[str, str]:
    return {"url": str(tmp_path / "remote")}


@pytest.fixture(params=["in_a_folder", "over_ssh"])
def remote(request: pytest.FixtureRequest) -> dict[str, str]:
    options: dict[str, str] = request.getfixturevalue(request.param)
    return options


def dvc(folder: Path, *arguments: str) -> str:
    done = run_dvc(folder, *arguments)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout + done.stderr


def configure(folder: Path, remote: dict[str, str]) -> None:
    """docs/restore.md's commands; the options that are secret or personal go to config.local."""
    dvc(folder, "remote", "add", "--default", "store", remote["url"])
    for name, value in remote.items():
        if name != "url":
            dvc(folder, "remote", "modify", "--local", "store", name, value)


def test_a_fresh_clone_gets_everything_back_without_training(
    study: Path, tmp_path: Path, remote: dict[str, str]
) -> None:
    configure(study, remote)
    for command in (["add", "-A"], [*AUTHOR, "commit", "-qm", "remote"]):
        subprocess.run(["git", *command], cwd=study, check=True, capture_output=True)
    dvc(study, "push", "--run-cache")
    clones = {way: tmp_path / "elsewhere" / way[0] for way in (("pull",), ("repro", "--pull"))}
    for way, clone in clones.items():
        subprocess.run(["git", "clone", "-q", str(study), str(clone)], check=True)
        for name, value in remote.items():
            if name != "url":
                dvc(clone, "remote", "modify", "--local", "store", name, value)

        said = dvc(clone, *way)

        assert "Running stage" not in said
        assert outputs(clone) == locked(clone) == locked(study)
        assert "up to date" in dvc(clone, "status")
        assert (clone / "report/index.html").read_bytes() == (study / "report/index.html").read_bytes()
        assert "test_accuracy" in dvc(clone, "metrics", "show")
    published = run_pipeline(clone, "publish")
    assert published.returncode == 0, published.stderr
    assert published.stdout.count("created") >= 3  # two runs and the report
    assert "publish: 0 changed" in run_pipeline(clone, "publish").stdout


def test_the_run_cache_restores_what_dvc_lock_does_not_name(
    study: Path, tmp_path: Path, in_a_folder: dict[str, str]
) -> None:
    """A rate that was once tried and then removed comes back from the remote, not from the processor."""
    configure(study, in_a_folder)
    lock = (study / "dvc.lock").read_bytes()
    dvc(study, "push", "--run-cache")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(study), str(clone)], check=True)
    configure(clone, in_a_folder)
    (clone / "dvc.lock").unlink()

    said = dvc(clone, "repro", "--pull")

    assert "Running stage 'train" not in said
    assert "Running stage 'range_test'" not in said  # the report runs: DVC caches no run with outputs in git
    assert (clone / "dvc.lock").read_bytes() == lock
    assert outputs(clone) == locked(study)
