"""The web page under load: fifty people who render at once, and a thousand files made to do harm.

    python -m benchmarks.app_load --renders 50 --uploads 1000

Starts the page as `make app` does, with folders of its own, and prints one line of JSON. `renders`: how many of so many
simultaneous renders came back with a video, and how long they waited. `uploads`: what became of files from
`benchmarks.hostile_files` and of requests that no form sends, whether code in them ran (it would touch a file), and
which files were left once they had expired, here after a minute instead of an hour. Both say the server's largest
memory, children included, and how long a plain request for the page took meanwhile. Each sort of answer goes to
standard error.
"""

import argparse
import json
import socket
import statistics
import sys
import tempfile
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import httpx
from gradio_client import Client
from tqdm import tqdm

from benchmarks.app_server import KEPT_S, SWEEP_S, Server, served
from benchmarks.hostile_files import FILES, NAMES
from pipelines.environment import machine

Result = TypeVar("Result")

SMALLEST = ("Spell a word", "A", "ase", None, "alex", None, None, "signer-small", 1, 0)
"""The form of `/render`: the shortest word, one step of diffusion."""

FORMS: dict[str, tuple[str, Callable[[Any], list[Any]]]] = {
    "clip": ("render", lambda file: ["Use my own clip", "", "ase", file, "alex", None, None, "avatar", 1, 0]),
    "picture": (
        "render",
        lambda file: ["Spell a word", "A", "ase", None, "My own picture", file, "self", "avatar", 1, 0],
    ),
    "file to read": ("recognize", lambda file: ["A file", file, None]),
    "recording": ("recognize", lambda file: ["My camera", None, file]),
    "pair": ("evaluate", lambda file: ["A pair", file, file, None]),
    "set": ("evaluate", lambda file: ["Several pairs", None, None, [file]]),
    "file to explore": ("explore", lambda file: [file]),
}
"""Every field of the page that takes a file, with its endpoint and the form around it."""

AT_ONCE = 8
"""Hostile uploads under way at a time."""

PATIENCE_S = 300
"""How long an answer may take before it counts as none."""


@dataclass(frozen=True)
class Answer:
    """What became of a hostile file.

    Attributes:
        kind: Of the file.
        field: Of the page.
        became: refused, accepted, or what should not be: failed (our mistake), unclear (no reason given), no answer.
        said: The page's line.
    """

    kind: str
    field: str
    became: str
    said: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--renders", type=int, default=50)
    parser.add_argument("--uploads", type=int, default=1000)
    parser.add_argument("--parts", nargs="+", choices=["renders", "uploads"], default=["renders", "uploads"])
    parser.add_argument("--seed", type=int, default=0, help="of the hostile files")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory() as name:
        if "renders" in arguments.parts:
            figures["renders"] = render_at_once(arguments.renders, Path(name, "renders"))
        if "uploads" in arguments.parts:
            figures["uploads"] = upload(arguments.uploads, arguments.seed, Path(name, "uploads"))
    print(json.dumps(figures))


def render_at_once(number: int, folder: Path) -> dict[str, Any]:
    """So many people, each with a connection of their own, press Render at the same moment."""
    with served(folder) as server:
        patient = {"verbose": False, "download_files": str(folder / "got"), "httpx_kwargs": {"timeout": PATIENCE_S}}
        clients = [Client(server.address, **patient) for _ in range(number)]
        start = threading.Barrier(number)

        def press(client: Client) -> tuple[float, bool]:
            start.wait()
            pressed = time.perf_counter()
            try:
                download, status, *_ = client.predict(*SMALLEST, api_name="/render")
                path = download["value"] if isinstance(download, dict) else download
                with zipfile.ZipFile(path) as archive:
                    came = "Signed: A." in status and archive.getinfo("render.mp4").file_size > 0
            except Exception as error:  # whatever it is, this person got nothing
                tqdm.write(f"{type(error).__name__}: {error}", file=sys.stderr)
                came = False
            return time.perf_counter() - pressed, came

        with ThreadPoolExecutor(number) as people:
            outcomes = completed([people.submit(press, client) for client in clients], "renders")
        for client in clients:
            client.close()
        watched = server.figures()
    waits = [waited for waited, _ in outcomes]
    return {
        "asked": number,
        "results": sum(came for _, came in outcomes),
        "median_wait_s": round(statistics.median(waits), 1),
        "worst_wait_s": round(max(waits), 1),
        **watched,
    }


def completed(futures: list[Future[Result]], name: str) -> list[Result]:
    """What they give, in the order in which they are done, with a bar."""
    return [future.result() for future in tqdm(as_completed(futures), total=len(futures), desc=name)]


def upload(number: int, seed: int, folder: Path) -> dict[str, Any]:
    """Hands over hostile files and sends requests that no form sends; looks what became of them and of the server."""
    kinds, fields = [*FILES, *STRANGE], list(FORMS)
    canaries = folder / "canaries"
    with served(folder) as server, visited() as (elsewhere, visits):
        canaries.mkdir()

        def hand_over(index: int) -> Answer:
            turn, which = divmod(index, len(kinds))
            random, kind = Random(f"{seed} {index}"), kinds[which]
            if kind in STRANGE:
                endpoint, data = STRANGE[kind](random, elsewhere)
                return Answer(kind, endpoint, *ask(server, endpoint, data))
            field = fields[(turn + which) % len(fields)]
            data = FILES[kind](random, canaries / str(index))
            return Answer(kind, field, *submit(server, field, random.choice(NAMES), data))

        with ThreadPoolExecutor(AT_ONCE) as people:
            answers = completed([people.submit(hand_over, index) for index in range(number)], "uploads")
        alive, watched = server.process.poll() is None, server.figures()
        time.sleep(KEPT_S + 3 * SWEEP_S)
        left = server.files()
    for answer in sorted(set(answers), key=str):
        tqdm.write(f"{answer.became:<10} {answer.kind:<30} {answer.field:<16} {answer.said}", file=sys.stderr)
    return {
        "sent": number,
        "kinds": len(kinds),
        **Counter(answer.became for answer in answers),
        "accepted_kinds": sorted({answer.kind for answer in answers if answer.became == "accepted"}),
        "code_run": len(list(canaries.iterdir())),
        "addresses_opened": len(visits),
        "server_alive": alive,
        "files_left": left,
        "files_left_after_stop": server.files(),
        **watched,
    }


def submit(server: Server, field: str, name: str, data: bytes) -> tuple[str, str]:
    """Uploads a file as a browser does, presses the button, and gives what became of it and the page's line."""
    try:
        got = httpx.post(f"{server.address}/gradio_api/upload", files={"files": (name, data)}, timeout=PATIENCE_S)
    except httpx.HTTPError as error:
        return "no answer", type(error).__name__
    if got.status_code != 200:
        return ("refused" if got.status_code < 500 else "failed"), f"{got.status_code} {got.text}"
    (path,) = got.json()
    file = {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
    endpoint, form = FORMS[field]
    return ask(server, endpoint, form(file))


def ask(server: Server, endpoint: str, data: list[Any]) -> tuple[str, str]:
    """Sends a form and waits for the page's last line."""
    address = f"{server.address}/gradio_api/call/{endpoint}"
    try:
        # json.dumps writes NaN, which httpx would refuse.
        asked = httpx.post(address, content=json.dumps({"data": data}), headers=JSON, timeout=PATIENCE_S)
        if asked.status_code != 200:
            return ("refused" if asked.status_code < 500 else "failed"), f"{asked.status_code} {asked.text[:200]}"
        event, answer = last_event(f"{address}/{asked.json()['event_id']}")
    except (httpx.HTTPError, TimeoutError) as error:
        return "no answer", type(error).__name__
    if event == "error":
        return ("refused", answer["error"]) if answer and answer.get("error") else ("unclear", str(answer))
    status = answer[1]
    became = "accepted" if 'role="alert"' not in status else "failed" if "SignLoop failed" in status else "refused"
    return became, status


def last_event(address: str) -> tuple[str, Any]:
    """The name and the data of the event that ends a stream."""
    deadline = time.monotonic() + PATIENCE_S
    event = ""
    with httpx.stream("GET", address, timeout=PATIENCE_S) as stream:
        for line in stream.iter_lines():
            if time.monotonic() > deadline:  # heartbeats keep a stream open for ever
                break
            event = line.removeprefix("event: ") if line.startswith("event: ") else event
            if event in ("complete", "error") and line.startswith("data: "):
                return event, json.loads(line.removeprefix("data: "))
    raise TimeoutError


JSON = {"Content-Type": "application/json"}


@contextmanager
def visited() -> Iterator[tuple[str, list[Any]]]:
    """An address that nobody should ask for, and who did."""
    visits: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as door:

        def watch() -> None:
            while True:
                try:
                    visitor, where = door.accept()
                except OSError:  # closed
                    return
                visits.append(where)
                visitor.close()

        threading.Thread(target=watch, daemon=True).start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}/clip.npz", visits


def borrowed(path: str) -> Callable[[Random, str], tuple[str, list[Any]]]:
    """A request that calls a file its own which was never uploaded; `{}` is an address."""

    def request(random: Random, elsewhere: str) -> tuple[str, list[Any]]:
        endpoint, form = FORMS[random.choice(list(FORMS))]
        return endpoint, form({"path": path.format(elsewhere), "meta": {"_type": "gradio.FileData"}})

    return request


def misfilled(**answers: list[Any]) -> Callable[[Random, str], tuple[str, list[Any]]]:
    """A request to render with one answer that no form gives."""
    fields = ["source", "word", "language", "clip", "signer", "picture", "consent", "renderer", "steps", "seed"]
    ((field, choices),) = answers.items()

    def request(random: Random, elsewhere: str) -> tuple[str, list[Any]]:
        form = list(SMALLEST)
        form[fields.index(field)] = random.choice(choices)
        return "render", form

    return request


STRANGE: dict[str, Callable[[Random, str], tuple[str, list[Any]]]] = {
    "somebody's file": borrowed("/etc/passwd"),
    "a file of the package": borrowed(str(Path(__file__).resolve())),
    "a device": borrowed("/dev/zero"),
    "a way up": borrowed("../../../../../../etc/passwd"),
    "an address": borrowed("{}"),
    "a word that is none": misfilled(word=["A" * 10**6, "<script>", "\0", "A;touch canary", 7, ["A"], {"A": 1}]),
    "a language that is none": misfilled(language=["../../ase", "xxx", None, 1, ["ase"]]),
    "a signer that is none": misfilled(signer=["../../../etc/passwd", "/dev/zero", "", 3]),
    "a renderer that is none": misfilled(renderer=["__class__", "openpose", None, 0]),
    "steps that are none": misfilled(steps=[10**9, -1, 0, 1e308, float("nan"), "1", None]),
    "a seed that is none": misfilled(seed=[-1, 2**80, 1e308, float("nan"), "0; DROP", None, [1]]),
}
"""Requests that no form sends."""


if __name__ == "__main__":
    main()
