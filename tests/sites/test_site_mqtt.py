"""MQTT links in a site file: what their options may say, at their line; `coldplate run` would refuse them too late."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cli.doctor_links import link_checks
from collector.mqtt_options import link_options
from plant.errors import ConfigError
from sites import load_site
from sites.check import problems

BASE = Path(__file__).with_name("base-site.yaml").read_text(encoding="utf-8")
PORT = "host: 10.0.0.3, port: 1883}"


def written(folder: Path, options: str) -> Path:
    """The base site with these options of its broker."""
    path = folder / "site.yaml"
    path.write_text(BASE.replace(PORT, PORT.replace("}", f", options: {{{options}}}}}")), encoding="utf-8")
    return path


def test_good_options_are_taken(tmp_path):
    """All that an MQTT link has."""
    options = "protocol: 5, username: u, password: p, partitions: 2, partition: 1, discover: true, integration: own"
    path = written(tmp_path, f"{options}, tls: true, rebirth: false, client_id: me, tls_ca: a, tls_cert: b, tls_key: c")
    assert [p for p in problems(path) if p.severity == "fault"] == []


@pytest.mark.parametrize(
    ("options", "message", "remedy"),
    [
        ("qos: 1", "unknown option 'qos'", "an MQTT link has client_id"),
        ("partitions: abc", "partitions 'abc' is no whole number", "write e.g. partitions: 1"),
        ("protocol: 4.5", "protocol 4.5 is no whole number", "write e.g. protocol: 4"),
        ("partitions: 2, partition: 2", "partition 2 of 2", "from 0 to partitions - 1"),
        ("password: x", "a password without a username", "give a username, or protocol: 5"),
        ("username: u, password: 12345", "password is no text", "quote it"),
        ("client_id: true", "client_id is no text", "quote it"),
        ("username: u, password: p, password_env: P", "password and password_env are given", "in one place"),
        ("password_file: /run/secrets/p", "a password without a username", "give a username"),
        ("protocol: 3", "unknown protocol", "use 4 for MQTT 3.1.1 or 5"),
        ("discover: 'no'", "discover 'no' is neither true nor false", "write true or false"),
    ],
)
def test_what_is_wrong_is_said_at_its_line(tmp_path, options, message, remedy):
    """By `coldplate validate`, not by a trace of the running edge."""
    (found,) = [p for p in problems(written(tmp_path, options)) if p.severity == "fault"]
    assert found.where.endswith(":11")
    assert found.message.startswith("link 'bms': ")
    assert message in found.message
    assert remedy in found.remedy


async def test_the_doctor_speaks_tls_where_the_collector_does(tmp_path):
    """Also where only a certificate of our own is named."""
    site = load_site(written(tmp_path, "tls_cert: /nowhere.pem"))
    (found,) = await link_checks(replace(site, links={"bms": site.links["bms"]}))
    assert (found.status, "tls_cert and tls_key: no such file" in found.text) == ("fail", True)


def test_a_password_may_stand_outside_of_the_site_file(tmp_path, monkeypatch):
    """In a file or a variable, read where the link is opened; the site file can be shown to anybody."""
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    monkeypatch.setenv("BROKER_PASSWORD", "hunter3")
    for option, password in ((f"password_file: {secret}", "hunter2"), ("password_env: BROKER_PASSWORD", "hunter3")):
        assert options_of(tmp_path, option).secret() == password
    for option, why in (
        ("password_file: /nowhere", "password file: No such file"),
        ("password_env: NONE_SUCH", "is empty"),
    ):
        with pytest.raises(ConfigError, match=why):
            options_of(tmp_path, option).secret()


def options_of(folder, options):
    """The broker's, of a site file with these options and a user."""
    site = load_site(written(folder, f"username: u, {options}"))
    return link_options(site, site.links["bms"])
