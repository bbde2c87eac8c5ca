"""The web page on a process of its own, watched: its memory, what it writes, and how long a plain request takes."""

import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).resolve().parent.parent

KEPT_S, SWEEP_S = 60, 5
SERVE = f"import app; app.KEPT_S = {KEPT_S}; app.SWEEP_S = {SWEEP_S}; app.main()"
"""The page as it is, but for how long files are kept."""


class Server:
    """The page on a process of its own, watched: memory, and the time that a plain request takes.

    Args:
        folder: Where it may write; its log lies there, too.
    """

    def __init__(self, folder: Path):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self.written = folder / "written"
        self.written.mkdir(parents=True)
        paths = {"TMPDIR": str(self.written), "PYTHONPATH": str(ROOT), "GRADIO_ANALYTICS_ENABLED": "False"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, "--port", str(port)],
            cwd=self.written,
            env={**os.environ, **paths},
            stdout=(folder / "log").open("w"),
            stderr=subprocess.STDOUT,
        )
        while not self.answers():
            assert self.process.poll() is None, (folder / "log").read_text()
            time.sleep(0.5)
        self.idle_mb = self.peak_mb = self.memory_mb()
        self.latencies: list[float] = []
        self.unanswered = 0
        self._over = threading.Event()
        self._watchers = [threading.Thread(target=watch) for watch in (self._watch_memory, self._watch_answers)]
        for watcher in self._watchers:
            watcher.start()

    def answers(self) -> bool:
        try:
            return httpx.get(self.address, timeout=30).status_code == 200
        except httpx.HTTPError:
            return False

    def memory_mb(self) -> float:
        """Resident memory of it and its children."""
        family = psutil.Process(self.process.pid)
        total = 0
        for process in (family, *family.children(recursive=True)):
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total / 1e6

    def files(self) -> list[str]:
        """What it has written and not deleted."""
        return sorted(str(path.relative_to(self.written)) for path in self.written.rglob("*") if path.is_file())

    def stop(self) -> None:
        self._over.set()
        for watcher in self._watchers:
            watcher.join()
        self.process.terminate()
        self.process.wait(60)

    def figures(self) -> dict[str, Any]:
        """What was watched."""
        return {
            "idle_mb": round(self.idle_mb),
            "peak_mb": round(self.peak_mb),
            "plain_requests": len(self.latencies) + self.unanswered,
            "plain_requests_unanswered": self.unanswered,
            "plain_request_median_ms": round(1000 * statistics.median(self.latencies), 1),
            "plain_request_worst_ms": round(1000 * max(self.latencies), 1),
        }

    def _watch_memory(self) -> None:
        while not self._over.wait(0.2) and self.process.poll() is None:
            self.peak_mb = max(self.peak_mb, self.memory_mb())

    def _watch_answers(self) -> None:
        while not self._over.wait(0.5):
            started = time.perf_counter()
            if self.answers():
                self.latencies.append(time.perf_counter() - started)
            else:
                self.unanswered += 1


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    """Runs the page, and ends it whatever happens."""
    server = Server(folder)
    try:
        yield server
    finally:
        server.stop()
