"""Tiny models of each family, made once, and no network."""

import socket

import pytest

from export.checkpoints import Made


@pytest.fixture
def attempts(monkeypatch):
    """No socket connects. What tried to reach a network; a test that lets it try clears the list."""
    attempts = []

    def refuse(*arguments, **_):
        attempts.append(arguments)
        raise OSError("this test has no network")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield attempts
    assert attempts == []


@pytest.fixture(scope="session")
def sd1(tmp_path_factory):
    return Made("sd1", tmp_path_factory.mktemp("sd1"))


@pytest.fixture(scope="session")
def sd2(tmp_path_factory):
    return Made("sd2", tmp_path_factory.mktemp("sd2"))


@pytest.fixture(scope="session")
def sdxl(tmp_path_factory):
    return Made("sdxl", tmp_path_factory.mktemp("sdxl"))


@pytest.fixture(params=["sd1", "sd2", "sdxl"])
def made(request):
    return request.getfixturevalue(request.param)
