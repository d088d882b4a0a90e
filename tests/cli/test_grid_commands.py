"""`coldplate grid` as people call it: what can't be is told in one line, nothing is sent in clear by mistake."""

from __future__ import annotations

import pytest

from cli.main import main


@pytest.fixture
def grid(capsys, monkeypatch, tmp_path):
    """Run it with more words: status and errors."""
    monkeypatch.chdir(tmp_path)

    def called(*words: object) -> tuple[int, str]:
        given = ["grid", "--isv", "a", "--feed", "a=site", "--unsigned", "--broker", "127.0.0.1:9", *words]
        monkeypatch.setattr("sys.argv", ["coldplate", *map(str, given)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code or 0, capsys.readouterr().err

    return called


def test_what_cannot_be_used_is_told(grid, tmp_path):
    """A password file in another encoding, a folder that can't be one."""
    (tmp_path / "password").write_bytes(b"\xff\xfe")
    status, said = grid("--password-file", tmp_path / "password")
    assert (status, "can't be read: not UTF-8; give a file with the password" in said) == (2, True)
    status, said = grid("--state", tmp_path / "password" / "grid")
    assert (status != 0, "the folder can't be used: Not a directory" in said) == (True, True)
    assert "Traceback" not in said


def test_an_own_certificate_turns_tls_on(grid, tmp_path):
    """Also where the broker's authority is the system's; it was ignored, and the password sent in clear."""
    (tmp_path / "c.pem").write_text("none")
    status, said = grid("--tls-cert", tmp_path / "c.pem")
    assert (status, "tls_cert and tls_key" in said) == (2, True)
