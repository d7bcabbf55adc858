"""Writes the dashboards' JSON, which provisions Grafana: `make metrics`, or `dashboards.py [FOLDER]`."""

import json
import sys
from pathlib import Path
from types import ModuleType

import ops
import tenant
from grafana_foundation_sdk.builders.dashboard import Dashboard, Row
from grafana_foundation_sdk.cog.encoder import JSONEncoder

HERE = Path(__file__).parent


def dashboard(view: ModuleType) -> str:
    """A view as JSON."""
    built = Dashboard(str(view.TITLE)).uid(view.UID).description(f"{view.ABOUT.zh} {view.ABOUT.en}")
    built = built.tags(["callwarden"]).timezone("browser").time("now-24h", "now").refresh("1m").editable()
    for variable in view.variables():
        built = built.with_variable(variable)
    number = 0
    for title, panels in view.sections():
        number += 1
        built = built.with_row(Row(str(title)).id(number))
        for panel in panels:
            number += 1
            built = built.with_panel(panel.id(number))
    return json.dumps(built.build(), cls=JSONEncoder, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def main() -> None:
    """Write both dashboards."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "dashboards"
    folder.mkdir(parents=True, exist_ok=True)
    for view in (ops, tenant):
        path = folder / f"{view.UID}.json"
        path.write_text(dashboard(view), "utf-8")
        print(path)


if __name__ == "__main__":
    main()
