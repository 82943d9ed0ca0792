"""Ports that are told to be free."""

import socket

from patriot.runtime.serving import PORTS, _Ports


def test_no_port_is_told_twice():
    ports = _Ports()
    ports._next = PORTS.stop - 10
    told = [port for first in (ports.take(3) for _ in range(500)) for port in range(first, first + 3)]
    assert len(set(told)) == len(told)
    assert all(port in PORTS for port in told)


def test_port_that_is_taken_is_passed_over():
    ports = _Ports()
    with socket.create_server(("127.0.0.1", ports.take(1))) as taken:
        ports._next = taken.getsockname()[1] - 1
        assert ports.take(2) > taken.getsockname()[1]
