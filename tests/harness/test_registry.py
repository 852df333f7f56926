"""The registry: names, did-you-mean, arguments."""

import pytest

from harness.registry import SCHEDULES, Registry, complete, settable


def _factory(context: int, *, lr: float, momentum: float = 0.9) -> None: ...


def test_keyword_only_parameters_are_what_a_user_may_set():
    assert list(settable(_factory)) == ["lr", "momentum"]


def test_defaults_are_filled_in():
    assert complete("optimizer 'x'", _factory, {"lr": 1}) == {"lr": 1, "momentum": 0.9}


def test_an_unknown_argument_is_refused_with_the_nearest_name():
    with pytest.raises(TypeError, match="no argument 'momentun'; did you mean 'mom"):
        complete("optimizer 'x'", _factory, {"lr": 1, "momentun": 0.8})


def test_a_missing_argument_is_named():
    with pytest.raises(TypeError, match=r"needs the argument.* lr"):
        complete("optimizer 'x'", _factory, {})


def test_an_unknown_name_is_refused_with_the_nearest_and_all_names():
    with pytest.raises(KeyError, match=r"'cosin'; did you mean 'cosine'.*const_cool"):
        SCHEDULES.get("cosin")


def test_a_name_cannot_be_taken_twice():
    registry: Registry = Registry("thing", "harness")
    registry.register("a")(_factory)
    with pytest.raises(ValueError, match="thing 'a' is registered twice"):
        registry.register("a")(_factory)


def test_module_and_attribute_stand_for_a_name():
    assert SCHEDULES.get("harness.registry:settable") is settable


def test_an_import_error_of_a_sibling_is_not_swallowed():
    registry: Registry = Registry("thing", "harness.no_such_module")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        registry.names()


def test_a_module_or_attribute_that_is_not_there_is_told(tmp_path, monkeypatch):
    registry = Registry("thing", "harness.grids")
    with pytest.raises(KeyError, match="there is no module 'nowhere' in this folder"):
        registry.get("nowhere:Thing")
    with pytest.raises(KeyError, match=r"there is no module 'json\.nowhere'"):
        registry.get("json.nowhere:Thing")
    with pytest.raises(KeyError, match=r"json has no 'dump2'; did you mean 'dumps?'"):
        registry.get("json:dump2")
    (tmp_path / "needy_module.py").write_text("import not_installed_anywhere")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        registry.get("needy_module:Thing")
