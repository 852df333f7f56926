"""Notes of drivers on the workers for whom they hold claims."""

import pytest

from harness import held_for
from harness.held_for import Held, Process

DRIVER, WORKER = Process("head", 99), Process("node3", 7)


def test_what_every_driver_notes_is_read(tmp_path):
    for name, pid in (("one", 99), ("other", 98)):
        note = held_for.note_path(tmp_path, name)
        held_for.write(note, Process("head", pid), {f"c-{pid}": WORKER})
    assert held_for.read(tmp_path) == {
        Held("c-98", Process("head", 98)): WORKER,
        Held("c-99", DRIVER): WORKER,
    }
    held_for.write(note, DRIVER, {})
    note.with_name(".tmp-other").write_text("no note")
    assert list(held_for.read(tmp_path)) == [Held("c-99", DRIVER)]
    assert held_for.read(tmp_path / "nothing") == {}


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{", "null", '{"holder": ["head", 99]}'),
        '{"holder": 3, "workers": {"c-1": ["node3", 7]}}',
        '{"holder": ["head", 99], "workers": {"c-1": ["node3", "x"]}}',
        '{"holder": ["head", 99], "workers": ["c-1"]}',
    ],
)
def test_what_is_no_note_tells_nothing(tmp_path, text):
    note = held_for.note_path(tmp_path, "damaged")
    note.parent.mkdir()
    note.write_text(text)
    assert held_for.read(tmp_path) == {}


def test_a_folder_in_the_place_of_a_note_tells_nothing(tmp_path):
    held_for.note_path(tmp_path, "folder").mkdir(parents=True)
    assert held_for.read(tmp_path) == {}
