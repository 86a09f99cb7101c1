"""What all tests share: how hard hypothesis searches, and where real data lies."""

import ipaddress
import os
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# HYPOTHESIS_PROFILE=thorough asks for 1,000 examples a law, new ones each time.
settings.register_profile("ci", max_examples=25, deadline=None, derandomize=True)
settings.register_profile(
    "thorough", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile(
    "torture", max_examples=1000, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets; a test that needs it is skipped without one."""
    root = os.environ.get("GNNKIT_DATA")
    if not root:
        pytest.skip("the environment variable GNNKIT_DATA names no folder of data sets")
    if not Path(root).is_dir():
        pytest.fail(f"GNNKIT_DATA={root} is not a folder")
    return Path(root)


@pytest.fixture(scope="session", autouse=True)
def no_network():
    """Sockets reach this machine only: loopback addresses and local sockets."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        _guard_sockets(monkeypatch)
        yield


def _guard_sockets(monkeypatch):
    connect, connect_ex, resolve = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded(original):
        def connected(self, address):
            refuse_unless_local(address)
            return original(self, address)

        return connected

    def resolved(host, *arguments, **options):
        refuse_unless_local((host,))
        return resolve(host, *arguments, **options)

    monkeypatch.setattr(socket.socket, "connect", guarded(connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guarded(connect_ex))
    monkeypatch.setattr(socket, "getaddrinfo", resolved)


def refuse_unless_local(address):
    """Raise RuntimeError for an address beyond this machine; the path of a local socket is none."""
    if not isinstance(address, tuple):
        return
    host = address[0].decode() if isinstance(address[0], bytes) else address[0]
    if host in (None, "", "localhost", socket.gethostname()):
        return
    try:
        local = ipaddress.ip_address(host).is_loopback or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        local = False
    if not local:
        raise RuntimeError(f"tests reach nothing beyond this machine, not even {host!r}")
