"""The results of a frozen evaluation as JSON."""
from __future__ import annotations

import json
import math
from typing import Any


def without_nan(value: Any) -> Any:
    """Return nested dicts and lists with None in place of nan and inf, which JSON has not."""
    if isinstance(value, dict):
        return {key: without_nan(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_json(report: dict) -> str:
    """Return a report as one line of JSON, with null for what could not be measured."""
    return json.dumps(without_nan(report), allow_nan=False)
