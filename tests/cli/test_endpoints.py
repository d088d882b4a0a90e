"""The file that says where a simulated or tunnelled site answers."""

from __future__ import annotations

import pytest

from cli.endpoints import read_endpoints
from plant.errors import ConfigError


def test_links_have_their_addresses(tmp_path):
    """As the simulator writes them; without a file there is no override."""
    path = tmp_path / "endpoints.json"
    path.write_text('{"cdu-1": ["127.0.0.1", 1502]}')
    assert read_endpoints(path) == {"cdu-1": ("127.0.0.1", 1502)}
    assert read_endpoints(None) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1}', "a: 1 is no address"),
        ('{"a": ["h", true]}', "a: .* is no address"),
        ('{"a": ["h", 70000]}', "a: .* is no address"),
        ('{"a": ["", 1]}', "a: .* is no address"),
        ('["h", 1]', "holds no links"),
        ("{", "can't be read"),
        ("[" * 100_000, "can't be read"),
    ],
)
def test_anything_else_is_told_with_its_link(tmp_path, text, said):
    """Not in the words of the language that it is read with."""
    path = tmp_path / "endpoints.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        read_endpoints(path)
    assert str(path) in str(caught.value)
    assert "unpack" not in str(caught.value)
