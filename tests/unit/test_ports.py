"""What the suites' servers stand on: a port is given out once."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures import ports

_ASK = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from fixtures import ports
ports._LOWEST, ports._KERNELS = int(sys.argv[2]), Path(sys.argv[3])
print(ports.free_port(2), flush=True)
input()
"""


def test_a_port_is_one_process_s_until_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ports.free_port(2)
    ports._held.pop().close()
    kernels = tmp_path / "range"
    kernels.write_text(f"{first + 2}\t60999\n", "ascii")
    monkeypatch.setattr(ports, "_LOWEST", first)
    monkeypatch.setattr(ports, "_KERNELS", kernels)
    command = [sys.executable, "-c", _ASK, str(Path(ports.__file__).parents[1]), str(first), str(kernels)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert int(other.stdout.readline()) == first
        with pytest.raises(AssertionError, match="no 2 free ports"):
            ports.free_port(2)
        other.communicate("\n", 20)
    assert ports.free_port(2) == first
    with pytest.raises(AssertionError, match="no 1 free ports"):
        ports.free_port()


def test_a_server_listens_there_and_is_not_taken_for_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = ports.free_port()
    assert port < int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()[0])
    ports._held.pop().close()
    with socket.create_server(("127.0.0.1", port)):
        kernels = tmp_path / "range"
        kernels.write_text(f"{port + 1}\t60999\n", "ascii")
        monkeypatch.setattr(ports, "_LOWEST", port)
        monkeypatch.setattr(ports, "_KERNELS", kernels)
        with pytest.raises(AssertionError, match="no 1 free ports"):
            ports.free_port()
