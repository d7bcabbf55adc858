"""The report: one self-contained HTML page of a replay's output directory (`monitor.report.page.make`)."""
