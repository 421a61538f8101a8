"""How a receiver is told of alerts: webhook, program, mail; tried again, in bounded time. alerting.py calls it."""

from __future__ import annotations

import asyncio
import json
import logging
import smtplib
import ssl
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from gslb.config.schema_alerts import EmailSection, ReceiverSection
from gslb.model import ScalingDriver
from gslb.node.drivers import DriverFailed, call

QUEUE_MAX = 100  # notifications that wait; of more the oldest are dropped
PAUSES_S = (1.0, 5.0)  # before the second and the third try

log = logging.getLogger("gslb.alerts")


class Receiver:
    """One receiver: its queue, and how it went."""

    def __init__(
        self, name: str, said: ReceiverSection, folder: Path, arrived: Callable[[Mapping[str, Any]], None]
    ) -> None:
        """`arrived` hears of every message that the receiver took."""
        self.name, self.said, self._arrived = name, said, arrived
        self.told = self.failed = self.dropped = 0
        self.problem = ""
        self._folder = folder
        self._queue: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue(QUEUE_MAX)

    def take(self, message: Mapping[str, Any]) -> None:
        """Queues a notification; never waits."""
        if self._queue.full():
            self._queue.get_nowait()
            self.dropped += 1
        self._queue.put_nowait(message)

    async def run(self) -> None:
        """Tells what is queued, one after another, until it is cancelled."""
        while True:
            message = await self._queue.get()
            for pause_s in (*PAUSES_S, None):
                try:
                    await self._tell(message)
                except DriverFailed as error:
                    self.problem = str(error)
                    if pause_s is not None:
                        await asyncio.sleep(pause_s)
                        continue
                    self.failed += 1
                    log.error("receiver %s could not be told of %s", self.name, message["subject"],
                              extra={"why": self.problem})  # fmt: skip
                else:
                    self.told, self.problem = self.told + 1, ""
                    self._arrived(message)
                break

    async def _tell(self, message: Mapping[str, Any]) -> None:
        said = self.said
        if said.email is not None:
            try:
                async with asyncio.timeout(said.timeout):
                    await asyncio.to_thread(_mail, said.email, message, said.timeout)
            except TimeoutError:
                raise DriverFailed(f"not done within {said.timeout:g} s") from None
            except (smtplib.SMTPException, OSError) as error:
                text = " ".join(str(error).split())[:200] or type(error).__name__
                raise DriverFailed(f"mail by {said.email.server}: {text}") from error
            return
        driver = ScalingDriver(said.webhook or "", said.token or "", said.exec or (), said.timeout)
        await call(driver, message, self._folder, wants_answer=False)

    def describe(self) -> dict[str, Any]:
        """For people."""
        return {
            "told": self.told, "failed": self.failed, "dropped": self.dropped,
            "waiting": self._queue.qsize(), "problem": self.problem,
        }  # fmt: skip


def _mail(said: EmailSection, message: Mapping[str, Any], timeout_s: float) -> None:
    """Sends one mail; in a thread. Raises smtplib.SMTPException or OSError."""
    mail = EmailMessage()
    mail["Subject"] = f"[gslb {message['cluster']}] {message['subject']}"
    mail["From"], mail["To"] = said.sender, ", ".join(said.to)
    lines = [f"{one['status']} ({one['severity']}): {one['text']}" for one in message["alerts"]]
    mail.set_content("\n".join((*lines, "", f"said by {message['node']}", json.dumps(message, indent=1))))
    host, _, port = said.server.rpartition(":")
    host = host.strip("[]")
    if said.tls == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            host, int(port), timeout=timeout_s, context=ssl.create_default_context()
        )
    else:
        server = smtplib.SMTP(host, int(port), timeout=timeout_s)
    with server:
        if said.tls == "starttls":
            server.starttls(context=ssl.create_default_context())
        if said.user is not None:
            server.login(said.user, said.password or "")
        server.send_message(mail)
