"""Tables that installed packages extend."""

import pytest

from spin_hub.errors import PluginFailed, PluginMissing
from spin_hub.plugins import Plugin, registered

GROUP = "spin_hub.tests"


def table():
    return registered(GROUP, {"own": 1, "far": "math:pi"})


def test_own_entries_come_first_and_are_imported_when_they_are_read():
    assert list(table()) == ["own", "far"] and len(table()) == 2
    assert table()["own"] == 1 and table()["far"] == pytest.approx(3.14159, abs=1e-5)
    assert table().origin("own") is None
    with pytest.raises(KeyError):
        table()["other"]


def test_a_packages_entry_is_listed_without_its_import_and_loaded_once(install):
    install("THING = object()", {GROUP: {"thing": "THING"}})
    assert list(table()) == ["own", "far", "thing"] and "thing" in table()
    assert table()["thing"] is table()["thing"]
    assert table().origin("thing") == ("spin-toy", "1.2")
    assert table().plugin("thing") == Plugin(GROUP, "thing", "spin-toy", "1.2")


def test_a_package_replaces_no_own_entry(install):
    install("THING = 2", {GROUP: {"own": "THING"}})
    assert table()["own"] == 1 and list(table()) == ["own", "far"]


def test_an_entry_that_does_not_load_is_one_sentence(install):
    install("raise ValueError('no luck')", {GROUP: {"thing": "THING"}})
    with pytest.raises(PluginFailed) as failed:
        table()["thing"]
    assert failed.value.message == 'The test "thing" of the package spin-toy 1.2 cannot be loaded: ValueError: no luck.'


def test_a_record_whose_package_is_missing_is_one_sentence():
    with pytest.raises(PluginMissing) as missing:
        table().needed("x", [Plugin(GROUP, "x", "y", "1.2")])
    assert missing.value.message == (
        'This was made with the test "x" of the package y 1.2, which is not installed here.'
    )
    with pytest.raises(PluginMissing, match='the test "x", which is not installed'):
        table().needed("x")
    assert table().needed("own") == 1
