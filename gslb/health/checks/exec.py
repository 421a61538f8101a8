"""exec: a server is up if a program says so by its exit status. No shell has a part in it."""

from __future__ import annotations

from dataclasses import dataclass

from gslb.health.check import CHECKS, Asked, Command, Reply, Result

WORDS_MAX = 32
WORD_MAX = 1024
LINE_MAX = 120


@CHECKS.register("exec")
@dataclass(frozen=True, slots=True)
class ExecCheck:
    """Runs a program; 0 is up. It gets GSLB_HOST and GSLB_PORT (the server's), PATH, and nothing else.

    Attributes:
        command: the program, by its absolute path, and its arguments.
    """

    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError for what can't be run."""
        if not self.command or not self.command[0].startswith("/"):
            raise ValueError("command names no program: write it as [/usr/local/bin/check, argument]")
        if len(self.command) > WORDS_MAX or max(map(len, self.command)) > WORD_MAX:
            raise ValueError(f"command has more than {WORDS_MAX} words, or one of over {WORD_MAX} characters")
        if any("\0" in word for word in self.command):
            raise ValueError("command has a word with a NUL in it")

    def request(self) -> Asked:
        """See Check."""
        return Command(self.command)

    def judge(self, reply: Reply) -> Result:
        """See Check. The first line of what the program said is told."""
        lines = reply.body.decode("utf-8", "replace").split("\n")
        said = "".join(each if each.isprintable() else "?" for each in lines[0].strip()[:LINE_MAX])
        tail = f": {said}" if said else ""
        if reply.status:
            return Result(False, f"exit status {reply.status}{tail}")
        return Result(True, f"exit status 0{tail}")
