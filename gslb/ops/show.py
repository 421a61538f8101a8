"""Shows what nodes say on a terminal, with rich. Rendering only: everything here takes the JSON of the admin API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

COLOURS = {
    "up": "green", "unknown": "yellow", "draining": "cyan", "down": "red", "inactive": "cyan", "unused": "yellow",
    "open": "red", "ejected": "red", "half_open": "yellow", "panic": "red",
}  # fmt: skip
_console = Console(highlight=False, soft_wrap=True)
_piped = Console(highlight=False, soft_wrap=True, width=200)  # for wide tables that no terminal folds


def state(text: str) -> str:
    """A state in its colour."""
    return f"[{COLOURS.get(text, 'white')}]{escape(text)}[/]"


def table(*columns: str) -> Table:
    """A plain table with these headings."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column)
    return made


def checked(summary: Mapping[str, Any]) -> None:
    """`gslb check` found nothing wrong."""
    counts = ", ".join(f"{key}: {', '.join(summary[key]) or 'none'}" for key in ("zones", "services", "regions"))
    _console.print(f"[green]fine[/]: cluster {escape(summary['cluster'])}; {escape(counts)}")


def explained(answer: Mapping[str, Any]) -> None:
    """`gslb explain`."""
    if answer["offline"]:
        _console.print("[yellow]offline: health unknown[/] (no node answers; this is what the files say)")
    place = answer["location"]
    where = "not in the GeoIP database"
    if place:
        parts = [place["country"], place["subdivision"], place["continent"]]
        where = f"{'/'.join(part for part in parts if part)} at {place['latitude']:.2f}, {place['longitude']:.2f}"
    _console.print(f"[bold]{escape(answer['name'])}[/] for {answer['client']}: {where}")
    _console.print()
    rows = table("region", "distance", "health", "evidence", "", "why")
    for region in answer["regions"]:
        distance = f"{region['distance_km']:,} km" if region["distance_km"] is not None else "?"
        why = "; ".join(f"{note['stage']}: {note['why']}" for note in region["notes"])
        chosen = "[green]in[/]" if region["in"] else "out"
        rows.add_row(
            region["name"], distance, state(region["state"]), escape(evidence(region)), chosen, escape(why)
        )
    _console.print(rows)
    _console.print()
    for kind, one in answer["answers"].items():
        what = one.get("addresses", one.get("url"))
        text = ", ".join(what) if isinstance(what, list) else (what or "")
        tail = f"TTL {one['ttl_s']} s, ECS scope /{one['scope']}" if kind != "front door" else "redirect"
        _console.print(f"{kind:<10} {escape(text) or 'nothing'}  ({one['outcome']}; {tail})")


def evidence(region: Mapping[str, Any]) -> str:
    """The evidence of a region's state in a few words, with its age."""
    found = [region["why"]] if region["why"] else []
    for kind, what in region.get("evidence", {}).items():
        if isinstance(what, Mapping):
            age = f" {what['age_s']:.1f} s ago" if what.get("age_s") is not None else ""
            found.append(f"{kind}: {what.get('says', '')}{age}")
    return "; ".join(found)


def _add_guards(rows: Table, answer: Mapping[str, Any]) -> None:
    """Breakers that aren't closed, ejections, pools in a panic."""
    for server, known in answer.get("breakers", {}).items():
        why = f"{known['why']}; for {known['age_s']:.0f} s"
        rows.add_row(f"  breaker {escape(server)}", state(known["state"]), escape(why))
    for pool, known in answer.get("panic", {}).items():
        if known["panic"]:
            why = f"{known['available']} of {known['total']} servers are available"
            rows.add_row(f"  pool {escape(pool)}", state("panic"), why)


def _add_regions(rows: Table, answer: Mapping[str, Any]) -> None:
    """What is held, who is suspect, services, regions, and what this node says of its own."""
    for region, why in answer.get("held", {}).items():
        rows.add_row(f"  held {escape(region)}", "[red]held[/]", escape(why))
    for observer in answer.get("suspect_observers", []):
        rows.add_row(f"  observer {escape(observer)}", "[yellow]suspect[/]", "sees nothing up while others do")
    for service, known in answer.get("services", {}).items():
        rows.add_row(f"  service {escape(service)}", state(known["state"]), escape(known["why"]))
    for region, known in answer.get("regions", {}).items():
        rows.add_row(f"  region {escape(region)}", state(known["state"]), escape(known["why"]))
    share = answer.get("share", {})
    if share.get("why"):
        why = f"of its clients it can have: {share['why']}"
        rows.add_row("  share", f"[yellow]{share['share']:.0%}[/]", escape(why))


def status(answers: Mapping[str, Any]) -> None:
    """`gslb status`: a block a node."""
    for name, answer in answers.items():
        if "error" in answer:
            _console.print(f"[bold]{escape(name)}[/]: [red]{escape(answer['error'])}[/]")
            continue
        _console.print(
            f"[bold]{escape(answer['node'])}[/] ({answer['role']}), up {answer['uptime_s']:.0f} s, "
            f"plan {answer['plan_generation']}, status {answer['status_generation']}"
            + (" [yellow]stale[/]" if answer.get("stale") else "")
            + (" [red]isolated[/]" if answer.get("isolated") else "")
        )
        rows = table("  what", "state", "why")
        for one in answer.get("alerts", []):
            rows.add_row(f"  alert {escape(one['rule'])}", f"[red]{escape(one['severity'])}[/]", escape(one["text"]))
        if answer.get("drain"):
            rows.add_row("  drain", state("draining"), escape(drained(answer["drain"])))
        for one in answer.get("overrides", []):
            rows.add_row(*map(escape, _override_row(one)))
        _add_regions(rows, answer)
        registry = answer.get("registry", {})
        changed = registry.get("servers", {})
        for server, known in answer.get("servers", {}).items():
            said = _said(changed[server]) if server in changed else ""
            rows.add_row(f"  server {escape(server)}", state(known["state"]), escape(known.get("why", "") + said))
        for server, said in changed.items():
            if server not in answer.get("servers", {}):
                rows.add_row(f"  server {escape(server)}", "not used", escape(_said(said).removeprefix("; ")))
        _add_guards(rows, answer)
        if registry and not registry["ok"]:
            rows.add_row("  registry", "[red]no changes[/]", escape(registry["why"]))
        for file in registry.get("set_aside", []):
            rows.add_row("  registry", "[yellow]made anew[/]", escape(f"a corrupt file is set aside as {file}"))
        for process in answer.get("processes", []):
            text = f"  {process['role']} {process['index']}" if process["role"] == "worker" else f"  {process['role']}"
            rows.add_row(text, "[green]ready[/]" if process["ready"] else "starting", f"pid {process['pid']}")
        for endpoint in answer.get("store", []):
            rows.add_row(f"  store {escape(endpoint['endpoint'])}", state("up" if endpoint["up"] else "down"),
                         escape(_lag(endpoint)))
        _console.print(rows)


def _lag(endpoint: Mapping[str, Any]) -> str:
    """How far behind an endpoint of the shared store is."""
    if endpoint.get("kind") == "memory":
        return "in this process: nothing is shared"
    parts = [endpoint["why"]] if endpoint["why"] else []
    if endpoint["age_s"] is not None:
        parts.append(f"{endpoint['age_s']:.1f} s ago, in {1000 * endpoint['round_trip_s']:.1f} ms")
    parts += [f"{endpoint['failures']} failures"] if endpoint["failures"] else []
    parts += [f"{count} ignored by their {reason}" for reason, count in endpoint["ignored"].items()]
    return f"{endpoint['kind']}: " + "; ".join(parts)


def _said(entry: Mapping[str, Any]) -> str:
    """What is not as the files say, of a server with a row in the registry."""
    parts = ["registered at run time"] if entry["origin"] == "registered" else []
    parts += [f"{word} {one['effective']} (files: {one['declared']})" for word, one in entry["differs"].items()]
    parts += [entry["note"]] if entry["note"] else []
    return "".join(f"; {part}" for part in parts)


def servers(answers: Mapping[str, Any]) -> None:
    """`gslb servers`: a table a region."""
    for name, answer in answers.items():
        if "error" in answer:
            _console.print(f"[bold]{escape(name)}[/]: [red]{escape(answer['error'])}[/]")
            continue
        _console.print(f"[bold]{escape(name)}[/]")
        rows = table("  server", "state", "status", "address", "weight", "limit", "active", "requests", "failed", "")
        for column in rows.columns:
            column.overflow = "fold"  # nothing is cut
        for one in answer["servers"]:
            rows.add_row(*_server(one))
        (_console if _console.is_terminal else _piped).print(rows)


def server(one: Mapping[str, Any]) -> None:
    """One server after a change."""
    if one.get("removed"):
        running = f"; {one['active_connections']} requests are being finished" if one["active_connections"] else ""
        _console.print(f"[green]removed[/] {escape(one['pool'])}/{escape(one['server_id'])}{running}")
        return
    key, _, status, address, weight, *_, notes = _server(one)
    _console.print(f"{key.strip()}: {status}, {address}, weight {weight}" + (f"; {notes}" if notes else ""))


def _server(one: Mapping[str, Any]) -> tuple[str, ...]:
    notes = ["registered"] if one["origin"] == "registered" else []
    notes += [f"{word} {one[word]} (files: {one['declared'][word]})" for word in one["differs"]]
    notes += [one["note"]] if one["note"] else []
    return (
        f"  {escape(one['pool'])}/{escape(one['server_id'])}", state(one["state"]), one["status"],
        escape(f"{one['host']}:{one['port']}" if one["host"] else ""), str(one["weight"]),
        str(one["max_connections"] or ""), str(one["active_connections"]), str(one["total_requests"]),
        str(one["failed_requests"]), escape("; ".join(notes)),
    )  # fmt: skip


def _obeying(answers: Mapping[str, Any], refusal: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The nodes that did as they were told; of the others it says that they don't run here, or why they refuse."""
    for name, answer in answers.items():
        if answer.get("silent"):
            _console.print(f"{escape(name)}: not running here")
        elif "error" in answer:
            _console.print(f"[red]{escape(name)}[/]: {refusal}{escape(answer['error'])}")
        else:
            yield name, answer


def overridden(answers: Mapping[str, Any], words: Mapping[str, Any]) -> None:
    """`gslb drain`, `undrain`, `force`."""
    for name, answer in _obeying(answers):
        held = ", ".join(f"{one['action']} {one['target']}" for one in answer["overrides"]) or "none"
        said = f"{words['action']} {words['target']}; in force: {held}"
        _console.print(f"[green]{escape(name)}[/]: {escape(said)}")


def drained(said: Mapping[str, Any]) -> str:
    """A drain in a line."""
    strays = said["stragglers"]
    parts = [f"{said['clients_left']} clients left, {said['requests_left']} requests under way"]
    if said["dns_ends_in_s"]:
        parts.append(f"resolvers may send clients for another {said['dns_ends_in_s']:.0f} s")
    if strays["proxied"] or strays["redirected"]:
        parts.append(f"{strays['proxied']} requests proxied to other regions, {strays['redirected']} redirected")
    if strays["nowhere"]:
        parts.append(f"{strays['nowhere']} served here, as no other region is up")
    return "; ".join(parts)


def _override_row(one: Mapping[str, Any]) -> tuple[str, str, str]:
    end = f", for another {one['ends_in_s']:.0f} s" if one["ends_in_s"] is not None else ""
    glass = ", past a safety rule" if one["broke_glass"] else ""
    why = f"{one['why']} " if one["why"] else ""
    return f"  override {one['target']}", one["action"], f"{why}({one['author']}, at {one['said_by']}{end}{glass})"


def alerts(answers: Mapping[str, Any]) -> None:
    """`gslb alerts`."""
    for name, answer in answers.items():
        if "error" in answer:
            _console.print(f"[bold]{escape(name)}[/]: {escape(answer['error'])}")
            continue
        _console.print(f"[bold]{escape(name)}[/]" + ("" if answer["alerts"] else ": [green]nothing[/]"))
        rows = table("  alert", "state", "severity", "for", "what")
        for one in answer["alerts"]:
            stage = f"[{'yellow' if one['state'] == 'pending' else 'red'}]{one['state']}[/]"
            lasts = f"{one['for_s']:.0f} s"
            rows.add_row(f"  {escape(one['rule'])}", stage, one["severity"], lasts, escape(one["text"]))
        for one in answer["silences"]:
            why = f"{one['why']} ({one['author']})".strip()
            rows.add_row(f"  {escape(one['rule'])}", "[cyan]silenced[/]", "", f"{one['ends_in_s']:.0f} s", escape(why))
        for receiver, one in answer["receivers"].items():
            how = f"told {one['told']}, failed {one['failed']}, waiting {one['waiting']}; {one['problem']}"
            rows.add_row(f"  to {escape(receiver)}", "", "", "", escape(how.removesuffix("; ")))
        if rows.row_count:
            _console.print(rows)


def silenced(answers: Mapping[str, Any], words: Mapping[str, Any]) -> None:
    """`gslb alerts silence` and `unsilence`."""
    for name, _ in _obeying(answers):
        how = f"silenced for {words['for_s']:.0f} s" if words["for_s"] else "not silenced any more"
        _console.print(f"[green]{escape(name)}[/]: {escape(words['rule'])} is {how}")


def scaling(answers: Mapping[str, Any]) -> None:
    """`gslb scaling`."""
    for name, answer in answers.items():
        if "error" in answer:
            _console.print(f"{escape(name)}: {escape(answer['error'])}")
            continue
        rows = table("pool", "servers", "min-max", "a server, on the average", "leaving", "waits")
        for pool, one in answer["pools"].items():
            means = ", ".join(f"{what} {value:.3g}" for what, value in one["means"].items() if value is not None)
            waits = max(one["held_s"], min(one["up_after_s"], one["down_after_s"]))
            rows.add_row(
                pool, f"{one['active']} of {one['servers']}", f"{one['min']}-{one['max']}", means,
                ", ".join(one["leaving"]), f"{waits:g} s" if waits else "",
            )  # fmt: skip
        _console.print(f"[bold]{escape(name)}[/]" + ("" if answer["pools"] else ": no pool scales"))
        if answer["pools"]:
            _console.print(rows)
        for event in answer["events"]:
            why = f": {event['why']}" if event.get("why") else ""
            line = f"  {event['at']} {event['pool']} {event['action']} {event['count']}{why}; {event['result']}"
            _console.print(escape(f"{line}: {event['outcome']}"))


def restarted(answers: Mapping[str, Any]) -> None:
    """`gslb restart`."""
    for name, answer in _obeying(answers, "not restarted: "):
        _console.print(f"[green]{escape(name)}[/]: {answer['was']} → {answer['version']}, every worker serves")


def reloaded(answers: Mapping[str, Any]) -> None:
    """`gslb reload`."""
    for name, answer in answers.items():
        if answer.get("silent"):
            _console.print(f"{escape(name)}: not running here")
        elif "error" in answer:
            _console.print(f"[red]{escape(name)}[/]: refused; it goes on as it was")
            for problem in answer.get("problems", [{"message": answer["error"]}]):
                _console.print(f"  {escape(str(problem.get('text') or problem.get('message')))}")
        else:
            _console.print(f"[green]{escape(name)}[/]: plan {answer.get('plan_generation')}")
            for note in answer.get("needs_restart", []):
                _console.print(f"  needs a restart: {escape(note)}")
