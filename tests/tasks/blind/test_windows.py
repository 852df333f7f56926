"""Windows have readable names, and tasks of equal visibility share one."""

from tasks.base import TASKS, Visibility
from tasks.blind.windows import Window, windows_of
from tests.tasks.asking import task


def test_the_catalogue_has_eight_windows():
    tasks = [TASKS.get(name)() for name in TASKS.names()]
    found = windows_of(tasks)
    assert [window.name for window in found] == [
        "w04",
        "w10",
        "w100-losses",
        "w20",
        "w20-rates",
        "w30",
        "w30-losses",
        "w50",
    ]
    assert sorted(name for w in found for name in w.tasks) == sorted(TASKS.names())
    for window in found:
        for name in window.tasks:
            assert TASKS.get(name)().visibility == window.visibility


def test_other_visibilities_of_one_name_are_numbered():
    signals = [("val_loss",), ("train_loss",), ("grad_norm",)]
    tasks = [
        task(name=f"test/{i}", visibility={"signals": s}) for i, s in enumerate(signals)
    ]
    names = {w.name: w.visibility.signals for w in windows_of(tasks)}
    assert names == {
        "w40-losses": ("val_loss",),
        "w40-losses-2": ("train_loss",),
        "w40-curves": ("grad_norm",),
    }


def test_a_window_is_the_same_after_json():
    seen = Visibility(until=0.3, signals=("lr",), finals=("final.test_loss",))
    window = Window(name="w30", visibility=seen, tasks=("a", "b"))
    assert Window.from_json("w30", window.to_json()) == window
