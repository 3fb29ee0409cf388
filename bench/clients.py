"""Eight clients at once against one, of one and of two workers of MLflow's server: `python -m bench.clients`.

Thirty heads on ResNet18. Every answer must be equal. The bar: of two workers on two cores eight clients get 1.7 times
the images of one, and a worker has at most 1.3 times the memory of a single one.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from bench.serving import some_images, write_logged
from tests.serving.served_heads import Server, encoded, payload, served

CLIENTS = 8
REQUESTS = 20  # of each client


def throughput(server: Server, n_clients: int, body: bytes, images: int) -> float:
    """Images a second."""

    def client(_: int) -> set[str]:
        answers = [server.post(body) for _ in range(REQUESTS)]
        assert {status for status, _ in answers} == {200}
        return {text for _, text in answers}

    start = time.perf_counter()
    with ThreadPoolExecutor(n_clients) as pool:
        answers = set().union(*pool.map(client, range(n_clients)))
    assert len(answers) == 1
    return n_clients * REQUESTS * images / (time.perf_counter() - start)


def main() -> None:
    texts = [encoded(image) for image in some_images()[:32]]
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        location = write_logged(folder, "shared")
        for workers in (1, 2):
            with served(location, folder, workers) as server:
                server.post(payload(texts[:1]))
                for number in (1, 32):
                    one, many = (throughput(server, each, payload(texts[:number]), number) for each in (1, CLIENTS))
                    told = f"{number} image{'s' * (number > 1)} a request"
                    print(f"{workers} worker{'s' * (workers > 1)}, {told}: one client {one:.0f} images/s, ", end="")
                    print(f"{CLIENTS} clients {many:.0f}: {many / one:.2f} times", flush=True)
                family = psutil.Process(server.process.pid).children(recursive=True)
                memory = sorted(each.memory_info().rss / 2**20 for each in family)[-workers:]
            print(f"  memory of a worker: {', '.join(f'{each:,.0f} MB' for each in memory)}")


if __name__ == "__main__":
    main()
