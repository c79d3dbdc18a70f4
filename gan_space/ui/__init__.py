"""The web app: `build_app(pipe)` and how to launch it."""

from __future__ import annotations

import os

# Read by gradio when it is imported: nothing about a visit leaves the machine.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# Nor is anything counted: gradio would keep a record of each job with its visitor, and sum them up after every one.
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**12))
