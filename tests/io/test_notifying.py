"""Receivers of alerts: a real web server, a real mail server, a real program; and what happens when one is down."""

import asyncio
import json
import ssl
from types import SimpleNamespace

import pytest
from aiohttp import web
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from gslb.config.schema_alerts import EmailSection, ReceiverSection
from gslb.node import notifying
from gslb.node.notifying import QUEUE_MAX, Receiver
from tests.support.certificates import Authority
from tests.support.proxying import until
from tests.support.sandbox import free_port

MESSAGE = {
    "version": 1, "cluster": "example", "node": "edge-1", "subject": "firing: region_lost eu-west",
    "alerts": [{"status": "firing", "severity": "critical", "text": "region eu-west is down: 2 of 3"}],
}  # fmt: skip


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Runs a receiver until it has nothing left; the pauses between tries are short."""
    monkeypatch.setattr(notifying, "PAUSES_S", (0.05, 0.05))

    async def run(said, *messages):
        receiver = Receiver("ops", said, tmp_path, lambda _: None)
        task = asyncio.create_task(receiver.run())
        for message in messages or (MESSAGE,):
            receiver.take(message)
        await until(lambda: receiver.told + receiver.failed >= len(messages or (1,)), 10)
        task.cancel()
        return receiver

    return run


# ---------------------------------------------------------------- webhook
@pytest.fixture
async def hook():
    """A web server that keeps what it is sent and answers with the statuses given, then 200."""
    seen, statuses = [], []

    async def take(request):
        seen.append((dict(request.headers), await request.json()))
        return web.Response(status=statuses.pop(0) if statuses else 200, text="thanks, and this is no JSON")

    app = web.Application()
    app.router.add_post("/alerts", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    yield SimpleNamespace(url=f"http://127.0.0.1:{port}/alerts", seen=seen, statuses=statuses)
    await runner.cleanup()


async def test_a_webhook_gets_the_message_with_its_token(hook, told):
    receiver = await told(ReceiverSection(webhook=hook.url).model_copy(update={"token": "s3cret"}))
    ((headers, body),) = hook.seen
    assert body == MESSAGE
    assert headers["Authorization"] == "Bearer s3cret"
    assert receiver.describe() == {"told": 1, "failed": 0, "dropped": 0, "waiting": 0, "problem": ""}


async def test_what_fails_is_tried_again(hook, told):
    hook.statuses += [500, 503]
    receiver = await told(ReceiverSection(webhook=hook.url))
    assert (len(hook.seen), receiver.told, receiver.problem) == (3, 1, "")


async def test_what_fails_three_times_is_told_and_the_next_goes_on(hook, told):
    hook.statuses += [500, 500, 500]
    receiver = await told(ReceiverSection(webhook=hook.url), MESSAGE, {**MESSAGE, "subject": "next"})
    assert (receiver.told, receiver.failed) == (1, 1)
    assert hook.seen[-1][1]["subject"] == "next"


async def test_nobody_there_is_told(told):
    receiver = await told(ReceiverSection(webhook="http://127.0.0.1:1/"))
    assert receiver.failed == 1
    assert "can't reach it" in receiver.problem


def test_of_too_many_the_oldest_are_dropped(tmp_path):
    receiver = Receiver("ops", ReceiverSection(webhook="http://127.0.0.1:1/"), tmp_path, lambda _: None)
    for _ in range(QUEUE_MAX + 7):
        receiver.take(MESSAGE)
    assert (receiver.describe()["waiting"], receiver.dropped) == (QUEUE_MAX, 7)


# ---------------------------------------------------------------- a program
async def test_a_program_gets_the_message_on_its_standard_input(told, tmp_path):
    receiver = await told(ReceiverSection(exec=("/bin/sh", "-c", f"cat > {tmp_path}/said")))
    assert receiver.told == 1
    assert json.loads((tmp_path / "said").read_text()) == MESSAGE


async def test_a_program_that_fails_is_told(told):
    receiver = await told(ReceiverSection(exec=("/bin/sh", "-c", "echo no pager >&2; exit 3")))
    assert receiver.failed == 1
    assert "ended with 3 no pager" in receiver.problem


# ---------------------------------------------------------------- mail
class Box:
    """A mail server's handler that keeps what comes."""

    def __init__(self):
        self.mails = []

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd's name
        if address.startswith("nobody"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.content.decode(), session.authenticated))
        return "250 OK"


@pytest.fixture
def mail(tmp_path, monkeypatch):
    """A real SMTP server with STARTTLS and a login, whose authority this process believes."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    issued = authority.issue("localhost", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    box = Box()
    right = LoginPassword(b"gslb", b"pass word")

    def login(server, session, envelope, mechanism, data):
        return AuthResult(success=data == right)

    port = free_port()
    server = Controller(
        box, hostname="127.0.0.1", port=port, tls_context=context, require_starttls=True, authenticator=login,
        auth_required=True,
    )  # fmt: skip
    server.start()
    yield SimpleNamespace(port=port, mails=box.mails)
    server.stop()


def by_mail(port, **more):
    said = {"server": f"localhost:{port}", "sender": "gslb@example.com", "to": ("a@example.com", "b@example.com")}
    section = EmailSection(**(said | {"user": "gslb"} | more)).model_copy(update={"password": "pass word"})
    return ReceiverSection(email=section, timeout="5s")


async def test_mail_is_sent_over_starttls_by_who_has_logged_in(mail, told):
    receiver = await told(by_mail(mail.port))
    assert receiver.problem == ""
    ((sender, to, text, authenticated),) = mail.mails
    assert (sender, to, authenticated) == ("gslb@example.com", ["a@example.com", "b@example.com"], True)
    assert "Subject: [gslb example] firing: region_lost eu-west" in text
    assert "firing (critical): region eu-west is down: 2 of 3" in text


async def test_a_mail_server_that_refuses_is_told(mail, told):
    receiver = await told(by_mail(mail.port, to=("nobody@example.com",)))
    assert receiver.failed == 1
    assert "no such mailbox" in receiver.problem
    assert "pass word" not in receiver.problem
    assert mail.mails == []


async def test_a_mail_server_without_tls_is_told_nothing_unless_that_is_meant(mail, told):
    receiver = await told(by_mail(mail.port, tls="none", user=None))
    assert receiver.failed == 1
    assert "STARTTLS" in receiver.problem
