"""Values by tenant with change tracking."""

from monitor.core.tenants.active_alert import ByTenant


def test_the_tenants_follow_what_is_set_removed_and_loaded() -> None:
    changed: set[int] = set()
    values = ByTenant[str](changed)
    assert values.tenants.tolist() == []
    values[7] = "a"
    values[3] = "b"
    assert values.tenants.tolist() == [3, 7]
    values[7] = "c"
    assert values.tenants.tolist() == [3, 7]
    del values[3]
    assert values.tenants.tolist() == [7]
    assert changed == {3, 7}
    values.load({5: "d", 4: "e"})
    assert values.tenants.tolist() == [4, 5]
    assert changed == {3, 7}
