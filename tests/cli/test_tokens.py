"""Files of tokens: what is none is told, with its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.slurm_commands import token
from plant.errors import ConfigError


def test_a_file_gives_its_token_without_the_line_end(tmp_path: Path) -> None:
    """Nothing of an editor's last line comes into a header."""
    (tmp_path / "token").write_text("abc-123\n")
    assert token(tmp_path / "token") == "abc-123"


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\x00", "пароль".encode(), b"one\ntwo\n"])
def test_a_file_that_holds_none_is_told_with_its_name(tmp_path: Path, content: bytes) -> None:
    """No traceback of a codec, and no call without a password."""
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigError, match="token: no token or password"):
        token(tmp_path / "token")


def test_without_a_file_the_environment_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container."""
    monkeypatch.setenv("COLDPLATE_TOKEN", "from-there")
    assert token(None) == "from-there"
