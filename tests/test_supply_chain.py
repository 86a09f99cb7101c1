"""What the project builds on: pinned, licensed, and asked for by name; and no test reaches beyond this machine."""

import importlib.util
import re
import socket
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {normalized(name): pin for name, _, pin in (line.partition("==") for line in lines if "==" in line)}


def declared() -> dict[str, list[Requirement]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"core": project["dependencies"], **project["optional-dependencies"]}
    return {name: list(map(Requirement, lines)) for name, lines in groups.items()}


def everything_needed() -> dict[str, str]:
    """All that is installed of what the project and its extras need, at any remove, with its version."""
    waiting = [(normalized(each.name), frozenset(each.extras)) for group in declared().values() for each in group]
    seen, found = set(), {}
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            found[name] = version(name).partition("+")[0]  # torch's build suffix is the machine's
        except PackageNotFoundError:
            continue  # an extra that is not installed here, or a package of another platform
        for line in requires(name) or []:
            each = Requirement(line)
            if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras or {""}):
                waiting.append((normalized(each.name), frozenset(each.extras)))
    return found


def test_constraints_pin_everything_that_is_needed():
    pins = constraints()
    needed = everything_needed()
    assert len(needed) > 40
    unpinned = sorted(f"{name}=={found}" for name, found in needed.items() if name not in pins)
    assert not unpinned, "add to constraints.txt"


def test_constraints_name_no_build_and_no_address():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[0-9A-Za-z.!]+", line), line


def test_every_declared_requirement_is_pinned_within_its_range():
    pins = constraints()
    for group, requirements in declared().items():
        for each in requirements:
            assert normalized(each.name) in pins, f"{each} of {group}"
            assert each.specifier.contains(pins[normalized(each.name)]), f"{each} of {group}"


def test_the_licences_are_listed():
    spec = importlib.util.spec_from_file_location("list_licences", ROOT / "docs" / "list_licences.py")
    listing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(listing)
    rows = listing.known_rows()
    assert set(rows) == set(constraints()), "run: python docs/list_licences.py"
    for name, (stated, _) in rows.items():
        found = listing.licence(name)
        assert found in (None, stated), f"run: python docs/list_licences.py; {name}"
        assert not re.search(r"\bA?GPL", stated) or "LGPL" in stated or name == "igraph", name


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("example.com", 443)])
def test_no_test_reaches_the_network(address):
    with pytest.raises(RuntimeError, match=r"tests reach nothing beyond this machine, not even"):
        socket.create_connection(address, timeout=0.1)


def test_loopback_and_local_sockets_are_allowed():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        client.sendall(b"x")
        connection, _ = server.accept()
        with connection:
            assert connection.recv(1) == b"x"
    for end in socket.socketpair():
        end.close()
