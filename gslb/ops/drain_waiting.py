"""`gslb drain --wait`: counts down until nobody is left at the region's nodes that drain. Only its command calls it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape

from gslb.ops import client, show
from gslb.ops.commands import FINE, NOT_SO

LOOK_S = 0.5
_console = Console(highlight=False, soft_wrap=True, stderr=True)  # what is printed for programs stays alone


def wait(urls: Mapping[str, str], most_s: float) -> int:
    """0 once every node here that drains is done, 1 if that takes longer than `most_s` or none of them drains."""
    deadline = time.monotonic() + most_s
    with _console.status("") as shown:
        while True:
            left = {name: said for name, url in urls.items() if (said := _drain(url)) is not None}
            if not left:
                _console.print("no region's node here drains: there is nothing to wait for")
                return NOT_SO
            text = "\n".join(f"{escape(name)}: {show.drained(said)}" for name, said in left.items())
            if all(said["done"] for said in left.values()):
                _console.print(text)
                return FINE
            if time.monotonic() >= deadline:
                _console.print(f"{text}\n[red]not done after {most_s:.0f} s[/]")
                return NOT_SO
            shown.update(text)
            time.sleep(LOOK_S)


def _drain(url: str) -> Any:
    try:
        return client.ask(url, "/status").get("drain")
    except (client.NodeSilent, client.NodeRefused):
        return None
