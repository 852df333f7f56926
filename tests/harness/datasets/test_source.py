from pathlib import Path

import platformdirs
import pytest

from harness.datasets import find_source
from harness.errors import DataError


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    monkeypatch.delenv("RUNCAST_DATA_DIR", raising=False)
    monkeypatch.delenv("RUNCAST_CACHE_DIR", raising=False)


def test_nothing_named_means_the_hub_and_the_users_cache():
    source = find_source()
    assert source.data_dir is None
    assert source.cache_dir == platformdirs.user_cache_path("runcast")


def test_an_argument_goes_before_the_environment(monkeypatch, tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("RUNCAST_DATA_DIR", str(tmp_path / "a"))
    monkeypatch.setenv("RUNCAST_CACHE_DIR", str(tmp_path / "c"))
    assert find_source().data_dir == tmp_path / "a"
    assert find_source(tmp_path / "b").data_dir == tmp_path / "b"
    assert find_source().cache_dir == tmp_path / "c"


def test_a_mirror_that_is_no_folder_is_refused():
    with pytest.raises(DataError, match=r"mend --data-dir or RUNCAST_DATA_DIR"):
        find_source(Path("/no/such/folder"))
