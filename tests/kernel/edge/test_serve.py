"""Where the server listens, and what it says when it cannot."""

import asyncio
import resource
import signal
import socket

import pytest

from support.edge import until
from switchgear.edge.limits import EdgeLimits
from switchgear.edge.server import serve
from switchgear.errors import BootError

REQUEST = b"GET / HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n"


async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def served(port, host="127.0.0.1"):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(REQUEST)
    answer = await reader.read()
    writer.close()
    return answer.endswith(b"hello")


def start(tasks, *, host="127.0.0.1", port=0, sockets=None):
    ports, stop = [], asyncio.Event()
    task = tasks.create_task(
        serve(
            hello,
            host=host,
            port=port,
            sockets=sockets,
            limits=EdgeLimits(),
            grace=0,
            on_drain=lambda: None,
            abort_streams=lambda: None,
            ready=ports.append,
            stop=stop,
        )
    )
    return task, ports, stop


async def test_port_0_takes_a_free_port_and_says_which():
    async with asyncio.TaskGroup() as tasks:
        _, ports, stop = start(tasks)
        await until(lambda: ports)
        assert await served(ports[0])
        stop.set()


async def test_a_name_with_two_addresses_is_served_on_both_at_one_port():
    found = {info[4][0] for info in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    async with asyncio.TaskGroup() as tasks:
        _, ports, stop = start(tasks, host="localhost")
        await until(lambda: ports)
        assert [True] * len(found) == [await served(ports[0], host) for host in found]
        stop.set()


async def test_sockets_of_the_caller_are_served():
    listener = socket.create_server(("127.0.0.1", 0))
    async with asyncio.TaskGroup() as tasks:
        _, ports, stop = start(tasks, sockets=[listener])
        await until(lambda: ports)
        assert [listener.getsockname()[1]] == ports
        assert await served(ports[0])
        stop.set()


async def test_the_listener_is_gone_after_the_end_and_signals_are_as_before():
    before = signal.getsignal(signal.SIGTERM)
    async with asyncio.TaskGroup() as tasks:
        _, ports, stop = start(tasks)
        await until(lambda: ports)
        assert before != signal.getsignal(signal.SIGTERM)
        stop.set()
    assert before == signal.getsignal(signal.SIGTERM)
    with pytest.raises(ConnectionRefusedError):
        await served(ports[0])


async def test_a_cancelled_server_lets_go_of_everything():
    before = signal.getsignal(signal.SIGTERM)
    async with asyncio.TaskGroup() as tasks:
        task, ports, _ = start(tasks)
        await until(lambda: ports)
        reader, writer = await asyncio.open_connection("127.0.0.1", ports[0])
        writer.write(REQUEST.replace(b"Connection: close\r\n", b""))
        await reader.readuntil(b"hello")
        task.cancel()
        await until(task.done)
        assert b"" == await reader.read()
        writer.close()
    assert before == signal.getsignal(signal.SIGTERM)
    with pytest.raises(ConnectionRefusedError):
        await served(ports[0])


@pytest.mark.parametrize(
    ("host", "flag"), [("127.0.0.1", "--port"), ("203.0.113.9", "--host"), ("no-such-host.invalid", "--host")]
)
async def test_an_address_that_cannot_be_bound_names_the_flag_to_change(host, flag):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(BootError, match=flag):
        await serve(
            hello,
            host=host,
            port=taken.getsockname()[1],
            limits=EdgeLimits(),
            grace=0,
            on_drain=lambda: None,
            abort_streams=lambda: None,
            ready=lambda _: None,
        )


async def test_as_many_files_may_be_open_as_the_system_allows():
    async with asyncio.TaskGroup() as tasks:
        _, ports, stop = start(tasks)
        await until(lambda: ports)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert soft == hard
        stop.set()


async def test_accepted_connections_do_not_wait_to_fill_packets_and_hold_little_unsent():
    options = []

    async def app(scope, receive, send):
        sock = send.__self__.connection.transport.get_extra_info("socket")
        options.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        options.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT))
        await hello(scope, receive, send)

    async with asyncio.TaskGroup() as tasks:
        ports, stop = [], asyncio.Event()
        tasks.create_task(
            serve(
                app,
                host="127.0.0.1",
                port=0,
                limits=EdgeLimits(),
                grace=0,
                on_drain=lambda: None,
                abort_streams=lambda: None,
                ready=ports.append,
                stop=stop,
            )
        )
        await until(lambda: ports)
        assert await served(ports[0])
        stop.set()
    assert [1, 128 * 1024] == options
