"""The page to try a model, in a browser: what it shows is what scoring gives, and it asks no other server."""

from __future__ import annotations

import shutil
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import mlflow
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from project_runs import kill_group, recorded, run_inside, script, start_script, uri, wait_for_line

from fanogan_mtl.data.images.decode import decode_image
from fanogan_mtl.detectors.threads import one_thread
from fanogan_mtl.errors import UserError
from fanogan_mtl.plan.options import DemoOptions
from fanogan_mtl.scores.served import load_served
from fanogan_mtl.serving.explain import heat_maps
from fanogan_mtl.serving.pictures import jpeg_url, overlaid, thumbnail
from fanogan_mtl.serving.requests import answer_table
from fanogan_mtl.serving.scoring import score_images
from fanogan_mtl.workflows.demo import demo

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
HEADS = ["optdigits/0", "optdigits/8"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    arguments = ["--detectors", "pca", "--classes", "0,8", "--epochs", "2", "--limit", "60", "--log_models", "all"]
    process = run_inside(folder, "benchmark", "--dataset", "optdigits", *arguments)
    assert process.returncode == 0, process.stderr
    return folder


@pytest.fixture(scope="module")
def model(store: Path) -> str:
    return recorded(store).comparisons[0].data.tags["model_uri"]


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(scope="module")
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(scope="module")
def server(store: Path, model: str, port: int) -> Iterator[str]:
    process = start_script(store, "demo", "--model", model, "--port", str(port))
    wait_for_line(process, f"http://127.0.0.1:{port}")
    yield f"http://127.0.0.1:{port}"
    printed = kill_group(process, signal.SIGINT)
    assert (process.returncode, printed) == (0, "ended\n")


@dataclass
class Visit:
    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def visit(server: str) -> Iterator[Visit]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=[*FLAGS, "--disable-component-update", "--disable-sync"]
        )
        visit = Visit(browser.new_page(viewport={"width": 1200, "height": 900}))
        visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))
        visit.page.on("request", lambda request: visit.requests.append(request.url))
        visit.page.goto(server)
        visit.page.wait_for_selector("#upload input[type=file]", state="attached")
        yield visit
        browser.close()
    elsewhere = [url for url in visit.requests if not url.startswith((server, "data:", f"blob:{server}"))]
    assert elsewhere == []
    assert visit.errors == []


def table(page: Page) -> list[list[str]]:
    """Head, score, threshold, p-value and probability to the bit, and verdict of each row."""
    rows = []
    for row in page.locator("#scores tr:has(td)").all():
        first, *numbers, last = row.locator("td").all()
        rows.append([first.inner_text(), *(str(each.get_attribute("title")) for each in numbers), last.inner_text()])
    return rows


def expected(model: str, content: bytes) -> tuple[list[list[str]], list[str]]:
    """The table, and the pictures of each head, made here."""
    served = load_served(model)
    image = decode_image(content)
    with one_thread():
        scores = answer_table(served.heads, score_images(served, served.heads, [image]))
        maps = heat_maps(served, served.heads, image)
    rows = [
        [
            row["head"],
            *(repr(float(row[name])) for name in ("score", "threshold", "p_value", "probability")),
            verdict(row),
        ]
        for row in scores.to_dict("records")
    ]
    marked = zip(served.heads, maps, strict=True)
    return rows, [jpeg_url(overlaid(thumbnail(image, 320), each, head.map_threshold())) for head, each in marked]


def verdict(row: Any) -> str:
    return "anomaly" if row["is_anomaly"] else "normal"


def test_an_uploaded_image_gets_its_scores_and_each_heads_heat_map(
    store: Path, model: str, visit: Visit, tmp_path: Path
) -> None:
    mlflow.set_tracking_uri(uri(store))
    file = tmp_path / "digit.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)).save(file)
    rows, pictures = expected(model, file.read_bytes())
    visit.page.set_input_files("#upload input[type=file]", file)
    visit.page.wait_for_selector("#pictures img")
    assert table(visit.page) == rows
    assert [row[0] for row in rows] == HEADS
    over = visit.page.locator("#pictures img").nth(1)
    assert over.get_attribute("src") == pictures[0]
    assert over.evaluate("image => image.decode().then(() => image.naturalHeight)") == 320
    visit.page.locator("#head input").click()
    visit.page.get_by_role("option", name=HEADS[1]).click()
    visit.page.wait_for_selector(f"#pictures img[alt='heat map of {HEADS[1]}']")
    assert over.get_attribute("src") == pictures[1]
    assert pictures[0] != pictures[1]
    level = visit.page.locator("#level input[type=number]")
    assert float(level.input_value()) == pytest.approx(load_served(model).heads[1].map_threshold(), rel=1e-3)
    level.fill("0.05")
    level.press("Enter")
    visit.page.get_by_text("yellow: above 0.05").wait_for()
    (_, head), image = load_served(model).heads, decode_image(file.read_bytes())
    with one_thread():
        (heat_map,) = heat_maps(load_served(model), [head], image)
    assert over.get_attribute("src") == jpeg_url(overlaid(thumbnail(image, 320), heat_map, 0.05))
    visit.page.screenshot(path=tmp_path / "page.png")  # for whoever wants to see it
    visit.page.set_viewport_size({"width": 390, "height": 800})
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_drawing_is_white_strokes_on_black(visit: Visit) -> None:
    page = visit.page
    page.get_by_role("tab", name="Draw").click()
    page.wait_for_selector("#canvas canvas")
    page.get_by_role("button", name="Score the drawing").click()
    page.get_by_text("Draw a digit first.").wait_for()
    box = page.locator("#canvas canvas").first.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y - 60)
    page.mouse.down()
    page.mouse.move(x, y + 60, steps=10)
    page.mouse.up()
    for _ in range(20):  # the canvas tells the server of a stroke some time after it
        page.get_by_role("button", name="Score the drawing").click()
        page.wait_for_timeout(500)
        if page.locator("#pictures img").count():
            break
    assert len(table(page)) == len(HEADS)
    shown = page.locator("#pictures img").first.evaluate("""async image => {
        await image.decode();
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        const context = canvas.getContext("2d");
        context.drawImage(image, 0, 0);
        const at = (x, y) => context.getImageData(x * canvas.width, y * canvas.height, 1, 1).data[0];
        return [at(0.5, 0.5), at(0.05, 0.05), at(0.95, 0.95)];
    }""")
    assert shown[0] > 250
    assert max(shown[1:]) < 5


def test_a_file_that_is_no_whole_image_is_one_line_in_the_page(visit: Visit, tmp_path: Path) -> None:
    file = tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30), np.uint8)).save(file)
    file.write_bytes(file.read_bytes()[:-200])
    visit.page.set_input_files("#upload input[type=file]", file)
    visit.page.get_by_text("This file can't be scored: a damaged image").wait_for()
    assert table(visit.page) == []


def test_a_visitor_who_leaves_during_an_upload_is_no_error(server: str, port: int) -> None:
    """The server's fixture holds that nothing was printed."""
    head = "POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999\r\n"
    form = "Content-Type: multipart/form-data; boundary=edge\r\n\r\n--edge\r\n"
    part = 'Content-Disposition: form-data; name="files"; filename="digit.png"\r\n\r\nhalf of it'
    with socket.create_connection(("127.0.0.1", port)) as visitor:
        visitor.sendall((head + form + part).encode())
        time.sleep(1)  # until the server reads
    with urlopen(server) as answer:
        assert answer.status == 200


def test_a_port_in_use_is_one_line(store: Path, model: str, server: str, port: int) -> None:
    process = script(store, "demo", "--model", model, "--port", str(port))
    assert process.returncode == 2
    assert process.stderr == (
        f"Error: 127.0.0.1:{port} can't be opened (Address already in use): choose another port or host\n"
    )


def test_without_gradio_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fanogan_mtl.workflows.demo.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"pip install '\.\[demo\]'"):
        demo(DemoOptions(model="models:/m/1"))


def test_a_model_of_vectors_is_one_line(tmp_path: Path, free_port: int) -> None:
    vectors = tmp_path / "v.npz"
    random = np.random.default_rng(0)
    np.savez(vectors, X=random.normal(size=(300, 5)), y=np.arange(300) % 10 == 0)
    arguments = ["--detectors", "pca", "--epochs", "1", "--log_models", "all", "--data_dir", str(tmp_path / "data")]
    process = run_inside(tmp_path, "benchmark", "--dataset", f"v=adbench:{vectors}", *arguments)
    assert process.returncode == 0, process.stderr
    uri_of_model = recorded(tmp_path).comparisons[0].data.tags["model_uri"]
    mlflow.set_tracking_uri(uri(tmp_path))
    with pytest.raises(UserError, match="scores vectors: the page shows images"):
        demo(DemoOptions(model=uri_of_model, port=str(free_port)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "model: which one?"),
        ({"model": "models:/nobody/1"}, "can't be fetched"),
        ({"model": "models:/m/1", "port": "70000"}, "from 1 to 65535"),
        ({"model": "models:/m/1", "port": "none"}, "whole number"),
        ({"model": "models:/m/1", "host": "203.0.113.1"}, "203.0.113.1:7860 can't be opened"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, free_port: int, change: dict[str, str], words: str) -> None:
    mlflow.set_tracking_uri(uri(tmp_path))
    given = {"port": str(free_port), **change} if "nobody" in change.get("model", "") else change
    with pytest.raises(UserError) as raised:
        demo(DemoOptions(**given))
    assert words in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
