"""The panels of both dashboards: title and description in Chinese and English, queries, size."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    table,
    text,
    timeseries,
)
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as dashboard_models
from grafana_foundation_sdk.models import text as text_models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = common_models.DataSourceRef(type_val="prometheus", uid="${datasource}")
NEAR, OVER = 0.8, 1.0


class Words(NamedTuple):
    """A text in Chinese and English."""

    zh: str
    en: str

    def __str__(self) -> str:
        return f"{self.zh} · {self.en}"


class Query(NamedTuple):
    """A PromQL expression, and the legend of its series."""

    expr: str
    legend: str = ""


def _query(query: Query, ref: str, *, instant: bool, form: PromQueryFormat) -> prometheus.Dataquery:
    asked = prometheus.Dataquery().datasource(SOURCE).expr(query.expr).ref_id(ref).format(form)
    if query.legend:
        asked = asked.legend_format(query.legend)
    return asked.instant() if instant else asked.range()


def _panel(
    panel: Any,
    title: Words,
    about: Words,
    queries: Sequence[Query],
    size: tuple[int, int],
    *,
    unit: str,
    instant: bool,
    form: PromQueryFormat = PromQueryFormat.TIME_SERIES,
) -> Any:
    width, height = size
    panel = panel.title(str(title)).description(f"{about.zh} {about.en}").datasource(SOURCE)
    panel = panel.span(width).height(height).unit(unit)
    for number, query in enumerate(queries):
        panel = panel.with_target(_query(query, chr(ord("A") + number), instant=instant, form=form))
    return panel


def _levels(*steps: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    levels = [dashboard_models.Threshold(value=value, color=colour) for value, colour in steps]
    return dashboard.ThresholdsConfig().mode(dashboard_models.ThresholdsMode.ABSOLUTE).steps(levels)


NEARNESS = ((None, "green"), (NEAR, "orange"), (OVER, "red"))
NONE_IS_WELL = ((None, "green"), (1.0, "red"))
ONE_IS_WELL = ((None, "red"), (1.0, "green"))


def lines(
    title: Words,
    about: Words,
    queries: Sequence[Query],
    size: tuple[int, int] = (12, 8),
    unit: str = "short",
    units: Sequence[tuple[str, str]] = (),
) -> Any:
    """How something went. ``units``: of series whose name matches an expression, each unit with an axis of its own."""
    legend = common.VizLegendOptions().show_legend(True).placement(common_models.LegendPlacement.BOTTOM)
    legend = legend.display_mode(common_models.LegendDisplayMode.LIST).calcs([])
    drawn = timeseries.Panel().legend(legend).fill_opacity(8).show_points(common_models.VisibilityMode.NEVER)
    for names, of_these in units:
        drawn = drawn.override_by_regexp(names, [dashboard_models.DynamicConfigValue(id_val="unit", value=of_these)])
    return _panel(drawn, title, about, queries, size, unit=unit, instant=False)


def nearness_lines(title: Words, about: Words, queries: Sequence[Query], size: tuple[int, int] = (12, 8)) -> Any:
    """How shares of the way went, with the limit drawn."""
    style = common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.LINE)
    drawn = lines(title, about, queries, size, unit="percentunit")
    return drawn.thresholds(_levels(*NEARNESS)).thresholds_style(style).min(0)


def number(
    title: Words,
    about: Words,
    query: Query,
    size: tuple[int, int] = (4, 4),
    unit: str = "short",
    steps: Sequence[tuple[float | None, str]] = ((None, "blue"),),
) -> Any:
    """One number, as it is now, or one for each series."""
    drawn = stat.Panel().graph_mode(common_models.BigValueGraphMode.NONE).thresholds(_levels(*steps))
    return _panel(drawn, title, about, [query], size, unit=unit, instant=True)


def bars(
    title: Words,
    about: Words,
    query: Query,
    size: tuple[int, int] = (12, 8),
    unit: str = "short",
    steps: Sequence[tuple[float | None, str]] = ((None, "blue"),),
) -> Any:
    """A bar for each series, as it is now."""
    drawn = bargauge.Panel().orientation(common_models.VizOrientation.HORIZONTAL).thresholds(_levels(*steps)).min(0)
    return _panel(drawn, title, about, [query], size, unit=unit, instant=True)


def spread(title: Words, about: Words, query: Query, size: tuple[int, int] = (12, 8)) -> Any:
    """How a histogram went, its buckets above one another."""
    return _panel(
        heatmap.Panel().calculate(False),
        title,
        about,
        [query],
        size,
        unit="percentunit",
        instant=False,
        form=PromQueryFormat.HEATMAP,
    )


def rows(
    title: Words,
    about: Words,
    queries: Sequence[Query],
    size: tuple[int, int] = (12, 10),
    unit: str = "short",
    transformations: Sequence[tuple[str, dict[str, Any]]] = (),
    links: Sequence[tuple[Words, str]] = (),
    units: Sequence[tuple[str, str]] = (),
) -> Any:
    """A table, as it is now. ``units``: of columns, where they are not ``unit``."""
    drawn = table.Panel().data_links([dashboard.DashboardLink(str(name)).url(url) for name, url in links])
    for column, of_these in units:
        drawn = drawn.override_by_name(column, [dashboard_models.DynamicConfigValue(id_val="unit", value=of_these)])
    for kind, options in (("merge", {}), *transformations):
        drawn = drawn.with_transformation(dashboard_models.DataTransformerConfig(id_val=kind, options=options))
    return _panel(drawn, title, about, queries, size, unit=unit, instant=True, form=PromQueryFormat.TABLE)


def words(title: Words, content: str, size: tuple[int, int] = (24, 4)) -> Any:
    """Text."""
    width, height = size
    drawn = text.Panel().title(str(title)).content(content).mode(text_models.TextMode.MARKDOWN)
    return drawn.span(width).height(height)


def by_name(*names: tuple[str, str]) -> tuple[str, dict[str, Any]]:
    """Columns in this order under these names; time is left out."""
    return "organize", {
        "excludeByName": {"Time": True},
        "indexByName": {name: place for place, (name, _) in enumerate(names)},
        "renameByName": dict(names),
    }


def largest_first(column: str) -> tuple[str, dict[str, Any]]:
    """Rows by this column."""
    return "sortBy", {"fields": {}, "sort": [{"field": column, "desc": True}]}


def smallest_first(column: str) -> tuple[str, dict[str, Any]]:
    """Rows by this column."""
    return "sortBy", {"fields": {}, "sort": [{"field": column, "desc": False}]}


def source_variable() -> dashboard.DatasourceVariable:
    """Which Prometheus."""
    return dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")


def label_variable(name: str, label: Words, metric: str, *, several: bool) -> dashboard.QueryVariable:
    """A label's values among the series of a metric."""
    variable = dashboard.QueryVariable(name).label(str(label)).datasource(SOURCE)
    variable = variable.query({"query": f"label_values({metric}, {name})", "refId": "variable", "qryType": 1})
    variable = variable.refresh(dashboard_models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    variable = variable.sort(dashboard_models.VariableSort.ALPHABETICAL_ASC).multi(several).include_all(several)
    if not several:
        return variable
    everything = dashboard_models.VariableOption(text="All", value="$__all", selected=True)
    return variable.all_value(".*").current(everything)
