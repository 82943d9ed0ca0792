"""A network of its own for the control plane. Rule: nothing outside can reach it, and no port of this machine is taken.

Knative's controller and autoscaler both insist on port 8080, so the autoscaler gets a second network, beside the first.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

HOST = "10.250.1.1"  # an address of the loopback device: the API server does not advertise 127.0.0.1
HERE, BESIDE = "10.250.2.1", "10.250.2.2"


class NetworkMissing(Exception):
    """This machine gives no private network; the text says what is missing."""


class Network:
    """Network namespaces, held open by one sleeping process each."""

    def __init__(self) -> None:
        missing = [name for name in ("unshare", "nsenter", "ip") if shutil.which(name) is None]
        if missing:
            raise NetworkMissing(f"{', '.join(missing)} not found: install util-linux and iproute2")
        self._root = os.geteuid() == 0
        self._main = self._hold(["unshare", "--net", *([] if self._root else ["--user", "--map-root-user"])])
        try:
            self._beside = self._hold(self.inside(["unshare", "--net"]))
            self._wire()
        except (OSError, subprocess.CalledProcessError) as error:
            self.close()
            raise NetworkMissing(f"no private network: {getattr(error, 'stderr', '') or error}") from error

    def inside(self, command: Sequence[str], *, beside: bool = False) -> list[str]:
        """The command, to be run in the network."""
        pid = self._beside.pid if beside else self._main.pid
        return [
            "nsenter",
            "-t",
            str(pid),
            "--net",
            *([] if self._root else ["--user", "--preserve-credentials"]),
            *command,
        ]

    def run(self, command: Sequence[str], environment: Mapping[str, str] | None = None, text: str | None = None) -> str:
        """Run to its end. Raises CalledProcessError."""
        done = subprocess.run(
            self.inside(command),
            env={**os.environ, **(environment or {})},
            input=text,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, list(command), done.stdout, done.stderr)
        return done.stdout

    def close(self) -> None:
        for holder in (getattr(self, "_beside", None), self._main):
            if holder is not None:
                holder.kill()
                holder.wait()

    def _hold(self, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        """Returns once the process is in its new namespaces."""
        holder = subprocess.Popen([*command, "sh", "-c", "echo; exec sleep infinity"], stdout=subprocess.PIPE)
        assert holder.stdout is not None
        with holder.stdout as output:
            if not output.readline():
                raise NetworkMissing("this user may not make a network namespace")
        return holder

    def _wire(self) -> None:
        beside = str(self._beside.pid)
        for words in (
            "link set lo up",
            f"addr add {HOST}/32 dev lo",
            f"link add here type veth peer name beside netns {beside}",
            f"addr add {HERE}/30 dev here",
            "link set here up",
        ):
            self.run(["ip", *words.split()])
        for words in (
            "link set lo up",
            f"addr add {BESIDE}/30 dev beside",
            "link set beside up",
            f"route add default via {HERE}",
        ):
            subprocess.run(self.inside(["ip", *words.split()], beside=True), check=True, capture_output=True, text=True)


def dying_with_us(command: Sequence[str]) -> list[str]:
    """The kernel ends the program when the tests are killed."""
    return ["setpriv", "--pdeathsig", "KILL", "--", *command] if Path("/usr/bin/setpriv").exists() else list(command)
