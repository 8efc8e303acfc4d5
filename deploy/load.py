"""How a hub bears a class: so many students log in at once, and each runs a lesson in a kernel of their own.

    COURSE_PASSWORD=… python deploy/load.py 10 notebooks/00_start_here.ipynb

Only for a hub on this machine (http://127.0.0.1:8000, or --hub). Prints one row of a table.
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import psutil
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

PATIENT = {"connect_timeout": 0, "request_timeout": 0}  # without end: the student's own limit ends it


class Student:
    """A browser's part of the conversation with hub, server and kernel."""

    def __init__(self, hub: str, name: str):
        self.hub, self.name, self.cookies = hub, name, {}

    async def fetch(self, path: str, follow: bool = True, **options):
        headers = {"Cookie": self.cookie(), "X-XSRFToken": self.cookies.get("_xsrf", "")}
        request = HTTPRequest(self.hub + path, headers=headers, follow_redirects=False, **PATIENT, **options)
        answer = await AsyncHTTPClient().fetch(request, raise_error=False)
        for cookie in answer.headers.get_list("Set-Cookie"):
            name, value = cookie.split(";")[0].split("=", 1)
            self.cookies[name] = value
        if follow and answer.code in (302, 303):
            address = urlsplit(answer.headers["Location"])
            return await self.fetch(address.path + (f"?{address.query}" if address.query else ""))
        return answer

    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    async def log_in(self, password: str) -> None:
        await self.fetch("/hub/login")
        form = f"username={self.name}&password={password}&_xsrf={self.cookies['_xsrf']}"
        answer = await self.fetch("/hub/login", follow=False, method="POST", body=form)
        assert answer.code == 302, f"{self.name} cannot log in: {answer.code}"
        while (answer := await self.fetch("/hub/spawn")).code == 429:  # "too many users", and when to come back
            await asyncio.sleep(float(answer.headers.get("Retry-After", 5)))
        while b'"kernels"' not in (await self.fetch(f"/user/{self.name}/api/status")).body:
            await asyncio.sleep(1)
            await self.fetch(f"/user/{self.name}/lab")  # once the server is there, this lets the student in

    async def run(self, cells: list[str]) -> None:
        api = f"/user/{self.name}/api/kernels"
        answer = await self.fetch(api, method="POST", body=json.dumps({"name": "python3"}))
        kernel = json.loads(answer.body)["id"]
        address = f"ws{self.hub.removeprefix('http')}{api}/{kernel}/channels"
        socket = await websocket_connect(HTTPRequest(address, headers={"Cookie": self.cookie()}, **PATIENT))
        for cell in cells:
            await self.run_cell(socket, cell)
        await self.fetch(f"{api}/{kernel}", method="DELETE")

    async def run_cell(self, socket, code: str) -> None:
        name = uuid.uuid4().hex
        header = {"msg_id": name, "msg_type": "execute_request", "session": name, "username": "", "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        await socket.write_message(json.dumps(message))
        while text := await socket.read_message():
            reply = json.loads(text) if isinstance(text, str) else {}
            if reply.get("msg_type") == "execute_reply" and reply["parent_header"].get("msg_id") == name:
                assert reply["content"]["status"] == "ok", f"{self.name}: {reply['content'].get('evalue')}"
                return
        raise AssertionError(f"{self.name}: the kernel is gone")


def memory() -> float:
    """GB in use on this machine, as what is no longer available."""
    state = psutil.virtual_memory()
    return (state.total - state.available) / 1e9


async def watch(peaks: list[float]) -> None:
    while True:
        peaks.append(memory())
        await asyncio.sleep(0.5)


async def measure(options: argparse.Namespace) -> str:
    AsyncHTTPClient.configure(None, max_clients=200)
    cells = [cell.source for cell in nbformat.read(options.lesson, as_version=4).cells if cell.cell_type == "code"]
    students = [Student(options.hub, f"{options.prefix}{number:02}") for number in range(options.students)]
    before, peaks, failures = memory(), [], []
    watcher = asyncio.create_task(watch(peaks))

    async def timed(work):
        start = time.monotonic()
        try:
            await asyncio.wait_for(work, options.limit)
        except (AssertionError, TimeoutError, OSError) as error:
            failures.append(repr(error))
        return time.monotonic() - start

    logins = await asyncio.gather(*(timed(student.log_in(os.environ["COURSE_PASSWORD"])) for student in students))
    idle = memory()
    runs = await asyncio.gather(*(timed(student.run(cells)) for student in students))
    watcher.cancel()
    each = [(idle - before) / len(students), (max(peaks) - before) / len(students)]
    for failure in failures:
        print(failure)
    return (
        f"| {len(students)} | {max(logins):.0f} | {statistics.median(runs):.0f} | {max(runs):.0f} "
        f"| {each[0]:.2f} | {each[1]:.2f} | {max(peaks) - before:.1f} | {len(failures)} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("students", type=int)
    parser.add_argument("lesson", type=Path)
    parser.add_argument("--hub", default="http://127.0.0.1:8000")
    parser.add_argument("--limit", type=float, default=900, help="seconds; then a student gives up")
    parser.add_argument("--prefix", default="student", help="of the names; new ones start without a server")
    options = parser.parse_args()
    if not re.match(r"http://(127\.0\.0\.1|localhost)(:|$)", options.hub):
        parser.error("--hub must be on this machine: a load test of another one is an attack on it.")
    columns = (
        "students, last logged in after s, lesson takes s, the last s, GB each before it, in it, GB of all, failed"
    )
    print(f"| {columns.replace(', ', ' | ')} |\n{'|---' * 8}|")
    print(asyncio.run(measure(options)))


if __name__ == "__main__":
    main()
