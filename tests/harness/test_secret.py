"""Keys: what a key file may be, and what is derived from a key."""

import hashlib
import hmac
import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.secret import keyed, keyed_id, read_key

KEY = bytes(range(32))
PARTS = st.lists(st.text(max_size=3) | st.integers(-11, 11), max_size=3)


def test_the_derivation_is_hmac_sha256_of_the_list_as_json():
    expected = hmac.digest(KEY, b'["seed","f-1",2]', "sha256")
    assert keyed(KEY, "seed", "f-1", 2) == expected
    assert len(expected) == 32


def test_hmac_is_the_construction_of_rfc_2104():
    block = KEY.ljust(64, b"\0")
    inner, outer = (bytes(b ^ pad for b in block) for pad in (0x36, 0x5C))
    message = hashlib.sha256(inner + '["\u00e9"]'.encode()).digest()
    assert keyed(KEY, "\u00e9") == hashlib.sha256(outer + message).digest()


@given(PARTS, PARTS)
def test_different_parts_give_different_bytes(one, other):
    assert (keyed(KEY, *one) == keyed(KEY, *other)) is (one == other)


def test_no_joining_splitting_or_retyping_of_parts_collides():
    lists = [("ab", "c"), ("a", "bc"), ("abc",), ("a", "b", "c"), (), ("",), ("", "")]
    lists += [("1",), (1,), (12, 3), (1, 23), ('a","b',), ("a", "b"), ('["a"]',)]
    found = [keyed(KEY, *parts) for parts in lists]
    assert all(one != other for one, other in combinations(found, 2))


def test_another_key_gives_other_bytes():
    assert keyed(KEY, "a") != keyed(KEY[::-1], "a")


def test_an_id_is_the_prefix_and_twenty_digits_of_the_bytes():
    assert keyed_id("h", KEY, "r-1") == "h-" + keyed(KEY, "r-1").hex()[:20]


@pytest.mark.parametrize("part", [1.5, None, b"a", True])
def test_a_part_that_has_no_exact_text_is_refused(part):
    with pytest.raises(TypeError, match=re.escape(f"a part is {part!r}, expected")):
        keyed(KEY, "a", part)


def test_half_a_character_is_refused_as_its_pair_would_collide():
    with pytest.raises(ValueError, match="surrogates not allowed"):
        keyed(KEY, "\ud83d\ude00")


def test_a_made_key_is_64_digits_for_its_owner_and_is_read_again(tmp_path):
    path = tmp_path / "keys" / "t4.key"
    key = read_key(path, create=True)
    assert re.fullmatch(r"[0-9a-f]{64}\n", path.read_text())
    assert bytes.fromhex(path.read_text()) == key == read_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["t4.key"]


def test_an_existing_key_is_never_overwritten(tmp_path):
    path = tmp_path / "key"
    key = read_key(path, create=True)
    assert read_key(path, create=True) == key


def test_two_made_keys_differ(tmp_path):
    assert read_key(tmp_path / "a", create=True) != read_key(
        tmp_path / "b", create=True
    )


def test_of_many_makers_at_once_all_have_the_key_of_the_first(tmp_path):
    path = tmp_path / "key"
    with ThreadPoolExecutor(16) as pool:
        keys = list(pool.map(lambda _: read_key(path, create=True), range(64)))
    assert set(keys) == {bytes.fromhex(path.read_text())}


def test_a_missing_file_is_told_with_a_way_to_make_one(tmp_path):
    with pytest.raises(ValueError, match=r"key does not exist.*secrets\.token_hex"):
        read_key(tmp_path / "key")
    with pytest.raises(ValueError, match=r"is no file, expected 64 hexadecimal"):
        read_key(tmp_path, create=True)


@pytest.mark.skipif(os.name != "posix", reason="file modes are of POSIX")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o620, 0o601])
def test_a_file_open_to_others_is_refused_with_the_command_that_mends_it(
    tmp_path, mode
):
    path = tmp_path / "key"
    key = read_key(path, create=True)
    path.chmod(mode)
    with pytest.raises(ValueError, match=rf"chmod 600 {re.escape(str(path))}"):
        read_key(path)
    path.chmod(0o600)
    assert read_key(path) == key


@pytest.mark.parametrize(
    "text",
    ["", "ab" * 31, "ab" * 33, "ag" * 32, "0x" + "ab" * 31, "a b" * 22, "\u00e9"],
)
def test_wrong_contents_are_refused_and_never_shown(tmp_path, text):
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="that are no key, expected 64") as caught:
        read_key(path)
    assert caught.value.__cause__ is None
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_key_may_have_capitals_and_any_line_end(tmp_path, end):
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_bytes(f"{KEY.hex().upper()}{end}".encode())
    assert read_key(path) == KEY
