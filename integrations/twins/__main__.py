"""How is one twin run in the foreground?  python -m integrations.twins stripe --port 12111"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import threading
from pathlib import Path

from integrations.twins.server import Twin

SERVICES = {
    "stripe": ("integrations.twins.stripe_twin", "StripeTwin"),
    "zendesk": ("integrations.twins.zendesk_twin", "ZendeskTwin"),
    "github": ("integrations.twins.github_twin", "GitHubTwin"),
}


def build(service: str, port: int) -> Twin:
    module, name = SERVICES[service]
    twin = getattr(importlib.import_module(module), name)(port=port)
    if not isinstance(twin, Twin):
        raise TypeError(f"{module}.{name} is not a Twin")
    return twin


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m integrations.twins")
    parser.add_argument("service", choices=sorted(SERVICES))
    parser.add_argument("--port", type=int, default=0, help="0 picks a free port")
    parser.add_argument("--seed", type=Path, help="a JSON file for the twin's seed")
    chosen = parser.parse_args(arguments)
    with build(chosen.service, chosen.port) as twin:
        if chosen.seed:
            twin.seed(json.loads(chosen.seed.read_text(encoding="utf-8")))
        sys.stdout.write(twin.url + "\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
