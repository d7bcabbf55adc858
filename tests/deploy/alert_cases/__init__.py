"""When each alert on Callwarden's own health fires, and when it does not; a module for each chapter of the runbook."""

from alert_cases import availability, consumers, progress, results
from alert_cases.case import Cases, Fires, Quiet

__all__ = ["CASES", "Cases", "Fires", "Quiet"]

CASES = availability.CASES | progress.CASES | results.CASES | consumers.CASES
