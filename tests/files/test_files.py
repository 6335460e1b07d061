"""Writing whole files: permissions, links, what stands in the way, and nothing half made."""

import errno
import os
import stat

import pytest

from grammask.errors import ExperimentError
from grammask.files.write import dump, write_whole


@pytest.fixture
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002, 0o027], indirect=True)
def test_a_new_file_has_what_the_umask_leaves(tmp_path, umask):
    write_whole(tmp_path / "new.json", "{}")
    assert mode(tmp_path / "new.json") == 0o666 & ~umask


@pytest.mark.parametrize("umask", [0o022, 0o077], indirect=True)
@pytest.mark.parametrize("own", [0o600, 0o640, 0o664, 0o444])
def test_a_file_that_is_written_over_keeps_its_permissions(tmp_path, umask, own):
    path = tmp_path / "mine.json"
    path.write_text("before", encoding="utf-8")
    path.chmod(own)
    write_whole(path, "after")
    assert mode(path) == own
    assert path.read_text(encoding="utf-8") == "after"


def test_a_link_is_replaced_and_what_it_leads_to_is_not_touched(tmp_path):
    (tmp_path / "theirs").write_text("theirs", encoding="utf-8")
    for target in ("theirs", "nowhere"):
        link = tmp_path / "results.json"
        link.unlink(missing_ok=True)
        link.symlink_to(tmp_path / target)
        write_whole(link, "ours")
        assert not link.is_symlink()
        assert link.read_text(encoding="utf-8") == "ours"
    assert (tmp_path / "theirs").read_text(encoding="utf-8") == "theirs"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("at", ["os.fsync", "os.replace", "os.open"])
def test_whatever_fails_is_told_with_what_helps_and_leaves_nothing(tmp_path, monkeypatch, number, at):
    path = tmp_path / "results.json"
    path.write_text("before", encoding="utf-8")

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(at, fail)
    with pytest.raises(ExperimentError, match=f"results.json cannot be written: {os.strerror(number)}") as told:
        write_whole(path, "after", kept="the runs are kept")
    assert "--resume" not in str(told.value)
    assert str(told.value).endswith("; the runs are kept")
    helps = {errno.ENOSPC: "free some space", errno.EACCES: "may write to", errno.EROFS: "may write to"}
    assert helps.get(number, "") in str(told.value)
    monkeypatch.undo()
    assert path.read_text(encoding="utf-8") == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x" * 300, "take a shorter name"),
        ("a\0b", "null byte"),
        ("file/below", "whose parents are folders"),
        ("folder", "move the folder away"),
    ],
)
def test_what_can_be_no_file_is_told(tmp_path, name, message):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ExperimentError, match=message):
        write_whole(tmp_path / name, "text")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_name_as_long_as_names_may_be_is_written(tmp_path):
    write_whole(tmp_path / ("x" * 255), "text")
    assert [len(entry.name) for entry in tmp_path.iterdir()] == [255]


def test_half_a_surrogate_pair_is_written_as_json_escapes_it(tmp_path):
    write_whole(tmp_path / "a.json", dump({"task": "caf\udce9"}))
    assert "caf\\udce9" in (tmp_path / "a.json").read_text(encoding="utf-8")
