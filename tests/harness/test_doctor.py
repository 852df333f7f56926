import subprocess
import sys

import pytest

from harness import doctor
from harness.doctor import Check, checks, checks_text, torchvision_check


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with an empty mirror, a cache of its own and no access to the Hub."""
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    monkeypatch.setenv("RUNCAST_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("RUNCAST_DATA_DIR", str(mirror))
    monkeypatch.setattr(doctor, "_LOOK_AT_TORCH", FAST_TORCH)
    monkeypatch.setattr(doctor, "_LOOK_AT_TORCHVISION", "print('0.29.2')")
    return mirror


FAST_TORCH = 'print(\'{"torch": "2.15", "devices": [], "built_for_cuda": null}\')'


def found(*folders, **options):
    return {check.name: check for check in checks(*folders, **options)}


def test_a_healthy_machine_has_no_fault(machine, tmp_path):
    result = found(tmp_path / "new" / "corpus")
    assert [c.name for c in result.values() if not c.ok] == []
    assert result["torch"].detail == "2.15"
    assert str(machine) in result["mirror"].detail
    assert result["data mnist"].mend.startswith("put it into the mirror")
    assert "corpus folder" in result
    assert list(tmp_path.iterdir()) == [machine]  # nothing is left behind


@pytest.mark.slow
def test_the_real_installation_is_whole():
    for code in (doctor._LOOK_AT_TORCH, doctor._LOOK_AT_TORCHVISION):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_a_broken_torch_is_a_finding(machine, monkeypatch):
    monkeypatch.setattr(doctor, "_LOOK_AT_TORCH", "raise ImportError('libcudart')")
    result = found()
    assert not result["torch"].ok
    assert "ImportError: libcudart" in result["torch"].detail
    assert "torchvision" not in result


def test_a_torchvision_of_another_torch_is_recognised(machine, monkeypatch):
    message = "RuntimeError: operator torchvision::nms does not exist"
    monkeypatch.setattr(
        doctor,
        "_LOOK_AT_TORCHVISION",
        "raise RuntimeError('operator ''torchvision::nms does not exist')",
    )
    check = found()["torchvision"]
    assert not check.ok
    assert "built for another torch than 2.15" in check.detail
    assert "one command" in check.mend
    other = subprocess.CompletedProcess([], 1, "", "ImportError: no libjpeg\n")
    assert "no libjpeg" in torchvision_check(other, "2.15").detail
    same = subprocess.CompletedProcess([], 1, "", message)
    assert torchvision_check(same, "2.15") == check


def test_devices_are_named(machine, monkeypatch):
    code = FAST_TORCH.replace("[]", '[\\"H200, 140 GiB\\"]')
    monkeypatch.setattr(doctor, "_LOOK_AT_TORCH", code)
    assert found()["cuda"].detail == "H200, 140 GiB"


def test_a_folder_that_cannot_be_written_is_a_fault(machine, tmp_path):
    (tmp_path / "file").touch()
    check = found(tmp_path / "file" / "corpus")["corpus folder"]
    assert not check.ok
    assert "name another" in check.mend


def test_little_room_is_a_fault(machine, monkeypatch):
    monkeypatch.setattr(doctor, "LITTLE_DISK", 10**18)
    result = found()
    assert not result["cache folder"].ok
    assert "RUNCAST_CACHE_DIR" in result["cache folder"].mend


def test_a_mirror_that_is_no_folder_is_a_fault(machine, tmp_path):
    result = found(data_dir=tmp_path / "nothing")
    assert not result["mirror"].ok
    assert "is not a folder" in result["mirror"].detail
    assert "data mnist" in result


def test_an_incomplete_set_in_the_mirror_is_a_fault(machine):
    (machine / "mnist").mkdir()
    check = found()["data mnist"]
    assert not check.ok
    assert "no file matches" in check.detail


def test_sets_in_the_mirror_are_found(machine, shared_data):
    assert found(data_dir=shared_data)["data mnist"].detail == "in the mirror"


def test_a_token_is_never_shown(machine, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_verysecret")
    result = list(checks())
    assert "present" in {c.name: c for c in result}["hub token"].detail
    assert "verysecret" not in checks_text(result) + repr(result)


def test_the_text_has_a_line_a_check_and_one_for_what_to_do():
    text = checks_text([Check("a", True, "fine"), Check("bb", False, "bad", "mend it")])
    assert text.splitlines() == ["ok  a   fine", "!!  bb  bad", "        -> mend it"]
