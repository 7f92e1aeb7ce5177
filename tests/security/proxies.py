"""Reverse proxies as operators put them in front of the gateway, from the distribution's packages.

Nothing is installed here. `.ci/run` installs both where it can and then says SWITCHGEAR_PROXIES=required, so that none is left
out; elsewhere the tests take those that are found, and the head of the report says which.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from socket import create_connection

from support.ports import free_port
from support.process import Child

HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 3s
  timeout server 3s
frontend front
  bind 127.0.0.1:{port}
  http-request deny if {{ path_beg /metrics /admin /health/detailed }}
  default_backend back
backend back
  http-reuse always
  server gateway 127.0.0.1:{gateway}
"""
NGINX = """
daemon off;
master_process off;
pid {place}/nginx.pid;
error_log {place}/error.log;
events {{ worker_connections 128; }}
http {{
  access_log off;
  client_body_temp_path {place}/body;
  proxy_temp_path {place}/proxy;
  fastcgi_temp_path {place}/fastcgi;
  uwsgi_temp_path {place}/uwsgi;
  scgi_temp_path {place}/scgi;
  client_header_timeout 3s;
  client_body_timeout 3s;
  upstream back {{ server 127.0.0.1:{gateway}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port};
    location = /metrics {{ return 403; }}
    location /admin {{ return 403; }}
    location = /health/detailed {{ return 403; }}
    location / {{ proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""
_SYSTEM = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
_COMMANDS = {"haproxy": ("-f",), "nginx": ("-c",)}


def found() -> list[str]:
    """Return the proxies there are."""
    return [name for name in _COMMANDS if shutil.which(name, path=_SYSTEM) is not None]


def wanted() -> list[str]:
    """Return the proxies to test behind: all of them where that is required."""
    return list(_COMMANDS) if os.environ.get("SWITCHGEAR_PROXIES") == "required" else found()


@asynccontextmanager
async def behind(name: str, place: Path, gateway: int) -> AsyncIterator[int]:
    """Put a proxy in front of the gateway at a port; return its own. `alone` is none."""
    if name == "alone":
        yield gateway
        return
    binary = shutil.which(name, path=_SYSTEM)
    assert binary is not None, f"{name} is required here (SWITCHGEAR_PROXIES): apt-get install haproxy nginx-light"
    port = free_port()
    file = place / f"{name}.conf"
    file.write_text({"haproxy": HAPROXY, "nginx": NGINX}[name].format(port=port, gateway=gateway, place=place))
    with Child([binary, *_COMMANDS[name], str(file)]) as child:
        await asyncio.to_thread(child.until, lambda: _listens(port), 20, "it listens")
        yield port


def _listens(port: int) -> bool:
    try:
        with closing(create_connection(("127.0.0.1", port), timeout=1)):
            return True
    except OSError:
        return False
